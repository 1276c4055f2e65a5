//! What lies in a static and is the same for all cells.

use std::cell::UnsafeCell;
use std::ops::Deref;

/// A value that the kernel puts into a static in place of one that cannot be there itself (a
/// `thread_local!`, say): it is reached by `Deref`.
///
/// Every cell is a library of its own and carries all statics; they share the first one's through
/// its symbol. For the compiler the value must therefore not be a constant, which it may look into.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: it only ever hands out shared references.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Makes it.
    pub const fn new(value: T) -> Shared<T> {
        Shared(UnsafeCell::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: nobody has an exclusive reference.
        unsafe { &*self.0.get() }
    }
}
