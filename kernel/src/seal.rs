//! Whether what was built is still there as it was built: a list of its files with their lengths, written
//! last of all. An interrupted build has none, and what was lost or cut short since then is noticed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::write;

/// The name of the list.
const SEAL: &str = "ready";

/// The list of what is below a root; it is there as soon as that is.
pub fn file(root: &Path) -> PathBuf {
    root.join(SEAL)
}

/// Lists all that is in these folders below a root.
///
/// # Errors
/// Where something cannot be read or written.
pub fn put(root: &Path, folders: &[&str]) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut files)?;
    }
    let lines = files.iter().filter_map(|(path, length)| {
        let path = path.strip_prefix(root).ok()?;
        Some(format!("{length} {}\n", path.display()))
    });
    write(&file(root), &lines.collect::<String>())
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            collect(&path, files)?;
        } else if metadata.is_file() {
            files.push((path, metadata.len()));
        }
    }
    Ok(())
}

/// Whether there is a list, and everything on it is as it says.
pub fn is_whole(root: &Path) -> bool {
    let Ok(seal) = fs::read_to_string(file(root)) else {
        return false;
    };
    seal.lines().all(|line| {
        line.split_once(' ').is_some_and(|(length, path)| {
            let found = fs::metadata(root.join(path)).map(|metadata| metadata.len());
            found.is_ok_and(|found| Ok(found) == length.parse())
        })
    })
}

/// Takes the list away, and all that is in these folders.
///
/// # Errors
/// Where something cannot be removed.
pub fn clear(root: &Path, folders: &[&str]) -> io::Result<()> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    missing_is_fine(fs::remove_file(file(root)))?;
    let remove = |folder| missing_is_fine(fs::remove_dir_all(root.join(folder)));
    folders.iter().try_for_each(remove)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_or_cut_short_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("kept/below/a b");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "whole").unwrap();
        assert!(!is_whole(root.path()));
        put(root.path(), &["kept"]).unwrap();
        assert!(is_whole(root.path()));
        fs::write(&file, "who").unwrap();
        assert!(!is_whole(root.path()));
        fs::remove_file(&file).unwrap();
        assert!(!is_whole(root.path()));
        clear(root.path(), &["kept", "never there"]).unwrap();
        assert!(fs::read_dir(root.path()).unwrap().next().is_none());
    }
}
