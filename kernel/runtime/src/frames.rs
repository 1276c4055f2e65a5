//! Where in the user's own code a panic happened.

use std::ffi::{CStr, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use crate::libraries;
use crate::wire::{CellId, Frame};

/// The crate that evcxr makes of every cell, and the file in which its code lies.
const CRATE: &str = "ctx::";
const FILE: &str = "cells/src/lib.rs";
/// How the function is called that evcxr makes of a cell's statements. It calls them as a closure.
const STATEMENTS: &str = "run_user_code_";

/// The calls in code of cells that have not returned yet, innermost first.
pub(crate) fn frames() -> Vec<Frame> {
    let mut calls = Vec::new();
    // Neither this crate nor std can name the functions: both know only the libraries that were
    // loaded when they were first asked, and each cell is another one.
    backtrace::trace(|frame| {
        // The address is the one to return to, which may be that of the next line.
        let address = (frame.ip() as usize).saturating_sub(1);
        if let Some((library, offset)) = library_at(address) {
            calls.extend(calls_at(&library, offset));
        }
        true
    });
    users_frames(calls.into_iter())
}

/// The library in which an address lies, and where in it.
fn library_at(address: usize) -> Option<(PathBuf, u64)> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` is what the function writes to; it reads nothing behind the address.
    let info = unsafe {
        if libc::dladdr(address as *const c_void, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the name lives as long as the library is loaded, and no cell's library is unloaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    let offset = address.checked_sub(info.dli_fbase as usize)?;
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    Some((path, u64::try_from(offset).ok()?))
}

/// A call: the cell with which the code was compiled, the function, the file and the line.
type Call = (CellId, String, String, u32);

/// The calls that have not returned at a place, as far as functions were inlined into each other;
/// nothing for what is no cell's library.
fn calls_at(library: &Path, offset: u64) -> Vec<Call> {
    let Some((cell, loader)) =
        libraries::cell_of(library).and_then(|cell| Some((cell, Loader::new(library).ok()?)))
    else {
        return Vec::new();
    };
    let mut calls = Vec::new();
    let Ok(mut frames) = loader.find_frames(offset) else {
        return calls;
    };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.as_ref();
        let function = function.and_then(|name| Some(name.demangle().ok()?.into_owned()));
        let file = frame.location.as_ref().and_then(|location| location.file);
        let line = frame.location.as_ref().and_then(|location| location.line);
        calls.push((
            cell,
            function.unwrap_or_default(),
            file.unwrap_or_default().to_owned(),
            line.unwrap_or(0),
        ));
    }
    calls
}

/// Picks the user's own from all calls.
fn users_frames(calls: impl Iterator<Item = Call>) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for (cell, function, file, line) in calls {
        if function.starts_with(STATEMENTS) {
            break;
        }
        if file.ends_with(FILE) {
            let function = name(&function);
            let frame = Frame {
                cell,
                function,
                line,
            };
            // An awaited block and what waits for it are in one line.
            if frames.last() != Some(&frame) {
                frames.push(frame);
            }
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
        let calls = [
            (
                "std::panicking::begin_panic",
                "/rustc/std/src/panicking.rs",
                1,
            ),
            ("withdraw", "/home/u/.cache/s/cells/src/lib.rs", 12),
            (
                "<ctx::Account as ctx::Bank>::pay::{{closure}}",
                "/home/u/.cache/s/cells/src/lib.rs",
                7,
            ),
            ("{async_block#0}", "/home/u/.cache/s/cells/src/lib.rs", 30),
            (
                "poll<ctx::run_user_code_3::{async_block_env#0}>",
                "/home/u/tokio-1/src/lib.rs",
                5,
            ),
            ("{closure#0}", "/home/u/.cache/s/cells/src/lib.rs", 30),
            ("run_user_code_3", "/home/u/.cache/s/cells/src/lib.rs", 29),
            ("main", "/home/u/.cache/s/cells/src/lib.rs", 1),
        ];
        let calls = calls.map(|(name, file, line)| (1, name.to_owned(), file.to_owned(), line));
        let frame = |function: Option<&str>, line| Frame {
            cell: 1,
            function: function.map(str::to_owned),
            line,
        };
        assert_eq!(
            users_frames(calls.into_iter()),
            [
                frame(Some("withdraw"), 12),
                frame(Some("<Account as Bank>::pay"), 7),
                frame(None, 30),
            ]
        );
    }
}
