//! A bounded folder of things that can be made again, for several processes at once. An entry appears as
//! a whole, and goes as a whole; who is reading one that goes finds something missing.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How the names of entries begin that are still made, or removed.
const UNFINISHED: char = '.';

/// The file in an entry whose time says when it was used last.
const USED: &str = "used";

/// When what is unfinished has been left by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// See the module's documentation.
#[derive(Debug)]
pub struct CacheFolder {
    root: PathBuf,
    /// In bytes.
    limit: u64,
}

impl CacheFolder {
    /// A folder, which need not be there yet, for so many bytes.
    pub fn new(root: PathBuf, limit: u64) -> CacheFolder {
        CacheFolder { root, limit }
    }

    /// The folder of an entry, if it is there. It counts as used.
    pub fn entry(&self, key: &str) -> Option<PathBuf> {
        let entry = self.root.join(key);
        let used = File::open(entry.join(USED)).ok()?;
        // Where that cannot be noted, it only goes sooner.
        let _ = used.set_modified(SystemTime::now());
        Some(entry)
    }

    /// Makes an entry of what `fill` puts into a folder, unless another process has, and removes those
    /// that were used longest ago where there are too many.
    ///
    /// # Errors
    /// `fill`'s, and where the folder cannot be written to. Nothing of the entry is there then.
    pub fn put(&self, key: &str, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let unfinished = self.unfinished(key);
        let new_folder = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&unfinished)
        };
        let filled = new_folder()
            .and_then(|()| fill(&unfinished))
            .and_then(|()| File::create(unfinished.join(USED)).map(drop))
            .and_then(|()| fs::rename(&unfinished, self.root.join(key)));
        if filled.is_err() {
            fs::remove_dir_all(&unfinished)?;
        }
        self.prune()?;
        filled
    }

    /// Removes an entry, if it is there.
    pub fn remove(&self, key: &str) {
        let going = self.unfinished(key);
        if fs::rename(self.root.join(key), &going).is_ok() {
            // What stays of it counts as unfinished.
            let _ = fs::remove_dir_all(going);
        }
    }

    fn unfinished(&self, key: &str) -> PathBuf {
        self.root
            .join(format!("{UNFINISHED}{key}-{}", std::process::id()))
    }

    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        let now = SystemTime::now();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_unfinished = name.starts_with(UNFINISHED);
            let file = if is_unfinished {
                entry.path()
            } else {
                entry.path().join(USED)
            };
            // Another process may remove it meanwhile.
            let Ok(used) = fs::metadata(file).and_then(|file| file.modified()) else {
                continue;
            };
            if !is_unfinished {
                entries.push((used, size(&entry.path()), name));
            } else if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, name) in entries {
            if bytes <= self.limit {
                break;
            }
            self.remove(&name);
            bytes -= size;
        }
        Ok(())
    }
}

/// The bytes of the files in a folder; of what goes meanwhile, none.
fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let lengths = files.filter_map(|file| file.metadata().ok());
    lengths.map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &CacheFolder, key: &str) {
        cache
            .put(key, |folder| fs::write(folder.join("file"), [0; 10]))
            .unwrap();
    }

    #[test]
    fn what_was_used_longest_ago_goes() {
        let root = tempfile::tempdir().unwrap();
        let cache = CacheFolder::new(root.path().join("cache"), 25);
        put(&cache, "a");
        put(&cache, "b");
        let used = |key: &str, seconds| {
            let file = File::open(root.path().join("cache").join(key).join(USED)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
                .unwrap();
        };
        used("a", 1);
        used("b", 2);
        assert!(cache.entry("a").is_some());
        put(&cache, "c");
        assert_eq!(cache.entry("b"), None);
        assert!(cache.entry("a").is_some() && cache.entry("c").is_some());
    }

    #[test]
    fn an_entry_is_there_as_a_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let cache = CacheFolder::new(root.path().join("cache"), 25);
        let failed = cache.put("a", |folder| {
            fs::write(folder.join("file"), "half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_dir(root.path().join("cache")).unwrap().count(), 0);
        put(&cache, "a");
        // The other process was first.
        assert!(cache.put("a", |_| Ok(())).is_err());
        assert!(cache.entry("a").unwrap().join("file").exists());
    }
}
