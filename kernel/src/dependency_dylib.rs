//! The crates that cells depend on, linked once into a dylib that all cells of a session share.
//!
//! cargo hands them to a cell as rlibs. Linked from there, every cell would have a copy of its own,
//! with its own statics: a `log` logger or a `tracing` subscriber of one cell would be unknown to the
//! next, and whatever keeps its state in a static (parking_lot, rayon, crossbeam-epoch) would keep it
//! twice. So the first cell that is compiled with a new set of them links them into a dylib, and all
//! cells find them there: rustc takes a crate from a dylib that contains it before it takes the rlib.
//!
//! A later set is a dylib of its own that builds on the earlier ones: a crate that is in one of those
//! already is taken from there. The names of all of them lie in [`LIST`], in the order in which they
//! were made.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::linker::{DEPENDENCIES, REAL_LINKER};
use crate::prebuilt::{Prebuilt, SHARED_CRATES};
use crate::rustc_wrapper::{join, value_of};

/// Names the session's dylibs, one in a line, in the folder in which they lie.
const LIST: &str = "morceaux-dylibs";

/// The arguments of the rustc that compiles a cell, as far as they matter here.
struct CellArgs<'a> {
    /// The dependencies of the cell that are rlibs: name and file.
    rlibs: Vec<(&'a str, &'a Path)>,
    /// Where libraries are looked for: procedural macros and native ones too.
    search_paths: Vec<&'a OsStr>,
    /// The folder of the compiled dependencies.
    folder: &'a Path,
    /// What a dylib is to be compiled for.
    target: &'a OsStr,
    /// The linker that cargo is configured for, if it is not rustc's own.
    linker: Option<&'a str>,
}

impl<'a> CellArgs<'a> {
    fn of(args: &'a [OsString]) -> Option<CellArgs<'a>> {
        let externs = args.windows(2).filter(|pair| pair[0] == "--extern");
        let rlibs = externs.filter_map(|pair| {
            let (name, path) = pair[1].to_str()?.split_once('=')?;
            path.ends_with(".rlib").then(|| (name, Path::new(path)))
        });
        let paths = args.windows(2).filter(|pair| pair[0] == "-L");
        Some(CellArgs {
            rlibs: rlibs.collect(),
            search_paths: paths.map(|pair| pair[1].as_os_str()).collect(),
            folder: Path::new(value_of(args, "--out-dir")?),
            target: value_of(args, "--target")?,
            linker: args.iter().find_map(|arg| {
                let arg = arg.to_str()?;
                arg.strip_prefix("-Clinker=")
                    .or(arg.strip_prefix("linker="))
            }),
        })
    }

    /// Whether the cell depends on anything but what the kernel brings along.
    fn has_dependencies(&self) -> bool {
        let own = |(name, _): &(&str, &Path)| !SHARED_CRATES.contains(name);
        self.rlibs.iter().any(own)
    }

    /// The name of the dylib of this set.
    fn dylib_name(&self) -> String {
        let mut files: Vec<_> = self.rlibs.iter().map(|(_, file)| file).collect();
        files.sort();
        let mut hash = Sha256::new();
        for file in files {
            hash.update(file.as_os_str().as_encoded_bytes());
        }
        let hash = hash.finalize();
        let hash = u64::from_be_bytes(hash[..8].try_into().unwrap_or_default());
        format!("morceaux_dependencies_{hash:016x}")
    }
}

/// Lets the cell that these arguments compile take its dependencies from the session's dylib, which
/// is made if there is none for them yet.
///
/// # Errors
/// Where it cannot be made; the arguments are unchanged then, and the cell links copies of its own.
pub fn use_dylib(
    prebuilt: &Prebuilt,
    rustc: &OsStr,
    args: &mut Vec<OsString>,
) -> anyhow::Result<()> {
    let Some(cell) = CellArgs::of(args).filter(CellArgs::has_dependencies) else {
        return Ok(());
    };
    let name = cell.dylib_name();
    let list = cell.folder.join(LIST);
    let made = fs::read_to_string(&list).unwrap_or_default();
    let file = dylib_file(cell.folder, &name);
    if !made.lines().any(|made| made == name) {
        link(prebuilt, rustc, &cell, &name, made.lines())?;
        fs::write(&list, format!("{made}{name}\n"))
            .with_context(|| format!("{} cannot be written", list.display()))?;
    }
    let run_path = run_path(cell.folder);
    // The dylib re-exports the runtime, so it stands in for the crate that every cell refers to.
    for pair in 1..args.len() {
        let is_morceaux = args[pair]
            .to_str()
            .is_some_and(|value| value.starts_with("morceaux="));
        if is_morceaux && args[pair - 1] == "--extern" {
            args[pair] = join("morceaux=", file.as_os_str());
        }
    }
    args.extend(["-C".into(), run_path]);
    Ok(())
}

fn link<'a>(
    prebuilt: &Prebuilt,
    rustc: &OsStr,
    cell: &CellArgs<'_>,
    name: &str,
    made: impl Iterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let mut source = String::from("pub use morceaux::*;\n");
    let mut command = Command::new(rustc);
    command
        .args([
            "--crate-type",
            "dylib",
            "--edition",
            "2024",
            "-C",
            "prefer-dynamic",
        ])
        .args(["--cap-lints", "allow", "--crate-name", name])
        .arg("--target")
        .arg(cell.target)
        .arg("-C")
        .arg(format!("metadata={name}"))
        .arg("--out-dir")
        .arg(cell.folder)
        .arg("-C")
        .arg(join("linker=", prebuilt.linker().as_os_str()))
        .env(DEPENDENCIES, cell.folder);
    if let Some(linker) = cell.linker {
        command.env(REAL_LINKER, linker);
    }
    for path in &cell.search_paths {
        command.arg("-L").arg(path);
    }
    for folder in [cell.folder, &prebuilt.dependencies()] {
        command.arg("-C").arg(run_path(folder));
    }
    for (extern_name, file) in &cell.rlibs {
        source.push_str(&format!("extern crate {extern_name} as _;\n"));
        command
            .arg("--extern")
            .arg(join(&format!("{extern_name}="), file.as_os_str()));
    }
    for earlier in made {
        source.push_str(&format!("extern crate {earlier} as _;\n"));
        let file = dylib_file(cell.folder, earlier);
        command
            .arg("--extern")
            .arg(join(&format!("{earlier}="), file.as_os_str()));
    }
    let source_file = cell.folder.join(format!("{name}.rs"));
    fs::write(&source_file, source)
        .with_context(|| format!("{} cannot be written", source_file.display()))?;
    let output = command.arg(&source_file).output()?;
    ensure!(
        output.status.success(),
        "the dependencies cannot be linked together: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn dylib_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("lib{name}{}", std::env::consts::DLL_SUFFIX))
}

/// The linker's argument by which libraries are found in a folder when the program runs.
fn run_path(folder: &Path) -> OsString {
    join("link-arg=-Wl,-rpath,", folder.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    const OWN: &str = "--crate-name ctx --out-dir /d --target x --extern morceaux=/d/libmorceaux-1.rlib --extern tokio=/d/libtokio-1.rlib";

    #[test]
    fn what_the_kernel_brings_along_needs_no_dylib() {
        let own = args(OWN);
        assert!(!CellArgs::of(&own).unwrap().has_dependencies());
        let macros = args(&format!(
            "{OWN} --extern async_trait=/d/libasync_trait-1.so"
        ));
        assert!(!CellArgs::of(&macros).unwrap().has_dependencies());
        let more = args(&format!("{OWN} --extern log=/d/liblog-1.rlib"));
        assert!(CellArgs::of(&more).unwrap().has_dependencies());
    }

    #[test]
    fn a_set_has_one_name_in_whatever_order() {
        let (a, b) = ("--extern a=/d/liba-1.rlib", "--extern b=/d/libb-1.rlib");
        let name = |text: String| CellArgs::of(&args(&text)).unwrap().dylib_name();
        assert_eq!(
            name(format!("{OWN} {a} {b}")),
            name(format!("{OWN} {b} {a}"))
        );
        assert_ne!(name(format!("{OWN} {a} {b}")), name(format!("{OWN} {a}")));
    }
}
