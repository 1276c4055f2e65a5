//! The words that evcxr reads from the cell process, by lines. Pinned to what evcxr 0.22.0 does (its
//! `child_process.rs`, `runtime.rs` and `eval_context.rs`).

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;

use crate::cell::{self, Phase};
use crate::variable_store;

/// evcxr's side of the original standard output.
static EVCXR: OnceLock<File> = OnceLock::new();

/// What evcxr is told when its function has returned.
pub(crate) const EXECUTION_COMPLETE: &[u8] = b"EVCXR_EXECUTION_COMPLETE\n";
/// What evcxr's generated code prints when the cell has unwound.
pub(crate) const PANIC_NOTIFICATION: &[u8] = b"EVCXR_PANIC_NOTIFICATION\n";
/// How a line begins by which evcxr is told that a variable was lost.
pub(crate) const VARIABLE_CHANGED_TYPE: &[u8] = variable_store::VARIABLE_CHANGED_TYPE.as_bytes();

/// From now on evcxr reads here.
pub(crate) fn listen(words: File) {
    let _ = EVCXR.set(words);
}

/// Says a word to evcxr. If it no longer listens, its kernel has gone, and the orders thread ends
/// the process.
pub(crate) fn say(word: &[u8]) {
    if let Some(mut evcxr) = EVCXR.get() {
        let _ = evcxr.write_all(word);
    }
}

/// Passes on what a write to standard output holds beside words of evcxr's generated code, which
/// only the main thread says, and only where they are due.
pub(crate) fn without_evcxrs_words(bytes: &[u8], mut text: impl FnMut(&[u8])) {
    let word = match cell::phase() {
        Phase::Loading => find(bytes, VARIABLE_CHANGED_TYPE).map(|start| {
            let end = find(&bytes[start..], b"\n").map_or(bytes.len(), |length| start + length + 1);
            say(&bytes[start..end]);
            start..end
        }),
        Phase::Unwound(cell) => find(bytes, PANIC_NOTIFICATION).map(|start| {
            // The kernel is told first, so the word itself waits for `finish_cell`.
            cell::set_phase(Phase::UnwoundAndSaid(cell));
            start..start + PANIC_NOTIFICATION.len()
        }),
        _ => None,
    };
    let Some(word) = word else {
        return text(bytes);
    };
    for part in [&bytes[..word.start], &bytes[word.end..]] {
        if !part.is_empty() {
            text(part);
        }
    }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(phase: Phase, bytes: &[u8]) -> String {
        cell::set_phase(phase);
        let mut text = Vec::new();
        without_evcxrs_words(bytes, |part| text.extend_from_slice(part));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn words_are_taken_out_only_where_they_are_due() {
        let said = b"aEVCXR_PANIC_NOTIFICATION\nb\n";
        assert_eq!(text(Phase::Unwound(1), said), "ab\n");
        assert_eq!(cell::phase(), Phase::UnwoundAndSaid(1));
        for phase in [
            Phase::Inside(1),
            Phase::Left(1),
            Phase::UnwoundAndSaid(1),
            Phase::Elsewhere,
        ] {
            assert_eq!(text(phase, said).as_bytes(), said, "{phase:?}");
        }
        assert_eq!(text(Phase::Loading, b"EVCXR_VARIABLE_CHANGED_TYPE:x\n"), "");
    }
}
