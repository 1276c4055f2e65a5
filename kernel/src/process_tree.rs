//! Which process has started which.

use std::collections::HashMap;
use std::fs;

/// Whether this process was started by another one, or by what that has started.
pub fn descends_from(ancestor: u32) -> bool {
    descends(std::process::id(), ancestor, None, &parents())
}

/// The parents of all processes.
pub fn parents() -> HashMap<u32, Option<u32>> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let processes = names.filter_map(|name| name.to_str()?.parse().ok());
    processes
        .map(|process| (process, parent(process)))
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

/// Whether a process was started by another one, or by what that has started, and not by way of a third.
pub fn descends(
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
