//! The folder of one session: what evcxr compiles in, and the socket of the cell process.
//!
//! ```text
//! <cache>/morceaux/sessions/<id>/
//!     lock                held as long as the kernel lives; a folder whose lock is free is swept
//!     kernel.sock         where the cell process finds the kernel
//!     .cargo/config.toml  makes cargo use our wrapper and our manifest of tokio, without a word in
//!                         anyone's environment
//!     cells/              evcxr's own folder, below that configuration
//!     std-source          where rust-analyzer looks for the standard library's source
//! ```

use std::fs::{self, DirBuilder, File, FileTimes};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::prebuilt::Prebuilt;

/// Removed when dropped, and by any later kernel if this one is killed.
#[derive(Debug)]
pub struct SessionDir {
    path: PathBuf,
    _lock: File,
}

impl SessionDir {
    /// Where the folder of this session is to be; nothing is there yet.
    ///
    /// # Errors
    /// Where the user has no home folder.
    pub fn choose() -> anyhow::Result<PathBuf> {
        let cache = dirs::cache_dir().context("the home folder is not known; set HOME")?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        // Short, since the path of a socket may have no more than about a hundred bytes.
        Ok(cache.join("morceaux/sessions").join(&id[..12]))
    }

    /// Makes an empty folder, and removes those that killed kernels have left beside it.
    ///
    /// # Errors
    /// Where the user's cache folder cannot be written to.
    pub fn create(path: &Path) -> anyhow::Result<SessionDir> {
        let sessions = path.parent().context("a session folder lies in a folder")?;
        let create = || -> std::io::Result<SessionDir> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(sessions)?;
            // One at a time, so that nobody sweeps a folder whose lock is about to be taken.
            let all = File::create(sessions.join(".lock"))?;
            all.lock()?;
            sweep(sessions);
            DirBuilder::new().mode(0o700).create(path)?;
            let lock = File::create(path.join("lock"))?;
            lock.lock()?;
            Ok(SessionDir {
                path: path.to_owned(),
                _lock: lock,
            })
        };
        create().with_context(|| {
            format!(
                "{} cannot be written to; is the disk full?",
                sessions.display()
            )
        })
    }

    /// The folder that evcxr works in.
    pub fn cells(&self) -> PathBuf {
        cells(&self.path)
    }

    /// The socket of the cell process.
    pub fn socket(&self) -> PathBuf {
        self.path.join("kernel.sock")
    }

    /// Fills the folder with what is compiled already.
    pub fn fill(&self, prebuilt: &Prebuilt) -> anyhow::Result<()> {
        let template = prebuilt.template();
        link_tree(&template, &self.path)
            .with_context(|| format!("{} cannot be copied", template.display()))
    }

    /// Where rust-analyzer looks for the standard library's source.
    pub fn std_source(&self) -> PathBuf {
        std_source(&self.path)
    }

    /// Lets rust-analyzer find an empty standard library. It reads it as often as the dependencies
    /// change, and what evcxr compiles first, to try itself out, needs none.
    pub fn hide_std(&self) -> anyhow::Result<()> {
        // What has no `core` is not taken for a standard library.
        fs::create_dir_all(self.std_source().join("core"))?;
        Ok(())
    }

    /// Lets rust-analyzer find the real one.
    pub fn show_std(&self, prebuilt: &Prebuilt) -> anyhow::Result<()> {
        let link = self.std_source();
        fs::remove_dir_all(&link)?;
        std::os::unix::fs::symlink(prebuilt.std_source(), &link)?;
        Ok(())
    }

    /// Makes cargo use our wrapper, and our manifest of tokio, below the folder.
    pub fn write_cargo_config(&self, prebuilt: &Prebuilt) -> anyhow::Result<()> {
        let wrapper = prebuilt.rustc_wrapper();
        let wrapper = wrapper.to_str().context("its path is not UTF-8")?;
        let tokio = prebuilt.cell_crates().join("tokio");
        let tokio = tokio.to_str().context("its path is not UTF-8")?;
        fs::create_dir_all(self.path.join(".cargo"))?;
        let config = format!(
            "[build]\nrustc-wrapper = {wrapper:?}\n\n[patch.crates-io]\ntokio = {{ path = {tokio:?} }}\n"
        );
        fs::write(self.path.join(".cargo/config.toml"), config)?;
        Ok(())
    }

    /// Makes what was compiled in this folder the template of later ones.
    pub fn keep_as_template(&self, prebuilt: &Prebuilt) -> anyhow::Result<()> {
        let template = prebuilt.template();
        let _ = fs::remove_dir_all(&template);
        let copy = || -> std::io::Result<()> {
            for part in [".cargo", "cells"] {
                fs::create_dir_all(template.join(part))?;
                link_tree(&self.path.join(part), &template.join(part))?;
            }
            Ok(())
        };
        copy().with_context(|| format!("{} cannot be written", template.display()))
    }

    /// Puts the template's lock file back in place. evcxr first compiles without any dependency,
    /// which makes cargo forget the versions that everything is compiled for.
    pub fn restore_lock_file(&self, prebuilt: &Prebuilt) -> anyhow::Result<()> {
        let from = cells(&prebuilt.template()).join("Cargo.lock");
        fs::copy(&from, self.cells().join("Cargo.lock"))
            .with_context(|| format!("{} cannot be copied", from.display()))?;
        Ok(())
    }
}

impl Drop for SessionDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The folder that evcxr works in, in a session folder.
pub fn cells(session: &Path) -> PathBuf {
    session.join("cells")
}

/// Where rust-analyzer looks for the standard library's source, in a session folder.
pub fn std_source(session: &Path) -> PathBuf {
    session.join("std-source")
}

fn sweep(sessions: &Path) {
    let folders = fs::read_dir(sessions).into_iter().flatten().flatten();
    for folder in folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let lock = File::open(folder.path().join("lock"));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

/// Copies a tree. Compiled crates are linked instead, which costs neither time nor space: rustc
/// replaces such files, and never writes into them.
fn link_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&to)?;
            link_tree(&from, &to)?;
            continue;
        }
        let compiled = ["rlib", "rmeta", "so", "dylib"].iter().any(|extension| {
            from.extension()
                .is_some_and(|of_file| of_file == *extension)
        });
        if compiled && fs::hard_link(&from, &to).is_ok() {
            continue;
        }
        fs::copy(&from, &to)?;
        // cargo compares the times of what it has built.
        let modified = entry.metadata()?.modified()?;
        File::options()
            .append(true)
            .open(&to)?
            .set_times(FileTimes::new().set_modified(modified))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_with_its_times() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        for name in ["a/x.rlib", "a/x.d"] {
            let file = File::create(from.path().join(name)).unwrap();
            let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30);
            file.set_times(FileTimes::new().set_modified(past)).unwrap();
        }
        link_tree(from.path(), to.path()).unwrap();
        for name in ["a/x.rlib", "a/x.d"] {
            let time = |folder: &Path| folder.join(name).metadata().unwrap().modified().unwrap();
            assert_eq!(time(from.path()), time(to.path()), "{name}");
        }
    }

    #[test]
    fn only_folders_that_nobody_holds_are_swept() {
        let sessions = tempfile::tempdir().unwrap();
        let lock = |name: &str| {
            fs::create_dir(sessions.path().join(name)).unwrap();
            File::create(sessions.path().join(name).join("lock")).unwrap()
        };
        let held = lock("held");
        held.lock().unwrap();
        drop(lock("left"));
        sweep(sessions.path());
        assert!(sessions.path().join("held").exists());
        assert!(!sessions.path().join("left").exists());
    }
}
