//! Which cell each library belongs to that was loaded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::wire::CellId;

struct Libraries {
    /// The one that was loaded last.
    last: PathBuf,
    cells: Option<HashMap<PathBuf, CellId>>,
}

static LIBRARIES: Mutex<Libraries> = Mutex::new(Libraries {
    last: PathBuf::new(),
    cells: None,
});

/// A library was loaded.
pub(crate) fn loaded(path: &Path) {
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    path.clone_into(&mut libraries.last);
}

/// The library that was loaded last is that of this cell.
pub(crate) fn entered(cell: CellId) {
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let path = libraries.last.clone();
    libraries.cells.get_or_insert_default().insert(path, cell);
}

/// The cell of a library, if it is one.
pub(crate) fn cell_of(path: &Path) -> Option<CellId> {
    let libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    libraries.cells.as_ref()?.get(path).copied()
}
