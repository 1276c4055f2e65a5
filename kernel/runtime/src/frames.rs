//! Where in cells a panic happened. The kernel finds the functions and lines, see its `line_tables.rs`.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::panic::PanicHookInfo;
use std::path::Path;

use crate::libraries;
use crate::wire::{Call, Line};

/// How evcxr calls the file in which a cell's code lies.
const FILE: &str = "src/lib.rs";

/// The calls in code of cells that have not returned yet, innermost first.
pub(crate) fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    backtrace::trace(|frame| {
        // The address is the one to return to, which may be that of the next line.
        let address = (frame.ip() as usize).saturating_sub(1);
        calls.extend(call_at(address));
        true
    });
    calls
}

/// The line of a cell at which a panic happened, or the place in a library.
pub(crate) fn line(info: &PanicHookInfo<'_>, calls: &[Call]) -> (Option<Line>, Option<String>) {
    let Some(location) = info.location() else {
        return (None, None);
    };
    if location.file() != FILE {
        return (None, Some(location.to_string()));
    }
    let library = calls.first().map(|call| Path::new(&call.library));
    let line = library.and_then(libraries::cell_of).map(|cell| Line {
        cell,
        line: location.line(),
    });
    (line, None)
}

/// The call at an address, if that is in the library of a cell.
fn call_at(address: usize) -> Option<Call> {
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
    let library = unsafe { CStr::from_ptr(info.dli_fname) }.to_str().ok()?;
    libraries::cell_of(Path::new(library))?;
    Some(Call {
        library: library.to_owned(),
        offset: u64::try_from(address.checked_sub(info.dli_fbase as usize)?).ok()?,
    })
}
