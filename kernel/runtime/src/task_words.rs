//! How tasks lie in the file that the cell process shares with the kernel, see `task_table.rs`: as words of
//! eight bytes, in the machine's own order. The kernel compiles this same file into itself. Pure.

use crate::wire::CellId;

/// The name of the file, in the session's folder, of a process.
pub fn file_name(process: u32) -> String {
    format!("tasks-{process}")
}

/// In the place of a cell: whichever is running when something is shown.
pub const RUNNING: CellId = CellId::MAX;

/// The bits of a word that hold the cell. All of them set stand for [`RUNNING`].
pub const CELL_MASK: u64 = (1 << 24) - 1;
/// Where they end, and it is said whether the task runs by itself.
pub const BY_ITSELF: u64 = CELL_MASK + 1;
/// Where the id begins.
pub const ID_SHIFT: u32 = 25;

/// What is known of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Whose it is.
    pub cell: CellId,
    /// Whether it goes on without a cell that runs its loop.
    pub runs_by_itself: bool,
}

/// The id that a word holds, and the task. `None` for 0, which no task is: ids begin with 1.
pub fn read(word: u64) -> Option<(u64, Task)> {
    let cell = word & CELL_MASK;
    let task = Task {
        cell: if cell == CELL_MASK { RUNNING } else { cell },
        runs_by_itself: word & BY_ITSELF != 0,
    };
    (word != 0).then_some((word >> ID_SHIFT, task))
}
