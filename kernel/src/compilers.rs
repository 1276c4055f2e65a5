//! The programs that compile: all that the kernel has started, apart from the cell process.

use rustix::process::{Pid, Signal, kill_process};

use crate::process_tree::{descends, parents};

/// Ends them, with all that they have started.
pub fn end(cell_process: Option<u32>) {
    let parents = parents();
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
