//! The programs that evcxr and rust-analyzer find first in PATH: the toolchain's own, without the
//! proxies of rustup, which would look for the toolchain at each start, and this program in place of
//! cargo.
//!
//! ```text
//! <session>/cargo/bin/
//!     cargo, rustup   links to this program, see `cargo.rs` and below
//!     rustc           a link to the toolchain's
//!     real-cargo      a link to the toolchain's
//! ```
//!
//! rust-analyzer looks in CARGO_HOME before it looks in PATH, so `<session>/cargo` passes for that.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::prebuilt::Toolchain;
use crate::session_dir;

/// The names in the folder.
const CARGO: &str = "cargo";
const RUSTUP: &str = "rustup";
const RUSTC: &str = "rustc";
const REAL_CARGO: &str = "real-cargo";

/// Where cargo keeps what it has fetched, and the same as the user has it.
const HOME_VAR: &str = "CARGO_HOME";
const USERS_HOME_VAR: &str = "MORCEAUX_CARGO_HOME";

/// The folder described above.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Of a session.
    pub fn of_session(session: &Path) -> Programs {
        Programs {
            folder: session.join("cargo/bin"),
        }
    }

    /// The folder that the running program was started from, if it was started as `name` there.
    fn started_as(name: &str) -> Option<Programs> {
        let program = PathBuf::from(std::env::args_os().next()?);
        let program = match program.components().count() {
            1 => find_in(&std::env::var_os("PATH")?, program.as_os_str())?,
            _ => program,
        };
        let folder = program.parent()?.to_owned();
        let is_it = program.file_name()? == name && folder.join(REAL_CARGO).is_symlink();
        is_it.then_some(Programs { folder })
    }

    /// Where the running program was started as cargo, if it was.
    pub fn started_as_cargo() -> Option<Programs> {
        Self::started_as(CARGO)
    }

    /// Where the running program was started as rustup, if it was.
    pub fn started_as_rustup() -> Option<Programs> {
        Self::started_as(RUSTUP)
    }

    /// The toolchain's cargo.
    pub fn cargo(&self) -> PathBuf {
        self.folder.join(REAL_CARGO)
    }

    /// Puts the programs there.
    ///
    /// # Errors
    /// Where that is not possible.
    pub fn link(&self, toolchain: &Toolchain) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let link = || -> std::io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            symlink(&toolchain.rustc, self.folder.join(RUSTC))?;
            symlink(&toolchain.cargo, self.cargo())?;
            symlink(&program, self.folder.join(CARGO))?;
            symlink(&program, self.folder.join(RUSTUP))
        };
        link().with_context(|| format!("{} cannot be written", self.folder.display()))
    }

    /// Lets this process, and what it starts, find them.
    ///
    /// # Safety
    /// The process must have a single thread.
    pub unsafe fn set_environment(&self, path: &OsStr) {
        // SAFETY: as the caller promises.
        unsafe {
            if let Some(path) = self.before(path) {
                std::env::set_var("PATH", path);
            }
            if let Some(users) = std::env::var_os(HOME_VAR) {
                std::env::set_var(USERS_HOME_VAR, users);
            }
            if let Some(home) = self.folder.parent() {
                std::env::set_var(HOME_VAR, home);
            }
        }
    }

    /// Gives a program the environment that it would have without them: what the user's own code starts
    /// is none of their business, and cargo needs its home.
    pub fn leave_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(path) = self.without(&std::env::var_os("PATH").unwrap_or_default()) {
            command.env("PATH", path);
        }
        match std::env::var_os(USERS_HOME_VAR) {
            Some(home) => command.env(HOME_VAR, home),
            None => command.env_remove(HOME_VAR),
        };
        command.env_remove(USERS_HOME_VAR)
    }

    /// Whether rust-analyzer is to see no more than the notebook's own crate.
    pub fn hides_dependencies(&self) -> bool {
        let session = self.folder.parent().and_then(Path::parent);
        session.is_some_and(|session| !session_dir::std_source(session).is_symlink())
    }

    /// A PATH with the folder in front.
    fn before(&self, path: &OsStr) -> Option<OsString> {
        let others = std::env::split_paths(path);
        std::env::join_paths(std::iter::once(self.folder.clone()).chain(others)).ok()
    }

    /// A PATH without it.
    fn without(&self, path: &OsStr) -> Option<OsString> {
        let others = std::env::split_paths(path).filter(|folder| *folder != self.folder);
        std::env::join_paths(others).ok()
    }

    /// Answers as rustup, which evcxr asks where cargo and rustc are. Does not return where the question
    /// is another one.
    pub fn answer_as_rustup(&self) -> ExitCode {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        let words: Vec<_> = args.iter().map(|arg| arg.to_str()).collect();
        match words[..] {
            [Some("which"), Some(CARGO)] => println!("{}", self.folder.join(CARGO).display()),
            // Its real path, by which cargo knows it from the template.
            [Some("which"), Some(RUSTC)] => match fs::read_link(self.folder.join(RUSTC)) {
                Ok(rustc) => println!("{}", rustc.display()),
                Err(_) => return ExitCode::FAILURE,
            },
            _ => {
                let path = self.without(&std::env::var_os("PATH").unwrap_or_default());
                let path = path.unwrap_or_default();
                let Some(rustup) = find_in(&path, OsStr::new(RUSTUP)) else {
                    eprintln!("there is no rustup on the PATH; see https://rustup.rs");
                    return ExitCode::FAILURE;
                };
                let mut command = Command::new(rustup);
                let error = self.leave_environment(command.args(args)).exec();
                eprintln!("rustup cannot be started: {error}");
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

/// The first file of this name in the folders of a PATH.
pub fn find_in(path: &OsStr, name: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_comes_first_and_goes_again() {
        let programs = Programs::of_session(Path::new("/s"));
        let path = programs.before(OsStr::new("/a:/b")).unwrap();
        assert_eq!(path, "/s/cargo/bin:/a:/b");
        assert_eq!(programs.without(&path).unwrap(), "/a:/b");
    }

    #[test]
    fn the_first_file_of_a_name_is_found() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(first.path().join("x")).unwrap();
        fs::write(second.path().join("x"), "").unwrap();
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(
            find_in(&path, OsStr::new("x")),
            Some(second.path().join("x"))
        );
    }
}
