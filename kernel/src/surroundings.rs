//! What outside of the kernel keeps a cell from being compiled. The programs that fail because of it say
//! all kinds of things, and seldom that.

use std::path::Path;

use rustix::fs::statvfs;

use crate::error::CellError;
use crate::session_dir;

/// With fewer free bytes, whatever cannot be compiled is blamed on the disk: a cell alone takes some
/// megabytes, a dependency many.
const LITTLE: u64 = 16 << 20;

/// The error that the user is shown where something could not be compiled. `is_set_up` says whether the
/// session's folder was there.
pub fn explain(error: CellError, session: &Path, is_set_up: bool) -> CellError {
    let of_compiling = matches!(
        error,
        CellError::Compile { .. } | CellError::Refused { .. } | CellError::Kernel { .. }
    );
    let complaint = if of_compiling {
        complaint(session, is_set_up)
    } else {
        None
    };
    match complaint {
        Some(complaint) => CellError::Kernel {
            message: format!("{complaint}\nWhat failed because of it said: {error}"),
        },
        None => error,
    }
}

fn complaint(session: &Path, is_set_up: bool) -> Option<String> {
    if is_set_up && !session_dir::is_there(session) {
        return Some(format!(
            "{} was removed, so no cell can be compiled any more; restart the kernel",
            session.display()
        ));
    }
    let there = session.ancestors().find(|folder| folder.exists())?;
    let disk = statvfs(there).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    (free < LITTLE).then(|| {
        format!(
            "the disk is full: {} kB are left for {}; make room there and run the cell again, nothing \
             is lost",
            free >> 10,
            there.display()
        )
    })
}
