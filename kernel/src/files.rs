//! Writing files, with errors that name them.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;

use crate::declarations;

/// Folders of a crate's source that no type comes from.
const LEFT_OUT: [&str; 2] = ["tests", "benches"];

/// Makes a folder and those above it.
pub fn create_dir(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))
}

/// Writes a file unless it has this content, so that cargo sees no change where there is none.
pub fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        if fs::read(path).is_ok_and(|old| old == content.as_bytes()) {
            return Ok(());
        }
        fs::write(path, content)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Copies what declares types in the Rust files of a tree.
///
/// # Errors
/// Where something cannot be read or written.
pub fn copy_declarations(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT
                .iter()
                .any(|left_out| entry.file_name() == *left_out)
            {
                copy_declarations(&entry.path(), &to)?;
            }
        } else if to.extension().is_some_and(|extension| extension == "rs") {
            fs::write(to, declarations::only(&fs::read_to_string(entry.path())?))?;
        }
    }
    Ok(())
}
