//! The part of the standard library's source that inference needs. rust-analyzer reads every file
//! that it is shown, and the library's folder holds more tests, architectures' intrinsics and
//! vendored crates than library.

use std::io;
use std::path::Path;

use crate::files;

/// The crates whose types appear in cells.
const CRATES: [&str; 4] = ["core", "alloc", "std", "proc_macro"];

/// Copies what is needed.
///
/// # Errors
/// Where something cannot be read or written.
pub fn copy(library: &Path, to: &Path) -> io::Result<()> {
    for name in CRATES {
        files::copy_declarations(&library.join(name).join("src"), &to.join(name).join("src"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn sources_are_copied_and_tests_are_not() {
        let (library, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in CRATES {
            let source = library.path().join(name).join("src");
            fs::create_dir_all(source.join("tests")).unwrap();
            fs::write(source.join("lib.rs"), name).unwrap();
            fs::write(source.join("tests/a.rs"), "").unwrap();
            fs::write(source.join("README.md"), "").unwrap();
        }
        copy(library.path(), to.path()).unwrap();
        let copied = |path: &str| to.path().join("core/src").join(path).exists();
        assert!(copied("lib.rs") && !copied("tests") && !copied("README.md"));
    }
}
