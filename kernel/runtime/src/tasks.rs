//! Which cell a task belongs to: the one whose code, or whose task, spawned it.
//!
//! The runtimes that this crate makes tell of each task when it is spawned. Of others (on a blocking
//! thread, in a `LocalSet`, on a runtime of the user's own) only the id is known while it runs, and
//! ids are given in order: such a task belongs to the cell that was running when its id was given.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{self, Id, JoinHandle};

use crate::block_on::kernel_runtime;
use crate::cell;
use crate::interrupt;
use crate::wire::{CellId, NO_CELL};

thread_local! {
    /// The cell for which this thread works: that of the task that it polls, or of an
    /// [`OutputCell`](crate::OutputCell).
    static CELL: Cell<CellId> = const { Cell::new(NO_CELL) };
}

/// In the place of a cell: whichever is running when something is shown.
pub(crate) const RUNNING: CellId = CellId::MAX;

/// Spread over several locks, because every poll on every worker looks its task up.
static TASKS: [Mutex<Option<Shard>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];
const SHARDS: usize = 32;
type Shard = HashMap<Id, Task, BuildHasherDefault<IdHasher>>;

/// What is known of a task.
#[derive(Clone, Copy)]
struct Task {
    cell: CellId,
    /// Whether it goes on without a cell that runs its loop.
    runs_by_itself: bool,
}

/// Told whenever a task has ended.
static ENDED: Notify = Notify::const_new();

/// From which task id on which cell has been running.
static BEGINNINGS: Mutex<Vec<(u64, CellId)>> = Mutex::new(Vec::new());

/// Task ids are a counter: they are their own hash.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The map takes its control bits from the top, the counter only fills the bottom.
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
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

fn number(id: Id) -> u64 {
    let mut hasher = IdHasher::default();
    id.hash(&mut hasher);
    hasher.0
}

fn shard(id: Id) -> MutexGuard<'static, Option<Shard>> {
    let index = (number(id) as usize) % SHARDS;
    TASKS[index].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a runtime tell which task it spawns, polls and ends, so that what a task prints can go
/// under its cell.
pub(crate) fn watch(builder: &mut Builder, runs_by_itself: bool) -> &mut Builder {
    builder
        .on_task_spawn(move |task| {
            let task_of_cell = Task {
                cell: inherited(),
                runs_by_itself,
            };
            insert(task.id(), task_of_cell);
        })
        .on_before_task_poll(|task| {
            let cell = shard(task.id())
                .as_ref()
                .and_then(|shard| shard.get(&task.id()).map(|task| task.cell));
            CELL.set(cell.unwrap_or(NO_CELL));
            interrupt::polls();
        })
        .on_after_task_poll(|_| CELL.set(NO_CELL))
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
    insert(handle.id(), task);
    if handle.is_finished() {
        remove(handle.id());
    }
    handle
}

fn insert(id: Id, task: Task) {
    shard(id).get_or_insert_default().insert(id, task);
}

fn remove(id: Id) {
    if let Some(shard) = shard(id).as_mut() {
        shard.remove(&id);
    }
    ENDED.notify_waiters();
}

/// Whether the calling thread polls a task.
pub(crate) fn in_task() -> bool {
    task::try_id().is_some()
}

/// The tasks that go on by themselves, apart from the calling one; those of one cell, if that is asked.
pub(crate) fn going_on(of_cell: Option<CellId>) -> Vec<Id> {
    let shards = TASKS
        .iter()
        .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
    let mut ids = Vec::new();
    for shard in shards {
        for (id, task) in shard.iter().flatten() {
            if task.runs_by_itself && of_cell.is_none_or(|cell| task.cell == cell) {
                ids.push(*id);
            }
        }
    }
    ids.retain(|id| Some(*id) != task::try_id());
    ids
}

/// Waits until none of these tasks is left; takes out those that have ended.
pub(crate) async fn ended(ids: &mut Vec<Id>) {
    loop {
        let mut ended = std::pin::pin!(ENDED.notified());
        // Before looking, so that no end comes in between.
        ended.as_mut().enable();
        ids.retain(|id| {
            shard(*id)
                .as_ref()
                .is_some_and(|shard| shard.contains_key(id))
        });
        if ids.is_empty() {
            return;
        }
        ended.await;
    }
}
