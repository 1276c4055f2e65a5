//! The program as the linker of the dylib that cells take their dependencies from.
//!
//! rustc has the linker export the symbols of Rust crates and hide all others. But a crate may contain
//! a library in C (SQLite, say), and what a cell is given of the crate to compile for itself (generic
//! and inlined functions) may call it. So the symbols of such libraries are added to the list of those
//! that are exported, before the real linker is called.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol, SymbolScope};

/// The name under which this program is linked to be started as the linker.
pub const LINKER: &str = "linker";

/// The environment variable that names the real linker.
pub const REAL_LINKER: &str = "MORCEAUX_LINKER";

/// The environment variable that names the folder of the compiled dependencies.
pub const DEPENDENCIES: &str = "MORCEAUX_DEPENDENCIES";

/// How rustc hands over the list of exported symbols.
const LIST: &str = "-Wl,--version-script=";

/// Whether rustc has started this program as the linker.
pub fn is_wanted() -> bool {
    let program = std::env::args_os().next().map(PathBuf::from);
    program.is_some_and(|program| program.file_name() == Some(OsStr::new(LINKER)))
}

/// Calls the linker. Does not return if it can be started.
pub fn run() -> ExitCode {
    let linker = std::env::var_os(REAL_LINKER).unwrap_or_else(|| "cc".into());
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let dependencies = std::env::var_os(DEPENDENCIES).unwrap_or_default();
    if let Err(error) = export_native(&mut args, Path::new(&dependencies)) {
        eprintln!("morceaux: {error:#}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&linker).args(args).exec();
    eprintln!("morceaux: {} cannot be started: {error}", linker.display());
    ExitCode::FAILURE
}

/// Adds the symbols of libraries in other languages, as far as they lie in `dependencies`, to the list
/// in the linker's arguments. The standard library's own are not for others.
fn export_native(args: &mut [OsString], dependencies: &Path) -> anyhow::Result<()> {
    let mut symbols = Vec::new();
    for arg in args.iter() {
        let path = Path::new(arg);
        if path.extension() == Some(OsStr::new("rlib")) && path.starts_with(dependencies) {
            let crate_ =
                fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            symbols.extend(
                native_symbols(&crate_)
                    .with_context(|| format!("{} is damaged", path.display()))?,
            );
        }
    }
    let list = args.iter_mut().find_map(|arg| {
        let list = arg.to_str()?.strip_prefix(LIST)?;
        Some((PathBuf::from(list), arg))
    });
    if let Some((list, arg)) = list.filter(|_| !symbols.is_empty()) {
        let exported = fs::read_to_string(&list)?;
        let longer = list.with_extension("native");
        fs::write(&longer, with_symbols(&exported, &symbols))?;
        *arg = format!("{LIST}{}", longer.display()).into();
    }
    Ok(())
}

/// The global symbols that those members of an rlib define which rustc has not compiled.
fn native_symbols(rlib: &[u8]) -> object::Result<Vec<String>> {
    let mut symbols = Vec::new();
    for member in ArchiveFile::parse(rlib)?.members() {
        let member = member?;
        if member.name().ends_with(b".rcgu.o") || member.name().ends_with(b".rmeta") {
            continue;
        }
        // What is no object has no symbols.
        let Ok(native) = object::File::parse(member.data(rlib)?) else {
            continue;
        };
        let exported = native
            .symbols()
            .filter(|symbol| symbol.is_definition() && symbol.scope() == SymbolScope::Dynamic);
        symbols.extend(exported.filter_map(|symbol| symbol.name().ok().map(str::to_owned)));
    }
    Ok(symbols)
}

/// The list as rustc writes it (`{ global: …; local: *; };`), with more symbols.
fn with_symbols(list: &str, symbols: &[String]) -> String {
    let added: String = symbols
        .iter()
        .map(|symbol| format!("    {symbol};\n"))
        .collect();
    match list.split_once("global:\n") {
        Some((before, after)) => format!("{before}global:\n{added}{after}"),
        None => list.replacen('{', &format!("{{\n  global:\n{added}"), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_added_to_those_of_rust() {
        let symbols = ["sqlite3_open".to_owned()];
        assert_eq!(
            with_symbols("{\n  global:\n    _R1;\n\n  local:\n    *;\n};", &symbols),
            "{\n  global:\n    sqlite3_open;\n    _R1;\n\n  local:\n    *;\n};"
        );
        assert_eq!(
            with_symbols("{\n  local:\n    *;\n};", &symbols),
            "{\n  global:\n    sqlite3_open;\n\n  local:\n    *;\n};"
        );
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        assert!(native_symbols(b"no archive").is_err());
    }
}
