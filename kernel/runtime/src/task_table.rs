//! Which tasks there are, and whose: a table in a file that the kernel reads when this process has died,
//! to say what is lost.
//!
//! A task lies where its id says, in one word, so that runtimes note and look up tasks without a lock:
//! they do so whenever one is spawned, polled or ended. What finds its place taken (by a task 65,536
//! ids older that still lives) lies in a map.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use crate::task_words::{BY_ITSELF, CELL_MASK, ID_SHIFT, Task, file_name, read};

/// How many places there are.
const PLACES: usize = 1 << 16;

/// The table.
pub(crate) struct TaskTable {
    places: &'static [AtomicU64],
    displaced: Mutex<HashMap<u64, Task>>,
    /// How many there are of the latter: mostly none, and then nobody has to look.
    displaced_count: AtomicUsize,
}

static TABLE: OnceLock<TaskTable> = OnceLock::new();

/// Puts the table into a file of the session's folder. Where that cannot be (its disk is full, say), the
/// kernel will not be able to name lost tasks.
pub(crate) fn share(folder: &Path) {
    let file = File::create_new(folder.join(file_name(std::process::id())));
    if let Ok(file) = file {
        // Really there, so that a disk that is full later does not end the process when it is written to.
        let length = (PLACES * size_of::<u64>()) as u64;
        if fallocate(&file, FallocateFlags::empty(), 0, length).is_ok() {
            let _ = TABLE.set(TaskTable::of(Some(&file)));
        }
    }
}

/// The table of this process.
pub(crate) fn table() -> &'static TaskTable {
    TABLE.get_or_init(|| TaskTable::of(None))
}

impl TaskTable {
    fn of(file: Option<&File>) -> TaskTable {
        let length = PLACES * size_of::<u64>();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, which stays for as long as the process lives; all zeros, or whatever
        // else the file may hold, is a value of the atomics that it is taken for.
        let places = unsafe {
            let mapped = file.map_or(Err(rustix::io::Errno::NOENT), |file| {
                mmap(
                    std::ptr::null_mut(),
                    length,
                    access,
                    MapFlags::SHARED,
                    file,
                    0,
                )
            });
            let mapped = mapped.or_else(|_| {
                mmap_anonymous(std::ptr::null_mut(), length, access, MapFlags::PRIVATE)
            });
            mapped.map(|start| std::slice::from_raw_parts(start.cast(), PLACES))
        };
        TaskTable {
            // Without memory, all are displaced.
            places: places.unwrap_or_default(),
            displaced: Mutex::default(),
            displaced_count: AtomicUsize::new(0),
        }
    }

    fn place(&self, id: u64) -> Option<&AtomicU64> {
        self.places.get((id as usize) % PLACES)
    }

    fn displaced(&self) -> MutexGuard<'_, HashMap<u64, Task>> {
        self.displaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn has_displaced(&self) -> bool {
        self.displaced_count.load(Ordering::Acquire) > 0
    }

    /// Notes a task.
    pub(crate) fn insert(&self, id: u64, task: Task) {
        let taken = self.place(id).is_none_or(|place| {
            let noted =
                place.compare_exchange(0, word(id, task), Ordering::AcqRel, Ordering::Acquire);
            noted.is_err()
        });
        if taken {
            let mut displaced = self.displaced();
            displaced.insert(id, task);
            self.displaced_count
                .store(displaced.len(), Ordering::Release);
        }
    }

    /// What is known of a task.
    pub(crate) fn get(&self, id: u64) -> Option<Task> {
        let word = self
            .place(id)
            .map_or(0, |place| place.load(Ordering::Acquire));
        if is_of(word, id) {
            return read(word).map(|(_, task)| task);
        }
        let displaced = || self.displaced().get(&id).copied();
        self.has_displaced().then(displaced).flatten()
    }

    /// Takes a task out that has ended, in the one order of all that is `SeqCst`.
    pub(crate) fn remove(&self, id: u64) {
        if let Some(place) = self.place(id)
            && is_of(place.load(Ordering::Acquire), id)
        {
            place.swap(0, Ordering::SeqCst);
        } else if self.has_displaced() {
            let mut displaced = self.displaced();
            displaced.remove(&id);
            self.displaced_count
                .store(displaced.len(), Ordering::Release);
        }
    }

    /// All tasks of which one thing holds.
    pub(crate) fn find(&self, holds: impl Fn(Task) -> bool) -> Vec<u64> {
        let words = self
            .places
            .iter()
            .map(|place| place.load(Ordering::Acquire));
        let displaced = self.displaced().clone();
        let all = words.filter_map(read).chain(displaced);
        all.filter(|(_, task)| holds(*task))
            .map(|(id, _)| id)
            .collect()
    }
}

fn word(id: u64, task: Task) -> u64 {
    let by_itself = if task.runs_by_itself { BY_ITSELF } else { 0 };
    (id << ID_SHIFT) | by_itself | (task.cell & CELL_MASK)
}

/// Whether a word is that of the task with this id.
fn is_of(word: u64, id: u64) -> bool {
    word != 0 && word >> ID_SHIFT == (id << ID_SHIFT) >> ID_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_words::RUNNING;

    const TASK: Task = Task {
        cell: 7,
        runs_by_itself: true,
    };

    #[test]
    fn a_task_is_found_until_it_ends() {
        let table = TaskTable::of(None);
        let other = Task {
            cell: RUNNING,
            runs_by_itself: false,
        };
        table.insert(1, TASK);
        table.insert(2, other);
        assert_eq!(
            [table.get(1), table.get(2), table.get(3)],
            [Some(TASK), Some(other), None]
        );
        assert_eq!(table.find(|task| task.runs_by_itself), [1]);
        table.remove(1);
        assert_eq!(table.get(1), None);
    }

    #[test]
    fn tasks_of_one_place_are_told_apart() {
        let table = TaskTable::of(None);
        let ids = [5, 5 + PLACES as u64, 5 + 2 * PLACES as u64];
        for (cell, id) in (1..).zip(ids) {
            table.insert(id, Task { cell, ..TASK });
        }
        let cells = || ids.map(|id| table.get(id).map(|task| task.cell));
        assert_eq!(cells(), [Some(1), Some(2), Some(3)]);
        let mut found = table.find(|_| true);
        found.sort_unstable();
        assert_eq!(found, ids);
        table.remove(ids[1]);
        assert_eq!(cells(), [Some(1), None, Some(3)]);
        table.remove(ids[0]);
        table.remove(ids[2]);
        assert_eq!(cells(), [None; 3]);
        assert!(!table.has_displaced());
    }
}
