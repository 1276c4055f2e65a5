//! Runtimes that nobody uses any more: of earlier versions of the kernel, and of toolchains that have been
//! updated. Each takes some hundred megabytes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::seal;

/// How many are kept that are not in use: those of other toolchains, mostly.
const KEPT: usize = 3;

/// Marks a runtime as used now, and as in use for as long as the file lives.
///
/// # Errors
/// Where it is not there.
pub fn mark_used(root: &Path) -> io::Result<File> {
    let file = File::open(seal::file(root))?;
    file.lock_shared()?;
    // Another user's cannot be marked; that one marks it.
    let _ = file.set_modified(SystemTime::now());
    Ok(file)
}

/// Removes those beside this one that were used longest ago. What cannot be removed stays.
pub fn remove_beside(root: &Path) {
    let others = root.parent().and_then(|folder| fs::read_dir(folder).ok());
    let others = others.into_iter().flatten().flatten();
    let others = others.map(|entry| entry.path()).filter(|path| path != root);
    let mut unused: Vec<(SystemTime, PathBuf, File)> = others
        .filter_map(|path| {
            let file = File::open(seal::file(&path)).ok()?;
            file.try_lock().ok()?;
            Some((file.metadata().ok()?.modified().ok()?, path, file))
        })
        .collect();
    unused.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
    for (_, path, _lock) in unused.iter().skip(KEPT) {
        if let Err(error) = fs::remove_dir_all(path) {
            tracing::warn!(
                "{} is not used any more, and cannot be removed: {error}",
                path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_used_longest_ago_is_removed_unless_it_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = |age: u64| {
            let root = folder.path().join(age.to_string());
            fs::create_dir(&root).unwrap();
            let file = File::create(seal::file(&root)).unwrap();
            let used = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(used).unwrap();
            root
        };
        let [newest, one, two, three, four, five] = [0, 1, 2, 3, 4, 5].map(runtime);
        let in_use = mark_used(&five).unwrap();
        remove_beside(&newest);
        assert!(
            [&newest, &one, &two, &three, &five]
                .iter()
                .all(|root| root.exists())
        );
        assert!(!four.exists());
        drop(in_use);
        remove_beside(&newest);
        // It counts as used just now.
        assert!(five.exists() && !three.exists());
    }
}
