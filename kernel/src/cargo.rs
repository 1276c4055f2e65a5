//! The program as the cargo that evcxr starts. Where nothing but the cell has changed since cargo ran
//! last, it calls rustc as cargo did; in all other cases it becomes cargo.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cell_call::{CellCall, KEY_VAR};
use crate::programs::Programs;
use crate::rustc_wrapper::SOURCE;
use crate::{cell_build, checkpoints, declare, rustc_wrapper};

/// The manifest and the configuration that evcxr writes anew for each cell.
const MANIFEST: &str = "Cargo.toml";
const CONFIGURATION: &str = ".cargo/config.toml";

/// Runs what evcxr asks for. Does not return if that is cargo.
pub fn run(programs: &Programs) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut cargo = Command::new(programs.cargo());
    programs.leave_environment(cargo.args(&args));
    if is_rust_analyzers(&args) && programs.hides_dependencies() {
        cargo.arg("--no-deps");
    }
    if builds_cell(&args) {
        let folder = std::env::current_dir();
        match folder.and_then(|folder| declare::nothing_to_build(&folder)) {
            Ok(None) => {}
            Ok(Some(nothing)) => {
                say_built(&nothing);
                return ExitCode::SUCCESS;
            }
            Err(error) => return cannot_write(&error),
        }
    }
    if args.iter().any(|arg| arg == "build" || arg == "check")
        && let Err(error) = add_stop_flag()
    {
        return cannot_write(&error);
    }
    if builds_cell(&args)
        && let Some(key) = key(&args)
    {
        let call = CellCall::recall(Path::new("."));
        if let Some(call) = call.filter(|call| *call.key == *key && call.has_its_libraries()) {
            return repeat(&call);
        }
        cargo.env(KEY_VAR, key);
    }
    let error = cargo.exec();
    eprintln!("error: cargo cannot be started: {error}; install Rust from https://rustup.rs");
    ExitCode::FAILURE
}

fn cannot_write(error: &io::Error) -> ExitCode {
    eprintln!("error: the session's folder cannot be written to: {error}");
    ExitCode::FAILURE
}

/// Puts behind the source what the checkpoints in it need.
fn add_stop_flag() -> io::Result<()> {
    let source = fs::read_to_string(SOURCE).unwrap_or_default();
    checkpoints::stop_flag(&source).map_or(Ok(()), |flag| fs::write(SOURCE, source + flag))
}

/// Whether rust-analyzer wants to know what the notebook's crate is made of.
fn is_rust_analyzers(args: &[OsString]) -> bool {
    args.first().is_some_and(|command| command == "metadata")
        && args.iter().any(|arg| arg == "--filter-platform")
        && !args.iter().any(|arg| arg == "--no-deps")
}

/// Whether evcxr wants a cell to be built. Its check, which it makes only of a cell with an error, is left
/// to cargo.
fn builds_cell(args: &[OsString]) -> bool {
    let args: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
    args.is_some_and(|args| {
        matches!(
            args.strip_prefix(&["--offline"]).unwrap_or(&args),
            ["build", "--target", _, "--message-format=json"]
        )
    })
}

/// Stands for all that cargo makes the call from; none where a dependency may change at any time,
/// because it lies in a folder of the user's.
fn key(args: &[OsString]) -> Option<String> {
    let manifest = fs::read_to_string(MANIFEST).ok()?;
    if has_sources_of_the_user(&manifest) {
        return None;
    }
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    add(manifest.as_bytes());
    add(&fs::read(CONFIGURATION).ok()?);
    args.iter().for_each(|arg| add(arg.as_encoded_bytes()));
    let mut environment: Vec<_> = std::env::vars_os().collect();
    environment.sort();
    for (name, value) in environment {
        add(name.as_encoded_bytes());
        add(value.as_encoded_bytes());
    }
    let hash = hash.finalize();
    Some(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a dependency is a path, apart from the runtime, which does not change.
fn has_sources_of_the_user(manifest: &str) -> bool {
    let Ok(manifest) = manifest.parse::<toml::Table>() else {
        return true;
    };
    let dependencies = manifest
        .get("dependencies")
        .and_then(|table| table.as_table());
    dependencies
        .into_iter()
        .flatten()
        .any(|(name, dependency)| name != "morceaux" && dependency.get("path").is_some())
}

/// Calls rustc as cargo did, and tells evcxr what cargo would.
fn repeat(call: &CellCall) -> ExitCode {
    let code = cell_build::build(call);
    if code == ExitCode::SUCCESS
        && let Some(library) = call.library()
    {
        say_built(&library);
    }
    code
}

/// Says in cargo's way which library there is.
fn say_built(library: &Path) {
    let artifact = json!({
        "reason": "compiler-artifact",
        "target": {"name": rustc_wrapper::CELL},
        "filenames": [library],
    });
    println!("{artifact}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn only_builds_of_cells_are_repeated() {
        let builds = |text: &str| builds_cell(&words(text));
        assert!(builds("build --target x --message-format=json"));
        assert!(builds("--offline build --target x --message-format=json"));
        assert!(!builds("check --target x --message-format=json"));
        assert!(!builds("build --target x --message-format=json --verbose"));
    }

    #[test]
    fn rust_analyzer_asks_with_the_platform() {
        let asks = |text: &str| is_rust_analyzers(&words(text));
        assert!(asks(
            "metadata --format-version 1 --filter-platform x -Zunstable-options"
        ));
        assert!(!asks("metadata --format-version=1") && !asks("build --target x"));
    }

    #[test]
    fn a_folder_of_the_users_may_change() {
        let with = |dependency: &str| {
            let own = "[dependencies]\nmorceaux = { path = \"/m\" }\ntokio = \"1\"\n";
            has_sources_of_the_user(&format!("{own}{dependency}"))
        };
        assert!(!with("regex = { version = \"1\" }"));
        assert!(with("mine = { path = \"../mine\" }"));
    }
}
