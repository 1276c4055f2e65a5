//! Which tasks a cell process has left behind when it died: it kept them in a file, see the runtime's
//! `task_table.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::task_words::{file_name, read};
use crate::wire::CellId;

/// How many tasks each cell had.
pub type LostTasks = BTreeMap<CellId, usize>;

/// The file of one process. Removed when dropped.
#[derive(Debug)]
pub struct TaskFile {
    path: PathBuf,
}

impl TaskFile {
    /// That of a process of the session.
    pub fn of(session: &Path, process: u32) -> TaskFile {
        TaskFile {
            path: session.join(file_name(process)),
        }
    }

    /// The tasks that had not ended.
    pub fn tasks(&self) -> LostTasks {
        // Without the file, nothing is known of tasks.
        let bytes = fs::read(&self.path).unwrap_or_default();
        let (words, _) = bytes.as_chunks();
        let mut tasks = LostTasks::new();
        for (_, task) in words
            .iter()
            .filter_map(|word| read(u64::from_ne_bytes(*word)))
        {
            *tasks.entry(task.cell).or_default() += 1;
        }
        tasks
    }
}

impl Drop for TaskFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
