//! The programs that compile: all that the kernel has started, apart from the cell process.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Ends them, with all that they have started.
pub fn end(cell_process: Option<u32>) {
    let mut parents = HashMap::new();
    for process in processes() {
        parents.insert(process, parent(process));
    }
    let kernel = std::process::id();
    for process in parents.keys() {
        if descends(*process, kernel, cell_process, &parents)
            && let Some(pid) = i32::try_from(*process).ok().and_then(Pid::from_raw)
        {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// The parent's number, which stands behind the name and the state in
/// [`/proc/…/stat`](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, brackets too.
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

fn descends(
    process: u32,
    ancestor: u32,
    apart_from: Option<u32>,
    parents: &HashMap<u32, Option<u32>>,
) -> bool {
    let mut current = process;
    // A number that was given again meanwhile may make a ring.
    for _ in 0..parents.len() {
        if Some(current) == apart_from {
            return false;
        }
        match parents.get(&current).copied().flatten() {
            Some(parent) if parent == ancestor => return true,
            Some(parent) => current = parent,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cell_process_has_started_is_left_alone() {
        let parents = HashMap::from([
            (1, Some(0)),
            (2, Some(1)),
            (3, Some(2)),
            (4, Some(2)),
            (5, Some(4)),
            (6, Some(5)),
            (9, Some(1)),
        ]);
        let of_two = |process| descends(process, 2, Some(4), &parents);
        assert_eq!(
            [3, 4, 5, 6, 9, 2, 1].map(of_two),
            [true, false, false, false, false, false, false]
        );
    }

    #[test]
    fn the_parent_of_a_process_is_known() {
        assert_eq!(
            parent(std::process::id()),
            Some(std::os::unix::process::parent_id())
        );
    }
}
