//! What the program carries to build the runtime from, wherever it is installed: the runtime crate's
//! source, and the versions of everything that it is made of.

use std::path::Path;

use anyhow::{Context, ensure};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::files;

static RUNTIME: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/runtime");
const WORKSPACE_MANIFEST: &str = include_str!("../../Cargo.toml");
const WORKSPACE_MEMBERS: &str = r#"members = ["kernel", "kernel/runtime"]"#;
/// The versions, as cargo's lock file.
pub const LOCK: &str = include_str!("../../Cargo.lock");

/// Writes a workspace that has the runtime crate as its only member.
///
/// # Errors
/// Where something cannot be written.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let runtime = folder.join("runtime");
    files::create_dir(&runtime)?;
    RUNTIME
        .extract(&runtime)
        .with_context(|| format!("{} cannot be written", runtime.display()))?;
    ensure!(
        WORKSPACE_MANIFEST.contains(WORKSPACE_MEMBERS),
        "the workspace has other members"
    );
    let manifest = WORKSPACE_MANIFEST.replace(WORKSPACE_MEMBERS, r#"members = ["runtime"]"#);
    files::write(&folder.join("Cargo.toml"), &manifest)?;
    files::write(&folder.join("Cargo.lock"), LOCK)
}

/// Adds all of it to a hash.
pub fn hash(hash: &mut Sha256) {
    hash.update(WORKSPACE_MANIFEST);
    hash.update(LOCK);
    hash_folder(&RUNTIME, hash);
}

fn hash_folder(folder: &Dir<'_>, hash: &mut Sha256) {
    for file in folder.files() {
        hash.update(file.path().as_os_str().as_encoded_bytes());
        hash.update(file.contents());
    }
    folder.dirs().for_each(|folder| hash_folder(folder, hash));
}

/// The version of a package in this program's lock file.
pub fn locked_version(package: &str) -> anyhow::Result<&'static str> {
    let entry = format!("name = \"{package}\"\nversion = \"");
    LOCK.split_once(&entry)
        .and_then(|(_, rest)| rest.split('"').next())
        .with_context(|| format!("{package} is not in the lock file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prebuilt::SHARED_CRATES;

    #[test]
    fn the_workspace_can_be_reduced_to_the_runtime() {
        assert!(WORKSPACE_MANIFEST.contains(WORKSPACE_MEMBERS));
    }

    #[test]
    fn every_shared_crate_is_locked() {
        for package in SHARED_CRATES {
            assert!(locked_version(package).is_ok(), "{package}");
        }
        assert_eq!(locked_version("evcxr").ok(), Some("0.22.0"));
    }
}
