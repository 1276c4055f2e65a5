//! The stop button: from the kernel's order to the await point that it ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::wire::{CellId, NO_CELL};
use crate::{input, room};

/// The stop button was pressed.
///
/// [`EventLoop::run_forever`](crate::EventLoop::run_forever) returns it; everywhere else it ends the
/// cell at its await point, and so does a `?` that meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped; variables, tasks and queues are kept")
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
    /// Whether a stop of the running cell has not reached an await point yet.
    pressed: bool,
}

static CELLS: Mutex<Cells> = Mutex::new(Cells {
    running: NO_CELL,
    stopped_early: NO_CELL,
    pressed: false,
});

fn cells() -> MutexGuard<'static, Cells> {
    CELLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops a cell, or sees to it that it ends as soon as it starts.
pub(crate) fn stop(cell: CellId) {
    let mut cells = cells();
    if cells.running == cell {
        cells.pressed = true;
        PRESSED.notify_one();
        drop(cells);
        // What waits otherwise than for `pressed`.
        room::stopped();
        input::stopped();
    } else if cells.running < cell {
        cells.stopped_early = cell;
    }
    // Otherwise the cell has ended, and the stop came late.
}

/// A cell starts. Returns whether it has been stopped already.
pub(crate) fn begin(cell: CellId) -> bool {
    let mut cells = cells();
    cells.running = cell;
    cells.pressed = false;
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
    cells().pressed = false;
}

/// Whether the running cell has been stopped, and has not noticed yet.
pub(crate) fn is_pressed() -> bool {
    cells().pressed
}

/// The same, and from now on it has noticed.
pub(crate) fn take_press() -> bool {
    let mut cells = cells();
    if cells.pressed {
        forget_press();
    }
    std::mem::take(&mut cells.pressed)
}
