//! The stop button: from the kernel's order to the await point that it ends.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::wire::{CellId, NO_CELL};

/// The stop button was pressed.
///
/// [`EventLoop::run_forever`](crate::EventLoop::run_forever) returns it; everywhere else it ends the
/// cell at its await point, and so does a `?` that meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped at an await point; variables, tasks and queues are kept")
    }
}

impl std::error::Error for Interrupted {}

/// Holds one permit while a stop of the running cell has not reached an await point yet.
static PRESSED: Notify = Notify::const_new();

/// Which cell runs, and which one is to be stopped before it starts. One lock for both, so that a
/// stop is never between them.
struct Cells {
    running: CellId,
    stopped_early: CellId,
}

static CELLS: Mutex<Cells> = Mutex::new(Cells {
    running: NO_CELL,
    stopped_early: NO_CELL,
});

/// Stops a cell, or sees to it that it ends as soon as it starts.
pub(crate) fn stop(cell: CellId) {
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    if cells.running == cell {
        PRESSED.notify_one();
    } else if cells.running < cell {
        cells.stopped_early = cell;
    }
    // Otherwise the cell has ended, and the stop came late.
}

/// A cell starts. Returns whether it has been stopped already.
pub(crate) fn begin(cell: CellId) -> bool {
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    cells.running = cell;
    // What is still pressed was meant for an earlier cell.
    forget_press();
    cells.stopped_early == cell
}

/// Takes back the permit of a stop that nothing waited for.
fn forget_press() {
    let mut notified = std::pin::pin!(PRESSED.notified());
    notified.as_mut().enable();
}

/// Waits for the stop button. Each press is seen by one waiter, once.
pub(crate) async fn pressed() {
    PRESSED.notified().await;
}
