//! The stop button: from the kernel's order to the await point that it ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::cell::{self, Phase};
use crate::wire::{CellId, NO_CELL, Outcome};
use crate::{blocking, checkpoint, input, room, tasks};

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

/// Told when the stop button is pressed.
static PRESSED: Notify = Notify::const_new();

/// The same as [`Cells::pressed`], to be read without the lock.
static PENDING: AtomicBool = AtomicBool::new(false);

/// How long a task on the cell's own thread may go on without reaching an await point.
const TASK_GRACE: Duration = Duration::from_millis(500);

thread_local! {
    /// Since when this thread polls its task, if that began after the press.
    static POLLED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The calling thread begins to poll a task.
pub(crate) fn polls() {
    if is_pressed() {
        POLLED.set(Some(Instant::now()));
    }
}

/// Which cell runs, and which one is to be stopped before it starts. One lock for both, so that a
/// stop is never between them.
struct Cells {
    running: CellId,
    stopped_early: CellId,
    /// When the running cell was stopped, if it has not noticed yet.
    pressed: Option<Instant>,
}

impl Cells {
    /// Whether there is a press, and from now on there is none.
    fn take_press(&mut self) -> bool {
        let was_pressed = self.pressed.take().is_some();
        if was_pressed {
            set_pending(false);
        }
        was_pressed
    }
}

/// Sets what is read without the lock, which the caller holds.
fn set_pending(pressed: bool) {
    PENDING.store(pressed, Ordering::Relaxed);
    checkpoint::set_flags(pressed);
}

static CELLS: Mutex<Cells> = Mutex::new(Cells {
    running: NO_CELL,
    stopped_early: NO_CELL,
    pressed: None,
});

fn cells() -> MutexGuard<'static, Cells> {
    CELLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops a cell, or sees to it that it ends as soon as it starts.
pub(crate) fn stop(cell: CellId) {
    let mut cells = cells();
    if cells.running == cell {
        cells.pressed = Some(Instant::now());
        set_pending(true);
        drop(cells);
        PRESSED.notify_waiters();
        // What waits otherwise than for `pressed`.
        room::stopped();
        input::stopped();
        blocking::interrupt();
    } else if cells.running < cell {
        cells.stopped_early = cell;
    }
    // Otherwise the cell has ended, and the stop came late.
}

/// A cell starts. Returns whether it has been stopped already.
pub(crate) fn begin(cell: CellId) -> bool {
    let mut cells = cells();
    cells.running = cell;
    // What is still pressed was meant for an earlier cell.
    cells.take_press();
    cells.stopped_early == cell
}

/// The running cell has ended. Returns whether it was stopped and has not noticed: nobody is to look for that
/// from now on.
pub(crate) fn ended() -> bool {
    let mut cells = cells();
    cells.running = NO_CELL;
    cells.take_press()
}

/// Waits for the stop button. Each press is seen by one waiter, once.
pub(crate) async fn pressed() {
    loop {
        let mut notified = std::pin::pin!(PRESSED.notified());
        // Before looking, so that no press comes in between.
        notified.as_mut().enable();
        if take_press() {
            return;
        }
        notified.await;
    }
}

/// Whether the running cell has been stopped, and has not noticed yet.
pub(crate) fn is_pressed() -> bool {
    PENDING.load(Ordering::Relaxed)
}

/// The same, and from now on it has noticed.
pub(crate) fn take_press() -> bool {
    cells().take_press()
}

/// A place of this crate where the cell can be stopped.
pub(crate) fn checkpoint() {
    if is_pressed() {
        noticed();
    }
}

/// Ends the cell, or its task, if they are to end here.
#[cold]
pub(crate) fn noticed() {
    if is_to_end() {
        end();
    }
}

/// Whether the calling thread is to [`end`] what it does, and nobody else is: the cell, if this is its own
/// thread; tasks elsewhere go on. A task of a loop that the cell runs would end at its next await point,
/// and does so here where it reaches none.
pub(crate) fn is_to_end() -> bool {
    is_late() && (tasks::in_task() || take_press())
}

/// Ends what the calling thread does.
pub(crate) fn end() -> ! {
    if !tasks::in_task() {
        cell::end(Outcome::Interrupted);
    }
    eprintln!("note: a task was ended that reached no await point");
    std::panic::resume_unwind(Box::new(Interrupted));
}

/// Whether the calling thread, which does not await, is to end what it does: in a cell that has been
/// stopped, and in a task that holds up such a cell's own loop.
pub(crate) fn is_late() -> bool {
    if !matches!(cell::phase(), Phase::Inside(_)) || std::thread::panicking() {
        return false;
    }
    let pressed = cells().pressed;
    if !tasks::in_task() {
        return pressed.is_some();
    }
    // A task that was not even polled then gets its time, too.
    let since = pressed.max(POLLED.get());
    pressed.is_some() && since.is_some_and(|since| since.elapsed() > TASK_GRACE)
}

/// As `std::thread::sleep`, which the kernel exchanges for it: on the cell's own thread, the stop button
/// ends it.
#[doc(hidden)]
pub fn sleep(duration: Duration) {
    let end = Instant::now().checked_add(duration);
    if !matches!(cell::phase(), Phase::Inside(_)) {
        return std::thread::sleep(duration);
    }
    loop {
        let left = end.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        });
        if left.is_zero() || room::sleep(left) {
            return checkpoint();
        }
        checkpoint();
        // A task on this thread has some time left.
        std::thread::sleep(left.min(TASK_GRACE / 10));
    }
}

/// As the future itself, which the kernel exchanges for it where another runtime waits for it on the
/// cell's own thread: the stop button ends the cell there.
#[doc(hidden)]
pub async fn stoppable<F: IntoFuture>(future: F) -> F::Output {
    let future = future.into_future();
    if !matches!(cell::phase(), Phase::Inside(_)) || tasks::in_task() {
        return future.await;
    }
    tokio::select! {
        biased;
        () = pressed() => cell::end(Outcome::Interrupted),
        output = future => output,
    }
}
