//! The stop flag of code where there is none of `stop_page.rs`: a checkpoint is a load and a branch.

use std::sync::atomic::{AtomicBool, Ordering};

/// The flag of one library.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct StopFlag(AtomicBool);

impl StopFlag {
    /// One that is not set.
    #[must_use]
    pub const fn new() -> StopFlag {
        StopFlag(AtomicBool::new(false))
    }

    /// Sets it, or takes it back.
    pub(crate) fn set(&self, pressed: bool) {
        self.0.store(pressed, Ordering::Relaxed);
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Generic, so that it is compiled into the library that it is called from: code that calls another library keeps
/// the address in a register all the time.
#[cold]
#[doc(hidden)]
#[inline(never)]
pub fn noticed<T>(_: &T) {
    crate::interrupt::noticed();
}

/// A place where the cell can be stopped. The kernel puts it into loops.
#[doc(hidden)]
#[macro_export]
#[allow(
    clippy::crate_in_macro_def,
    reason = "the crate that is compiled is meant, see `stop_flag!`"
)]
macro_rules! checkpoint {
    ($(plain)?) => {
        if crate::MORCEAUX_STOP_FLAG.is_set() {
            $crate::__checkpoint::noticed(&());
        }
    };
}
