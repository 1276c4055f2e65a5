//! Variables whose type was defined anew. evcxr notices that only where the fields have other names,
//! so the kernel, which knows what the user has changed, says which variables are lost. evcxr takes
//! that from a cell that does not run, and compiles the cell again without them.

use std::sync::{Mutex, PoisonError};

use crate::wire::{CellId, Report};
use crate::{evcxr_words, link};

static LOST: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes what is lost, for the next library that evcxr wants to be run.
pub(crate) fn note(cell: CellId, mut names: Vec<String>) {
    LOST.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .append(&mut names);
    link::send(&Report::Forgotten { cell });
}

/// Says to evcxr what is lost, if anything is; the library is not to be run then.
pub(crate) fn tell_evcxr() -> bool {
    let lost = std::mem::take(&mut *LOST.lock().unwrap_or_else(PoisonError::into_inner));
    for name in &lost {
        let mut word = evcxr_words::VARIABLE_CHANGED_TYPE.to_vec();
        word.extend_from_slice(name.as_bytes());
        word.push(b'\n');
        evcxr_words::say(&word);
    }
    if !lost.is_empty() {
        evcxr_words::say(evcxr_words::EXECUTION_COMPLETE);
    }
    !lost.is_empty()
}
