//! Which cell a task belongs to: the one whose code, or whose task, spawned it.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Builder;
use tokio::task::Id;

use crate::cell;
use crate::wire::{CellId, NO_CELL};

thread_local! {
    /// The cell of the task that this thread polls.
    static POLLED: Cell<CellId> = const { Cell::new(NO_CELL) };
}

/// Spread over several locks, because every poll on every worker looks its task up.
static TASKS: [Mutex<Option<Shard>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];
const SHARDS: usize = 32;
type Shard = HashMap<Id, CellId, BuildHasherDefault<IdHasher>>;

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

fn shard(id: Id) -> MutexGuard<'static, Option<Shard>> {
    let mut hasher = IdHasher::default();
    id.hash(&mut hasher);
    let index = (hasher.0 as usize) % SHARDS;
    TASKS[index].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a runtime tell which task it spawns, polls and ends, so that what a task prints can go
/// under its cell.
pub(crate) fn watch(builder: &mut Builder) -> &mut Builder {
    builder
        .on_task_spawn(|task| {
            let cell = current_cell();
            shard(task.id())
                .get_or_insert_default()
                .insert(task.id(), cell);
        })
        .on_before_task_poll(|task| {
            let cell = shard(task.id())
                .as_ref()
                .and_then(|shard| shard.get(&task.id()).copied());
            POLLED.set(cell.unwrap_or(NO_CELL));
        })
        .on_after_task_poll(|_| POLLED.set(NO_CELL))
        .on_task_terminate(|task| {
            if let Some(shard) = shard(task.id()).as_mut() {
                shard.remove(&task.id());
            }
        })
}

/// The cell that the calling thread works for.
pub(crate) fn current_cell() -> CellId {
    match POLLED.get() {
        NO_CELL => cell::foreground(),
        cell => cell,
    }
}

/// Whether the calling thread polls a task.
pub(crate) fn in_task() -> bool {
    POLLED.get() != NO_CELL
}
