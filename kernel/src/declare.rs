//! Telling evcxr of variables that a cell has handed over. They lie in the store already, so there is
//! nothing to be compiled: evcxr is given `let`s with types, and what it asks cargo to build of them is
//! an empty file (see `cargo.rs`), which the cell process takes for a cell that does nothing.
//!
//! It lets rust-analyzer look at all variables that there are (24 ms for 200), so it is told when
//! nothing else is to be done, or when a cell may need what it does not know.

use std::collections::BTreeSet;
use std::env::consts::DLL_SUFFIX;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use evcxr::{CommandContext, Error};

use crate::cell_source::Binding;
use crate::error::CellError;
use crate::rustc_wrapper::CELL;
use crate::wire::Variable;
use crate::words::words;

/// Where this file is, in the folder in which evcxr compiles, there is nothing to be compiled.
const MARK: &str = "declares";

/// The variables of which evcxr does not know yet.
#[derive(Debug, Default)]
pub struct Declarations {
    lets: String,
    names: BTreeSet<String>,
    /// The cell process that has them.
    process: u32,
}

impl Declarations {
    /// Adds variables that a cell has bound and handed over.
    pub fn add(&mut self, variables: &[Variable], bindings: &[Binding]) {
        for Variable { name, type_name } in variables {
            let mut of_name = bindings.iter().filter(|binding| binding.name == *name);
            let mutable = of_name.any(|binding| binding.mutable);
            let mutable = if mutable { "mut " } else { "" };
            let _ = write!(self.lets, "let {mutable}{name}: {type_name}; ");
            self.names.insert(name.clone());
        }
    }

    /// Forgets them if the cell process that had them has ended.
    pub fn forget_lost(&mut self, context: &CommandContext) {
        let process = context.process_handle();
        let process = process.lock().unwrap_or_else(PoisonError::into_inner).id();
        if self.process != process {
            *self = Declarations {
                process,
                ..Declarations::default()
            };
        }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether code has the name of one. A macro may make a name of parts, which is found out when the code
    /// is compiled.
    pub fn are_named_in(&self, code: &str) -> bool {
        words(code).any(|word| {
            self.names()
                .any(|name| name.trim_start_matches("r#") == word)
        })
    }

    /// Whether one may have been meant by a name that is not there: a macro has made it of parts, or rustc
    /// would propose it, which it does for names that differ in a third of their letters at most.
    pub fn may_be_meant_by(&self, name: &str) -> bool {
        let most = name.len().max(3) / 3;
        self.names()
            .any(|known| strsim::osa_distance(known, name) <= most)
    }

    /// Tells evcxr, in whose folder that is. What it does not take is left to be told.
    ///
    /// # Errors
    /// evcxr's own. Where the cell process has ended, so have the variables.
    pub fn tell(&mut self, context: &mut CommandContext, folder: &Path) -> Result<(), Error> {
        self.forget_lost(context);
        if self.is_empty() {
            return Ok(());
        }
        let mark = folder.join(MARK);
        fs::write(&mark, "")?;
        tracing::debug!("telling evcxr");
        let told = context.execute(&self.lets);
        tracing::debug!("evcxr knows the variables");
        // Without it, the next cell would not be compiled.
        fs::remove_file(mark)?;
        if matches!(told, Ok(_) | Err(Error::SubprocessTerminated(_))) {
            self.lets.clear();
            self.names.clear();
        }
        told.map(drop)
    }
}

/// What the user is told where evcxr does not take them.
pub fn not_told(error: &Error) -> CellError {
    CellError::Kernel {
        message: format!("evcxr cannot be told of earlier cells' variables: {error}"),
    }
}

/// The file to be loaded for what is to be built in evcxr's folder, where that is nothing.
///
/// # Errors
/// Where it cannot be made.
pub fn nothing_to_build(folder: &Path) -> io::Result<Option<PathBuf>> {
    if !folder.join(MARK).exists() {
        return Ok(None);
    }
    // evcxr looks for a library of this name, and gives it another one.
    let nothing = folder.join(format!("lib{CELL}{DLL_SUFFIX}"));
    File::create(&nothing)?;
    Ok(Some(nothing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_source::CellSource;

    #[test]
    fn variables_are_declared_as_they_were_bound() {
        let variable = |name: &str, type_name: &str| Variable {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
        };
        let mut declarations = Declarations::default();
        let bindings = CellSource::new("let mut a = 1; let (b, c) = d;").bindings();
        declarations.add(&[variable("a", "i32"), variable("b", "Vec<u8>")], &bindings);
        assert_eq!(declarations.lets, "let mut a: i32; let b: Vec<u8>; ");
    }

    #[test]
    fn a_name_that_is_not_there_may_mean_a_similar_one() {
        let mut declarations = Declarations::default();
        let [name, type_name] = ["counter", "i32"].map(str::to_owned);
        declarations.add(&[Variable { name, type_name }], &[]);
        let meant = |name: &&str| declarations.may_be_meant_by(name);
        let names = ["counter", "couters", "conter", "count", "undefined", "c"];
        assert_eq!(
            Vec::from_iter(names.into_iter().filter(meant)),
            ["counter", "couters", "conter"]
        );
        assert!(
            declarations.are_named_in("f\"{counter}\"") && !declarations.are_named_in("counters")
        );
    }

    #[test]
    fn only_what_is_marked_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(nothing_to_build(folder.path()).unwrap(), None);
        fs::write(folder.path().join(MARK), "").unwrap();
        let nothing = nothing_to_build(folder.path()).unwrap().unwrap();
        assert_eq!(fs::metadata(nothing).unwrap().len(), 0);
    }
}
