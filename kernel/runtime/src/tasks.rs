//! Which cell a task belongs to: the one whose code, or whose task, spawned it.
//!
//! The runtimes that this crate makes tell of each task when it is spawned. Of others (on a blocking
//! thread, in a `LocalSet`, on a runtime of the user's own) only the id is known while it runs, and
//! ids are given in order: such a task belongs to the cell that was running when its id was given.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{self, Id, JoinHandle};

use crate::block_on::kernel_runtime;
use crate::cell;
use crate::interrupt;
use crate::task_table::table;
use crate::task_words::{RUNNING, Task};
use crate::wire::{CellId, NO_CELL};

thread_local! {
    /// The cell for which this thread works: that of the task that it polls, or of an
    /// [`OutputCell`](crate::OutputCell).
    static CELL: Cell<CellId> = const { Cell::new(NO_CELL) };
}

/// Told whenever a task has ended.
static ENDED: Notify = Notify::const_new();

/// How many wait for that. Without them it is not told, which takes a lock.
static AWAITED: AtomicUsize = AtomicUsize::new(0);

/// From which task id on which cell has been running.
static BEGINNINGS: Mutex<Vec<(u64, CellId)>> = Mutex::new(Vec::new());

/// The number of a task. tokio gives it to nobody but a hasher.
fn number(id: Id) -> u64 {
    #[derive(Default)]
    struct Number(u64);
    impl Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 << 8) | u64::from(*byte);
            }
        }
        fn write_u64(&mut self, id: u64) {
            self.0 = id;
        }
    }
    let mut hasher = Number::default();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Lets a runtime tell which task it spawns, polls and ends, so that what a task prints can go
/// under its cell.
pub(crate) fn watch(builder: &mut Builder, runs_by_itself: bool) -> &mut Builder {
    if !runs_by_itself {
        // Between its tasks, the thread works for its cell. A worker has nothing else to do.
        builder.on_after_task_poll(|_| CELL.set(NO_CELL));
    }
    builder
        .on_task_spawn(move |task| {
            let task_of_cell = Task {
                cell: inherited(),
                runs_by_itself,
            };
            table().insert(number(task.id()), task_of_cell);
        })
        .on_before_task_poll(|task| {
            let known = table().get(number(task.id()));
            CELL.set(known.map_or(NO_CELL, |task| task.cell));
            interrupt::polls();
        })
        .on_task_terminate(|task| remove(task.id()))
}

/// A cell starts: what gets an id from now on, and is not watched, belongs to it.
pub(crate) fn entered(cell: CellId) {
    let first = number(kernel_runtime().spawn(std::future::ready(())).id());
    let mut beginnings = BEGINNINGS.lock().unwrap_or_else(PoisonError::into_inner);
    beginnings.push((first, cell));
}

/// The cell that was running when a task got its id.
fn cell_of_id(id: Id) -> CellId {
    let beginnings = BEGINNINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let later = beginnings.partition_point(|(first, _)| *first <= number(id));
    let before = later.checked_sub(1).map(|index| beginnings[index].1);
    before.unwrap_or(NO_CELL)
}

/// The cell that the calling thread works for.
pub(crate) fn current_cell() -> CellId {
    match inherited() {
        RUNNING => cell::foreground(),
        cell => cell,
    }
}

/// The cell to which a task belongs that the calling thread spawns now; may be [`RUNNING`].
pub(crate) fn inherited() -> CellId {
    // A thread that ends works for nobody.
    let cell = CELL.try_with(Cell::get).unwrap_or(NO_CELL);
    let unwatched = || task::try_id().map_or(NO_CELL, cell_of_id);
    let known = Some(cell).filter(|cell| *cell != NO_CELL);
    match known.unwrap_or_else(unwatched) {
        NO_CELL => cell::foreground(),
        cell => cell,
    }
}

/// Lets the calling thread work for a cell for as long as what is returned lives.
pub(crate) fn work_for(cell: CellId) -> Working {
    Working {
        before: CELL.replace(cell),
    }
}

/// See [`work_for`].
pub(crate) struct Working {
    before: CellId,
}

impl Drop for Working {
    fn drop(&mut self) {
        CELL.set(self.before);
    }
}

/// As tokio's, but what the closure prints goes under the cell that calls this.
#[track_caller]
#[doc(hidden)]
pub fn spawn_blocking<F, R>(function: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let cell = inherited();
    let handle = task::spawn_blocking(move || {
        let _working = work_for(cell);
        function()
    });
    // The runtime tells only of its end.
    let task = Task {
        cell,
        runs_by_itself: true,
    };
    table().insert(number(handle.id()), task);
    if handle.is_finished() {
        remove(handle.id());
    }
    handle
}

fn remove(id: Id) {
    table().remove(number(id));
    // Whoever begins to wait sees this end, or is seen here: both are in one order with what they look at.
    if AWAITED.load(Ordering::SeqCst) > 0 {
        ENDED.notify_waiters();
    }
}

/// Whether the calling thread polls a task.
pub(crate) fn in_task() -> bool {
    task::try_id().is_some()
}

/// The numbers of the tasks that go on by themselves, apart from the calling one; those of one cell, if
/// that is asked.
pub(crate) fn going_on(of_cell: Option<CellId>) -> Vec<u64> {
    let mut ids =
        table().find(|task| task.runs_by_itself && of_cell.is_none_or(|cell| task.cell == cell));
    let own = task::try_id().map(number);
    ids.retain(|id| Some(*id) != own);
    ids
}

/// Waits until none of these tasks is left; takes out those that have ended.
pub(crate) async fn ended(ids: &mut Vec<u64>) {
    let _awaiting = Awaiting::new();
    loop {
        let mut ended = std::pin::pin!(ENDED.notified());
        // Before looking, so that no end comes in between.
        ended.as_mut().enable();
        ids.retain(|id| table().get(*id).is_some());
        if ids.is_empty() {
            return;
        }
        ended.await;
    }
}

/// Has [`ENDED`] told for as long as it lives.
struct Awaiting;

impl Awaiting {
    fn new() -> Awaiting {
        AWAITED.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Awaiting
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        AWAITED.fetch_sub(1, Ordering::Relaxed);
    }
}
