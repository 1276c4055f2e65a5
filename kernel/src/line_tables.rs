//! The functions and lines of a panic's calls. Cells are compiled without the tables for that, which
//! would cost each of them time. When one has panicked, it is compiled once more, with them; if the
//! machine code is the same, they hold for what has run.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use addr2line::Loader;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::cell_call::CellCall;
use crate::rustc_wrapper;
use crate::wire::Call;

/// Where the other library is compiled, in the same folder.
const FOLDER: &str = "line-tables";

/// The crate that evcxr makes of every cell, and the end of the path of its source.
const CRATE: &str = "ctx::";
const SOURCE: &str = "cells/src/lib.rs";

/// How the function is called that evcxr makes of a cell's statements. It calls them as a closure.
const STATEMENTS: &str = "run_user_code_";

/// A function of the user's that had not returned; none for the statements of the cell.
pub type Frame = (Option<String>, u32);

/// The user's frames, innermost first, of the cell that was compiled last in this folder; none where
/// they cannot be known.
pub fn frames(folder: &Path, calls: &[Call]) -> Vec<Frame> {
    let Some(library) = calls.last().map(|call| Path::new(&call.library)) else {
        return Vec::new();
    };
    let found = compile(folder).and_then(|with_tables| {
        let shift = shift(library, &with_tables)?;
        Some((shift, Loader::new(with_tables).ok()?))
    });
    let Some((shift, loader)) = found else {
        return Vec::new();
    };
    let calls = calls
        .iter()
        .filter(|call| Path::new(&call.library) == library);
    users_frames(calls.flat_map(|call| functions_at(&loader, call.offset.wrapping_add(shift))))
}

/// Compiles the cell again; returns the library.
fn compile(folder: &Path) -> Option<PathBuf> {
    let call = CellCall::recall(folder)?;
    let source = fs::read_to_string(folder.join(rustc_wrapper::SOURCE)).ok()?;
    let out = folder.join(FOLDER);
    fs::create_dir_all(&out).ok()?;
    let mut incremental = OsString::from("incremental=");
    incremental.push(out.join("incremental"));
    let mut args: Vec<OsString> = Vec::new();
    for arg in call.args_for(&source) {
        let is_folder = args.last().is_some_and(|last| last == "--out-dir");
        args.push(if is_folder {
            out.clone().into_os_string()
        } else if arg.as_bytes().starts_with(b"incremental=") {
            incremental.clone()
        } else {
            arg
        });
    }
    let mut command = call.command(&source);
    let status = command
        .args(args)
        .args(["-C", "debuginfo=line-tables-only"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let library = call.library()?;
    status
        .is_ok_and(|status| status.success())
        .then(|| out.join(library.file_name().unwrap_or_default()))
}

/// How much further the same machine code lies in the second library; none where it is another. Not all bytes
/// are the same: those that say how far it is to data may differ, where the data has to lie at the begin of a page.
fn shift(one: &Path, other: &Path) -> Option<u64> {
    let code = |path: &Path| -> Option<(u64, u64, Vec<Function>)> {
        let library = fs::read(path).ok()?;
        let library = object::File::parse(&*library).ok()?;
        let text = library.section_by_name(".text")?;
        Some((text.address(), text.size(), functions(&library, &text)))
    };
    let ((start, size, functions), (other_start, other_size, others)) = (code(one)?, code(other)?);
    (size == other_size && functions == others).then(|| other_start.wrapping_sub(start))
}

/// The name of a function, where it begins in the code, and its size, in bytes.
type Function = (Vec<u8>, u64, u64);

fn functions(library: &object::File<'_>, text: &object::Section<'_, '_>) -> Vec<Function> {
    let here = library
        .symbols()
        .filter(|symbol| symbol.section_index() == Some(text.index()));
    let functions = here.filter_map(|symbol| {
        let begin = symbol.address() - text.address();
        Some((symbol.name_bytes().ok()?.to_vec(), begin, symbol.size()))
    });
    let mut functions: Vec<Function> = functions.collect();
    functions.sort();
    functions
}

/// The functions at an offset of a library, as far as they were inlined into each other, with file
/// and line.
fn functions_at(loader: &Loader, offset: u64) -> Vec<(String, String, u32)> {
    let mut functions = Vec::new();
    let Ok(mut frames) = loader.find_frames(offset) else {
        return functions;
    };
    while let Ok(Some(frame)) = frames.next() {
        let name = frame.function.as_ref();
        let name = name.and_then(|name| Some(name.demangle().ok()?.into_owned()));
        let file = frame.location.as_ref().and_then(|location| location.file);
        let line = frame.location.as_ref().and_then(|location| location.line);
        functions.push((
            name.unwrap_or_default(),
            file.unwrap_or_default().to_owned(),
            line.unwrap_or(0),
        ));
    }
    functions
}

/// Picks the user's own from all functions.
fn users_frames(functions: impl Iterator<Item = (String, String, u32)>) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for (function, file, line) in functions {
        if function.starts_with(STATEMENTS) {
            break;
        }
        let frame = (name(&function), line);
        // An awaited block and what waits for it are in one line.
        if file.ends_with(SOURCE) && frames.last() != Some(&frame) {
            frames.push(frame);
        }
    }
    frames
}

/// A function's name as the user wrote it; none for a closure or an async block, which has none.
fn name(function: &str) -> Option<String> {
    let name = function.replace(CRATE, "");
    let name = name.split("::{").next().unwrap_or_default();
    (!name.is_empty() && !name.starts_with('{')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_frames_are_left() {
        let source = "/home/u/.cache/s/cells/src/lib.rs";
        let functions = [
            ("withdraw", source, 12),
            ("<ctx::Account as ctx::Bank>::pay::{{closure}}", source, 7),
            ("{async_block#0}", source, 30),
            (
                "poll<ctx::run_user_code_3::{async_block_env#0}>",
                "/home/u/tokio-1/src/lib.rs",
                5,
            ),
            ("{closure#0}", source, 30),
            ("run_user_code_3", source, 29),
            ("main", source, 1),
        ];
        let functions =
            functions.map(|(name, file, line)| (name.to_owned(), file.to_owned(), line));
        assert_eq!(
            users_frames(functions.into_iter()),
            [
                (Some("withdraw".to_owned()), 12),
                (Some("<Account as Bank>::pay".to_owned()), 7),
                (None, 30),
            ]
        );
    }
}
