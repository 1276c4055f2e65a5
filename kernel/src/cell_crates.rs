//! The shared crates as cells depend on them: what cargo resolves and rust-analyzer reads, while
//! what is linked is the dylib.
//!
//! `morceaux` is its real source under a manifest of its own. `tokio` is its real source too, but
//! without the crates that only its inside needs (mio, socket2 …): neither cargo has to compile them
//! nor rust-analyzer to read them, for code that lies in the dylib.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use toml::{Table, Value};

use crate::carried::locked_version;
use crate::files::{copy_declarations, create_dir, write};

/// What tokio's types are made with, apart from tokio.
const TOKIOS_DEPENDENCIES: [(&str, bool); 2] = [("bytes", true), ("pin-project-lite", false)];

/// Writes both crates below `folder`. `workspace` is where the dylib is built from.
///
/// # Errors
/// Where tokio's source cannot be had, or something cannot be written.
pub fn write_all(folder: &Path, workspace: &Path) -> anyhow::Result<()> {
    write_morceaux(&folder.join("morceaux"), workspace)?;
    write_tokio(&folder.join("tokio"), &manifest_of(workspace, "tokio")?)
}

/// What cells ask for as `tokio`: the dylib's version, with everything that is stable, so that
/// inference sees it all.
pub fn tokio_dependency() -> anyhow::Result<String> {
    let version = locked_version("tokio")?;
    Ok(format!(
        r#"{{ version = "={version}", features = ["full", "test-util"] }}"#
    ))
}

fn write_morceaux(folder: &Path, workspace: &Path) -> anyhow::Result<()> {
    create_dir(folder)?;
    let source = workspace.join("runtime/src/lib.rs");
    let source = source.to_str().context("its path is not UTF-8")?;
    let manifest = format!(
        "[package]\nname = \"morceaux\"\nversion = \"{}\"\nedition = \"2024\"\n\n\
         [lib]\npath = {source:?}\n\n[workspace]\n\n\
         [dependencies]\ntokio = {}\nbytes = \"={}\"\n",
        locked_version("morceaux")?,
        tokio_dependency()?,
        locked_version("bytes")?,
    );
    write(&folder.join("Cargo.toml"), &manifest)
}

fn write_tokio(folder: &Path, original: &Path) -> anyhow::Result<()> {
    let source = original
        .parent()
        .context("a manifest lies in a folder")?
        .join("src");
    copy_declarations(&source, &folder.join("src"))
        .with_context(|| format!("{} cannot be copied", source.display()))?;
    let manifest: Table = std::fs::read_to_string(original)?.parse()?;
    let mut dependencies = Table::new();
    for (name, optional) in TOKIOS_DEPENDENCIES {
        let mut dependency = Table::new();
        let version = format!("={}", locked_version(name)?);
        dependency.insert("version".to_owned(), version.into());
        dependency.insert("optional".to_owned(), optional.into());
        dependencies.insert(name.to_owned(), dependency.into());
    }
    let mut reduced = reduced(&manifest);
    reduced.insert("dependencies".to_owned(), dependencies.into());
    write(&folder.join("Cargo.toml"), &toml::to_string(&reduced)?)
}

/// A manifest without dependencies. Every feature is still there, and enables no more than others
/// of its own: other crates ask for them by name.
fn reduced(manifest: &Table) -> Table {
    let mut package = Table::new();
    for key in ["name", "version", "edition", "rust-version"] {
        if let Some(value) = manifest.get("package").and_then(|package| package.get(key)) {
            package.insert(key.to_owned(), value.clone());
        }
    }
    let optional = optional_dependencies(manifest);
    let features = manifest.get("features").and_then(Value::as_table);
    let is_feature = |name: &str| {
        let own = features.is_some_and(|features| features.contains_key(name));
        own || optional.iter().any(|optional| optional == name)
    };
    let mut reduced_features = Table::new();
    for (name, enables) in features.into_iter().flatten() {
        let enables = enables.as_array().into_iter().flatten();
        let kept = enables.filter(|enabled| enabled.as_str().is_some_and(is_feature));
        reduced_features.insert(name.clone(), kept.cloned().collect::<Vec<_>>().into());
    }
    // An optional dependency is a feature by itself. Those that stay dependencies still are.
    let stays = |name: &str| TOKIOS_DEPENDENCIES.iter().any(|(stays, _)| *stays == name);
    for name in optional.into_iter().filter(|name| !stays(name)) {
        reduced_features
            .entry(name)
            .or_insert(Value::Array(Vec::new()));
    }
    let mut reduced = Table::new();
    reduced.insert("package".to_owned(), package.into());
    reduced.insert("features".to_owned(), reduced_features.into());
    reduced.insert("workspace".to_owned(), Table::new().into());
    reduced
}

/// The names of the optional dependencies, whatever the platform.
fn optional_dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flatten()
        .filter_map(|(_, target)| target.as_table());
    std::iter::once(manifest)
        .chain(tables)
        .filter_map(|table| table.get("dependencies")?.as_table())
        .flatten()
        .filter(|(_, dependency)| dependency.get("optional").and_then(Value::as_bool) == Some(true))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The manifest of a package that a workspace depends on.
fn manifest_of(workspace: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .current_dir(workspace)
        .output()
        .context("cargo cannot be started; install Rust from https://rustup.rs")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        said.trim()
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let version = locked_version(package)?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|found| found["name"] == package && found["version"] == version)
        .and_then(|found| found["manifest_path"].as_str())
        .map(PathBuf::from)
        .with_context(|| format!("cargo does not know {package} {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_stays_and_no_foreign_dependency_does() {
        let manifest: Table = r#"
            [package]
            name = "tokio"
            version = "1.0.0"
            [features]
            full = ["net", "dep:slab", "mio/os-poll", "bytes", "parking_lot"]
            net = ["mio"]
            [dependencies]
            mio = { version = "1", optional = true }
            bytes = { version = "1", optional = true }
            parking_lot = { version = "1", optional = true }
            [target.'cfg(unix)'.dependencies]
            libc = { version = "1", optional = true }
        "#
        .parse()
        .unwrap();
        let reduced = reduced(&manifest);
        let expected: Table = r#"
            full = ["net", "bytes", "parking_lot"]
            net = ["mio"]
            mio = []
            parking_lot = []
            libc = []
        "#
        .parse()
        .unwrap();
        assert_eq!(reduced["features"].as_table(), Some(&expected));
        assert!(!reduced.contains_key("dependencies"));
    }
}
