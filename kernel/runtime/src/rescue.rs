//! Variables of a cell that did not run to its end.
//!
//! evcxr only keeps what a cell has bound when the cell has run to its end. Where a `?` or the stop
//! button ends it before, the cell's own code hands over the variables that exist by then; the
//! kernel has them taken back by a cell of its own.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::cell;
use crate::wire::Outcome;

thread_local! {
    static RESCUED: RefCell<BTreeMap<&'static str, Box<dyn Any>>> = const { RefCell::new(BTreeMap::new()) };
}

/// How the cell ends, once its variables have been handed over.
#[doc(hidden)]
#[derive(Debug)]
pub struct End(pub(crate) Outcome);

impl End {
    /// Ends the cell.
    pub fn now(self) -> ! {
        cell::end(self.0)
    }
}

/// Takes the value out of what a `?` or an await has resulted in; where the cell ends there, the
/// named variables are handed over first.
#[doc(hidden)]
#[macro_export]
macro_rules! or_rescue {
    ([$($name:ident)*] $result:expr) => {
        match $result {
            ::std::result::Result::Ok(value) => value,
            ::std::result::Result::Err(end) => {
                $($crate::__rescue::put(::std::stringify!($name), $name);)*
                end.now()
            }
        }
    };
}

/// Hands a variable over.
#[doc(hidden)]
pub fn put<T: 'static>(name: &'static str, value: T) {
    RESCUED.with_borrow_mut(|rescued| rescued.insert(name, Box::new(value)));
}

/// Takes a variable back.
///
/// # Panics
/// Where there is none of this name and type.
#[doc(hidden)]
pub fn take<T: 'static>(name: &str) -> T {
    let value = RESCUED.with_borrow_mut(|rescued| rescued.remove(name));
    let value = value.and_then(|value| value.downcast().ok());
    *value.expect("the kernel asks for what was handed over")
}

/// The names of what was handed over.
pub(crate) fn names() -> Vec<String> {
    RESCUED.with_borrow(|rescued| rescued.keys().map(|name| (*name).to_owned()).collect())
}

/// Drops what nobody has taken back.
pub(crate) fn forget() {
    drop(RESCUED.take());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_can_be_taken_back_once() {
        put("a", 1_u8);
        put("b", String::from("b"));
        assert_eq!(names(), ["a", "b"]);
        assert_eq!(take::<String>("b"), "b");
        forget();
        assert!(names().is_empty());
    }
}
