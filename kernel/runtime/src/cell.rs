//! Which cell the main thread is in, and how the cell ends.
//!
//! The kernel puts `morceaux::enter_cell!(7);` in front of a cell's first statement, which makes a
//! guard. The guard drops last of all that the statements made, also while they unwind, so it
//! knows exactly where the user's code begins and ends on the main thread.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kept::{self, End};
use crate::wire::{CellId, NO_CELL, Outcome, Report};
use crate::{interrupt, libraries, link, tasks};

/// The running cell, else the last one: what cannot be attributed otherwise goes there.
static FOREGROUND: AtomicU64 = AtomicU64::new(NO_CELL);

/// Where the main thread is. Other threads are always `Elsewhere`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Between two cells, or not on the main thread.
    Elsewhere,
    /// In what evcxr generates in front of a cell's statements.
    Loading,
    /// In the cell's statements.
    Inside(CellId),
    /// Behind them: they ran to their end.
    Left(CellId),
    /// Behind them: they unwound, and evcxr's code has not said so yet.
    Unwound(CellId),
    /// As `Unwound`, after evcxr's code has said so.
    UnwoundAndSaid(CellId),
}

thread_local! {
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Elsewhere) };
    /// Why the cell is unwinding, if that is not a plain panic.
    static REASON: RefCell<Option<Outcome>> = const { RefCell::new(None) };
    /// Panics of the main thread: the last one may turn out to be the cell's end.
    static PANICS: RefCell<Vec<Outcome>> = const { RefCell::new(Vec::new()) };
}

/// Enters the statements of a cell, see [`enter`]. A macro, since evcxr keeps every variable that it
/// sees a cell bind, and infers the types of all of the cell, which takes time, where it sees one.
#[doc(hidden)]
#[macro_export]
macro_rules! enter_cell {
    ($cell:literal) => {
        let _guard = $crate::enter($cell);
    };
}

/// Marks the statements of a cell. See [`enter`].
#[doc(hidden)]
#[derive(Debug)]
pub struct CellGuard {
    cell: CellId,
}

/// Enters the statements of a cell. The kernel writes this call in front of the first one.
///
/// Ends the cell at once if it was stopped before it came this far.
#[doc(hidden)]
#[must_use]
pub fn enter(cell: CellId) -> CellGuard {
    FOREGROUND.store(cell, Ordering::Release);
    PHASE.set(Phase::Inside(cell));
    REASON.take();
    PANICS.take();
    kept::forget();
    libraries::entered(cell);
    tasks::entered(cell);
    link::send(&Report::Started { cell });
    let guard = CellGuard { cell };
    if interrupt::begin(cell) {
        end(Outcome::Interrupted);
    }
    guard
}

impl Drop for CellGuard {
    fn drop(&mut self) {
        // What stands in std's buffer was written by the cell; after this line the main thread may
        // only say evcxr's words and run the destructors of replaced variables.
        let _ = std::io::stdout().flush();
        PHASE.set(if std::thread::panicking() {
            Phase::Unwound(self.cell)
        } else {
            Phase::Left(self.cell)
        });
    }
}

/// Ends the running cell from inside its statements. Destructors run; evcxr keeps the variables of
/// earlier cells.
pub(crate) fn end(outcome: Outcome) -> ! {
    REASON.set(Some(outcome));
    // Not `panic_any`: the hook must stay silent. evcxr's code catches it.
    std::panic::resume_unwind(Box::new(EndOfCell))
}

/// Runs code of the cell, and catches the end of the cell there.
///
/// # Errors
/// How the cell ends. A panic goes on.
pub(crate) fn catch_end<T>(code: impl FnOnce() -> T) -> Result<T, End> {
    let code = std::panic::AssertUnwindSafe(code);
    std::panic::catch_unwind(code).map_err(|payload| {
        if !payload.is::<EndOfCell>() {
            std::panic::resume_unwind(payload);
        }
        End(REASON.take().unwrap_or(Outcome::Interrupted))
    })
}

/// The payload with which a cell unwinds that did not panic.
struct EndOfCell;

/// The cell under which something appears that no task wrote: the running one, else the last one.
pub(crate) fn foreground() -> CellId {
    FOREGROUND.load(Ordering::Acquire)
}

/// Where the calling thread is.
pub(crate) fn phase() -> Phase {
    PHASE.get()
}

/// Sets where the main thread is.
pub(crate) fn set_phase(phase: Phase) {
    PHASE.set(phase);
}

/// Takes note of a panic of the main thread, which ends the cell unless something catches it.
pub(crate) fn note_panic(panic: Outcome) {
    REASON.take();
    PANICS.with_borrow_mut(|panics| panics.push(panic));
}

/// How the cell ended that the main thread has just left, and the messages of the panics that the
/// cell itself caught. `None` where the statements of no cell were entered.
pub(crate) fn outcome() -> Option<(CellId, Outcome, Vec<String>)> {
    let mut panics = PANICS.take();
    let (cell, unwound) = match PHASE.get() {
        Phase::Elsewhere | Phase::Loading => return None,
        Phase::Inside(cell) | Phase::Left(cell) => (cell, false),
        Phase::Unwound(cell) | Phase::UnwoundAndSaid(cell) => (cell, true),
    };
    let mut outcome = Outcome::Finished;
    let stopped = interrupt::ended();
    if unwound {
        // Nothing was noted where the user has set a panic hook, which has said it instead.
        let by_hook = || Outcome::Panicked {
            message: "your panic hook has been told why".to_owned(),
            line: None,
            calls: Vec::new(),
        };
        let panicked = || panics.pop().unwrap_or_else(by_hook);
        outcome = REASON.take().unwrap_or_else(panicked);
        if stopped {
            // It has failed because what it waited for was ended, see `blocking.rs`.
            outcome = Outcome::Interrupted;
        }
    }
    let message = |panic| match panic {
        Outcome::Panicked { message, .. } => Some(message),
        _ => None,
    };
    let caught = panics.into_iter().filter_map(message).collect();
    Some((cell, outcome, caught))
}
