//! The folder of one session: what evcxr compiles in, and the socket of the cell process.
//!
//! ```text
//! <cache>/morceaux/sessions/<id>/
//!     lock                held as long as the kernel lives; a folder whose lock is free is swept
//!     kernel.sock         where the cell process finds the kernel
//!     .cargo/config.toml  makes cargo use our wrapper and our manifest of tokio, without a word in
//!                         anyone's environment
//!     cells/              evcxr's own folder, below that configuration
//!     cargo/bin/          the programs that evcxr is to find, see `programs.rs`
//!     std-source          where rust-analyzer looks for the standard library's source
//! ```

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::prebuilt::Prebuilt;
use crate::programs::Programs;

/// The file that is locked for as long as the kernel lives.
const LOCK: &str = "lock";

/// How often a kernel tries to remove what others have left, and the time in between.
const SWEEPS: u32 = 50;
const SWEEP_PAUSE: Duration = Duration::from_millis(200);

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
        let create = || -> io::Result<SessionDir> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(sessions)?;
            let _all = lock_all(sessions)?;
            DirBuilder::new().mode(0o700).create(path)?;
            let lock = File::create(path.join(LOCK))?;
            lock.lock()?;
            Ok(SessionDir {
                path: path.to_owned(),
                _lock: lock,
            })
        };
        let sessions_of_others = sessions.to_owned();
        std::thread::spawn(move || sweep_until_done(&sessions_of_others));
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

    /// The programs that evcxr is to find.
    pub fn programs(&self) -> Programs {
        Programs::of_session(&self.path)
    }

    /// Where rust-analyzer looks for the standard library's source.
    pub fn std_source(&self) -> PathBuf {
        std_source(&self.path)
    }

    /// Lets rust-analyzer find an empty standard library, and none of the dependencies.
    pub fn hide_std(&self) -> anyhow::Result<()> {
        // What has no `core` is not taken for a standard library.
        fs::create_dir_all(self.std_source().join("core"))?;
        Ok(())
    }

    /// Lets rust-analyzer find the real one, and all dependencies.
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
        let copy = || -> io::Result<()> {
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

/// Whether there is a session folder, and nobody has removed what was in it.
pub fn is_there(session: &Path) -> bool {
    session.join(LOCK).exists()
}

/// Where rust-analyzer looks for the standard library's source, in a session folder.
pub fn std_source(session: &Path) -> PathBuf {
    session.join("std-source")
}

/// One kernel at a time makes or sweeps folders, so that nobody sweeps one whose lock is about to be
/// taken.
fn lock_all(sessions: &Path) -> io::Result<File> {
    let all = File::create(sessions.join(".lock"))?;
    all.lock()?;
    Ok(all)
}

/// Removes what killed kernels have left. What their compilers still write into withstands for a while.
fn sweep_until_done(sessions: &Path) {
    for _ in 0..SWEEPS {
        let Ok(all) = lock_all(sessions) else { return };
        if sweep(sessions) {
            return;
        }
        drop(all);
        std::thread::sleep(SWEEP_PAUSE);
    }
}

/// Returns whether everything that was left is gone.
fn sweep(sessions: &Path) -> bool {
    let folders = fs::read_dir(sessions).into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|folder| folder.path())
        .filter(|folder| is_left(folder))
        .all(|folder| fs::remove_dir_all(folder).is_ok())
}

/// Whether nobody holds the folder's lock. Where there is none, somebody has begun to remove the folder
/// and not finished.
fn is_left(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Copies a tree. Compiled crates are linked instead, which costs neither time nor space: rustc
/// replaces such files, and never writes into them.
fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
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
        drop(lock("half removed"));
        fs::remove_file(sessions.path().join("half removed/lock")).unwrap();
        assert!(sweep(sessions.path()));
        let there = |name: &str| sessions.path().join(name).exists();
        assert!(there("held") && !there("left") && !there("half removed"));
    }
}
