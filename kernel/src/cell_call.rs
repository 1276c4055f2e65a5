//! How rustc is called to build a cell. cargo works that out, and our rustc wrapper remembers it in the
//! folder in which evcxr compiles: as long as only the cell changes, the next one needs the same call
//! and no cargo.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rustc_wrapper::{allow_checkpoints, value_of};

/// The environment variable by which the wrapper learns of [`CellCall::key`].
pub const KEY_VAR: &str = "MORCEAUX_CALL_KEY";

/// The file in which it is remembered.
const FILE: &str = "rustc-call";

/// Of a source of so many bytes or fewer, blanks not counted, nothing is kept for the next compilation,
/// and the machine code is one unit: for little code, keeping and dividing cost more than they save.
const SMALL: usize = 6_000;

/// A call of rustc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellCall {
    /// Stands for all that the call was made from; empty where that is not known.
    pub key: OsString,
    /// rustc.
    pub program: OsString,
    /// What it is told.
    pub args: Vec<OsString>,
    /// What cargo had put into its environment, names and values.
    pub environment: Vec<(OsString, OsString)>,
}

impl CellCall {
    /// The call that the wrapper is about to make.
    pub fn new(program: OsString, args: Vec<OsString>) -> CellCall {
        let mut environment: Vec<_> = std::env::vars_os().collect();
        let key = environment.iter().position(|(name, _)| name == KEY_VAR);
        CellCall {
            key: key.map_or_else(OsString::new, |at| environment.remove(at).1),
            program,
            args,
            environment,
        }
    }

    /// Remembers it in the folder in which evcxr compiles.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn remember(&self, folder: &Path) -> io::Result<()> {
        let environment = self.environment.iter();
        let words: Vec<&[u8]> = [&self.key, &self.program]
            .into_iter()
            .chain(&self.args)
            .map(|word| word.as_bytes())
            // No argument of rustc's is empty.
            .chain([&b""[..]])
            .chain(environment.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]))
            .collect();
        fs::write(folder.join(FILE), words.join(&0))
    }

    /// The one that was remembered in a folder in which evcxr compiles.
    pub fn recall(folder: &Path) -> Option<CellCall> {
        let call = fs::read(folder.join(FILE)).ok()?;
        let mut words = call
            .split(|byte| *byte == 0)
            .map(|word| OsString::from_vec(word.to_vec()));
        let (key, program) = (words.next()?, words.next()?);
        let args = words.by_ref().take_while(|word| !word.is_empty()).collect();
        let environment = std::iter::from_fn(|| Some((words.next()?, words.next()?))).collect();
        Some(CellCall {
            key,
            program,
            args,
            environment,
        })
    }

    /// Whether the libraries that it names are there.
    pub fn has_its_libraries(&self) -> bool {
        let mut externs = self.args.windows(2).filter(|pair| pair[0] == "--extern");
        externs.all(|pair| {
            let file = pair[1].to_str().and_then(|extern_| extern_.split_once('='));
            file.is_some_and(|(_, file)| Path::new(file).exists())
        })
    }

    /// Where the library is put that it makes.
    pub fn library(&self) -> Option<PathBuf> {
        let name = value_of(&self.args, "--crate-name")?.to_str()?;
        let library = format!("lib{name}{}", std::env::consts::DLL_SUFFIX);
        Some(Path::new(value_of(&self.args, "--out-dir")?).join(library))
    }

    /// The arguments with which it builds this source.
    pub fn args_for(&self, source: &str) -> Vec<OsString> {
        let size: usize = source.split_whitespace().map(str::len).sum();
        if size > SMALL {
            return self.args.clone();
        }
        let mut args: Vec<OsString> = Vec::new();
        for arg in &self.args {
            if arg.as_bytes().starts_with(b"incremental=") {
                args.pop_if(|before| before == OsStr::new("-C"));
            } else {
                args.push(arg.clone());
            }
        }
        args.extend(["-C", "codegen-units=1"].map(OsString::from));
        args
    }

    /// The program in its environment, which may compile this source but is not told to.
    pub fn command(&self, source: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment.iter().cloned());
        allow_checkpoints(&mut command, source);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> CellCall {
        CellCall {
            key: "k".into(),
            program: "rustc".into(),
            args: [
                "--out-dir",
                "/d",
                "--crate-name",
                "ctx",
                "-C",
                "incremental=/i",
            ]
            .map(OsString::from)
            .to_vec(),
            environment: vec![("A".into(), "b".into()), ("EMPTY".into(), "".into())],
        }
    }

    #[test]
    fn what_is_remembered_is_recalled() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(CellCall::recall(folder.path()), None);
        call().remember(folder.path()).unwrap();
        assert_eq!(CellCall::recall(folder.path()), Some(call()));
    }

    #[test]
    fn little_code_is_compiled_in_one_piece_and_much_is_not() {
        let little = call().args_for("fn a() {}");
        assert_eq!(little[4..], ["-C", "codegen-units=1"].map(OsString::from));
        let much = "fn a() { println!() }\n".repeat(SMALL / 10);
        assert_eq!(call().args_for(&much), call().args);
    }

    #[test]
    fn the_library_is_in_the_folder_of_the_output() {
        assert_eq!(call().library().unwrap(), Path::new("/d/libctx.so"));
    }
}
