//! The program as cargo's rustc wrapper, when cargo builds for a cell.
//!
//! cargo sees `tokio`, `bytes` and `morceaux` as ordinary crates and asks for them to be compiled.
//! What is compiled instead re-exports what the prebuilt dylib contains, under the same name,
//! metadata and output path; so there is one tokio in the cell process, whatever the cells depend
//! on.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cell_call::CellCall;
use crate::dependency_cache::Compilation;
use crate::direct_link;
use crate::prebuilt::{Prebuilt, RUSTC_WRAPPER, SHARED_CRATES};
use crate::{cell_build, checkpoints, dependency_dylib, identity, stored};

/// evcxr's own name for this mode, which it wants when `:cache` is on.
const EVCXRS_WRAPPER: &str = "EVCXR_RUSTC_WRAPPER";

/// Set for the second start, in which evcxr's wrapper gets the arguments that ours has made.
const DONE: &str = "MORCEAUX_WRAPPED";

/// The name of the crate that evcxr makes of a cell.
pub const CELL: &str = "ctx";

/// Its source, where evcxr compiles.
pub const SOURCE: &str = "src/lib.rs";

/// Where this file is, in the folder in which evcxr compiles, rustc names types by their full paths.
pub const FULL_PATHS: &str = "full-paths";

/// The environment variable that has a rustc of the stable channel do what is not stable.
const BOOTSTRAP: &str = "RUSTC_BOOTSTRAP";

/// Whether cargo has started this program as the wrapper, and for which runtime.
pub fn is_wanted() -> Option<Prebuilt> {
    let program = PathBuf::from(std::env::args_os().next()?);
    let evcxrs = std::env::var_os(EVCXRS_WRAPPER).is_some();
    if !evcxrs && program.file_name()? != RUSTC_WRAPPER {
        return None;
    }
    Prebuilt::of_link(&program)
}

/// Runs rustc. Does not return if it can be started and its messages need not be looked at.
pub fn run(prebuilt: &Prebuilt) -> ExitCode {
    if std::env::var_os(DONE).is_some() {
        evcxr::runtime_hook();
    }
    let package = |what: &str| std::env::var(format!("CARGO_PKG_{what}")).unwrap_or_default();
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let rustc = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let mut args = match wrapped(prebuilt, args, &package("NAME"), &package("VERSION")) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    let step = step(&args);
    if step == Some(Step::Build)
        && let Err(error) = identity::keep(&mut args)
            .and_then(|()| dependency_dylib::use_dylib(prebuilt, &rustc, &mut args))
    {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    // Through PATH where it is a bare name, as rust-analyzer has it.
    let mut command = Command::new(&rustc);
    if std::env::var_os(EVCXRS_WRAPPER).is_some() {
        command = Command::new(&program);
        command.arg(&rustc).env(DONE, "1");
    } else if step == Some(Step::Build) {
        direct_link::apply(prebuilt, &mut args);
        let call = CellCall::new(rustc, args);
        // Without it, the next cell takes longer and panics have fewer lines.
        let _ = call.remember(Path::new("."));
        return cell_build::build(&call);
    }
    if std::env::var_os(EVCXRS_WRAPPER).is_none()
        && let Some(compilation) = Compilation::of(prebuilt, &rustc, &args)
    {
        return compilation.run();
    }
    command.args(args);
    let source = step.and_then(|_| fs::read_to_string(SOURCE).ok());
    if let Some(source) = &source {
        allow_checkpoints(&mut command, source);
    }
    if step == Some(Step::Check)
        && let Some(alone) = source.and_then(|source| stored::left_alone(&source))
    {
        // With the whole of it, there are only more errors.
        let _ = fs::write(SOURCE, alone);
    }
    if step == Some(Step::Check) && Path::new(FULL_PATHS).exists() {
        name_in_full(&mut command);
    }
    let error = command.exec();
    eprintln!("error: {} cannot be started: {error}", rustc.display());
    ExitCode::FAILURE
}

/// Has rustc name types as they have to be written in a cell. It shortens paths to what is unique, and a type
/// that is longer than a line to what fits.
pub fn name_in_full(rustc: &mut Command) {
    rustc.args(["-Ztrim-diagnostic-paths=no", "--verbose"]);
    rustc.env(BOOTSTRAP, "1");
}

/// Has rustc compile the checkpoints in a source: they are assembly that unwinds, which is not stable yet
/// (<https://github.com/rust-lang/rust/issues/93334>).
pub fn allow_checkpoints(rustc: &mut Command, source: &str) {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) && checkpoints::are_in(source) {
        rustc.arg("-Zcrate-attr=feature(asm_unwind)");
        rustc.env(BOOTSTRAP, "1");
    }
}

/// What cells that ask for the highest level are compiled with, and what they depend on: as `cargo build
/// --release` does, which evcxr, where all is a development build, does not.
const AS_RELEASED: [&str; 4] = ["-C", "overflow-checks=off", "-C", "debug-assertions=off"];

/// What cargo does with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It only looks for errors.
    Check,
    /// It makes the library that is loaded.
    Build,
}

/// What these arguments do, if they are for a cell.
fn step(args: &[OsString]) -> Option<Step> {
    value_of(args, "--crate-name").filter(|name| *name == CELL)?;
    let emitted = args
        .iter()
        .find_map(|arg| arg.to_str()?.strip_prefix("--emit="))?;
    let links = emitted.split(',').any(|kind| kind == "link");
    Some(if links { Step::Build } else { Step::Check })
}

/// The arguments with which rustc is really called.
fn wrapped(
    prebuilt: &Prebuilt,
    mut args: Vec<OsString>,
    package: &str,
    version: &str,
) -> Result<Vec<OsString>, String> {
    // Build scripts and procedural macros run in the compiler: they have a tokio of their own.
    let for_cell = args.iter().any(|arg| arg == "--target");
    let Some(crate_name) = value_of(&args, "--crate-name").filter(|_| for_cell) else {
        return Ok(args);
    };
    let crate_name = crate_name.to_owned();
    if SHARED_CRATES.iter().any(|shared| crate_name == *shared) {
        let stub = prebuilt.stub(package, version);
        if stub.exists() {
            replace_source(&mut args, &stub);
            let dylib = prebuilt.dylib();
            args.push("--extern".into());
            args.push(join("morceaux_dylib=", dylib.as_os_str()));
        } else if is_same_major(prebuilt, package, version) {
            return Err(other_version(package, version));
        }
    }
    if args.iter().any(|arg| arg == "opt-level=3") {
        args.extend(AS_RELEASED.map(OsString::from));
    }
    let dependencies = prebuilt.dependencies();
    args.push("-L".into());
    args.push(join("dependency=", dependencies.as_os_str()));
    let step = step(&args);
    if step.is_some() {
        // Some things are only for rust-analyzer to see, see `prebuilt.rs`.
        args.extend(["--check-cfg", "cfg(rust_analyzer)"].map(OsString::from));
    }
    match step {
        Some(Step::Build) => {
            // evcxr moves the library, so that a path relative to it would be wrong.
            args.push("-C".into());
            args.push(join("link-arg=-Wl,-rpath,", dependencies.as_os_str()));
            // A function that a later cell defines anew is the later cell's own, while a static of
            // the same symbol is the one that was loaded first: see `items.rs`.
            args.extend(["-C", "link-arg=-Wl,-Bsymbolic-functions"].map(OsString::from));
            // There is nothing to be removed, and looking for it takes a tenth of the time.
            args.extend(["-C", "strip=none"].map(OsString::from));
        }
        // evcxr takes a warning for an error here.
        Some(Step::Check) => args.extend(["--cap-lints", "allow"].map(OsString::from)),
        None => {}
    }
    Ok(args)
}

fn other_version(package: &str, version: &str) -> String {
    format!(
        "this cell wants {package} {version}, but all cells share the {package} of the kernel. \
         Ask for a version that the kernel's satisfies, such as {package} = \"1\""
    )
}

/// Whether the dylib has a version of the package that stands for all of the same major number.
fn is_same_major(prebuilt: &Prebuilt, package: &str, version: &str) -> bool {
    let major = version.split('.').next().unwrap_or_default();
    let prefix = format!("{package}-{major}.");
    let stubs = prebuilt.stub(package, version);
    let stubs = stubs.parent().and_then(|folder| fs::read_dir(folder).ok());
    stubs
        .into_iter()
        .flatten()
        .flatten()
        .any(|stub| stub.file_name().to_string_lossy().starts_with(&prefix))
}

/// The argument behind one of this name.
pub fn value_of<'a>(args: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1).map(OsString::as_os_str)
}

/// The source is the one argument that is a Rust file by itself.
fn replace_source(args: &mut [OsString], source: &Path) {
    for arg in args {
        if Path::new(arg)
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            *arg = source.as_os_str().to_owned();
        }
    }
}

/// An argument that begins with a word of rustc's.
pub fn join(prefix: &str, rest: &OsStr) -> OsString {
    let mut joined = OsString::from(prefix);
    joined.push(rest);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prebuilt() -> (tempfile::TempDir, Prebuilt) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("stubs")).unwrap();
        let prebuilt = Prebuilt::of_link(&folder.path().join("bin/rustc-wrapper")).unwrap();
        std::fs::write(prebuilt.stub("tokio", "1.54.1"), "").unwrap();
        (folder, prebuilt)
    }

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    const TOKIO: &str = "--crate-name tokio --edition=2021 src/lib.rs --target x -C metadata=1";

    #[test]
    fn the_highest_level_is_that_of_a_release() {
        let (_folder, prebuilt) = prebuilt();
        let checks = |level| {
            let given = format!("--crate-name ctx --target x --emit=link -C opt-level={level}");
            let args = wrapped(&prebuilt, args(&given), "ctx", "1.0.0").unwrap();
            args.iter().any(|arg| arg == "overflow-checks=off")
        };
        assert_eq!([checks(2), checks(3)], [false, true]);
    }

    #[test]
    fn a_shared_crate_is_replaced() {
        let (_folder, prebuilt) = prebuilt();
        let args = wrapped(&prebuilt, args(TOKIO), "tokio", "1.54.1").unwrap();
        assert_eq!(args[3], prebuilt.stub("tokio", "1.54.1").as_os_str());
        assert!(args.contains(&join("morceaux_dylib=", prebuilt.dylib().as_os_str())));
        assert!(args.contains(&"metadata=1".into()));
    }

    #[test]
    fn another_version_of_it_is_an_error_and_another_major_one_a_crate_of_its_own() {
        let (_folder, prebuilt) = prebuilt();
        let error = wrapped(&prebuilt, args(TOKIO), "tokio", "1.40.0").unwrap_err();
        assert!(error.contains("tokio 1.40.0"), "{error}");
        let old = wrapped(&prebuilt, args(TOKIO), "tokio", "0.2.25").unwrap();
        assert_eq!(old[3], "src/lib.rs");
    }

    #[test]
    fn what_runs_in_the_compiler_is_left_alone() {
        let (_folder, prebuilt) = prebuilt();
        for untouched in [
            "-vV",
            "--crate-name tokio src/lib.rs",
            "--crate-name build_script build.rs",
        ] {
            let args = args(untouched);
            assert_eq!(
                wrapped(&prebuilt, args.clone(), "tokio", "1.54.1").unwrap(),
                args
            );
        }
    }

    #[test]
    fn the_cells_library_finds_the_dylib() {
        let (_folder, prebuilt) = prebuilt();
        let args = wrapped(
            &prebuilt,
            args("--crate-name ctx src/lib.rs --emit=dep-info,link --target x"),
            "ctx",
            "1.0.0",
        );
        let rpath = join("link-arg=-Wl,-rpath,", prebuilt.dependencies().as_os_str());
        assert!(args.unwrap().contains(&rpath));
    }
}
