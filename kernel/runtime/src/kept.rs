//! The variables that a cell hands over: at its end, or before a `?` or the stop button ends it. The
//! kernel tells evcxr of them by name and type; what evcxr's own code would do costs the same again.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cell;
use crate::named::{Name, Named};
use crate::variable_store::VariableStore;
use crate::wire::{Outcome, Variable};

thread_local! {
    static KEPT: RefCell<Vec<(Variable, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
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

/// Hands a variable over: its name, its value, and its type where that has to be said.
#[doc(hidden)]
#[macro_export]
macro_rules! keep {
    ($name:ident, $value:expr) => {
        $crate::__kept::keep(::std::stringify!($name), $value)
    };
    ($name:ident, $value:expr, $type:ty) => {
        $crate::__kept::keep_as::<$type>(::std::stringify!($name), ::std::stringify!($type), $value)
    };
}

/// Takes the value out of what a `?` or an await has resulted in; where the cell ends there, the named
/// variables are handed over first, the last ones with their types.
// Not by the other macro, inside of which the compiler would not say which variable an error is about.
#[doc(hidden)]
#[macro_export]
macro_rules! or_keep {
    ([$($name:ident),*; $($typed:ident: $type:ty),*] $result:expr) => {
        match $result {
            ::std::result::Result::Ok(value) => value,
            ::std::result::Result::Err(end) => {
                $($crate::__kept::keep(::std::stringify!($name), $name);)*
                $($crate::__kept::keep_as::<$type>(
                    ::std::stringify!($typed),
                    ::std::stringify!($type),
                    $typed,
                );)*
                end.now()
            }
        }
    };
}

/// Hands over a variable of a type whose name is known.
#[doc(hidden)]
pub fn keep<T: Named<Kind>, Kind>(name: &'static str, value: T) {
    put_named(name, T::NAME, Box::new(value));
}

/// Hands over a variable of a type that is written like this.
#[doc(hidden)]
pub fn keep_as<T: 'static>(name: &'static str, type_name: &'static str, value: T) {
    put(name, type_name, Box::new(value));
}

// What is generic is compiled into every cell.
fn put_named(name: &str, type_name: Name, value: Box<dyn Any>) {
    put(name, &type_name.to_string(), value);
}

fn put(name: &str, type_name: &str, value: Box<dyn Any>) {
    let [name, type_name] = [name, type_name].map(str::to_owned);
    let variable = Variable { name, type_name };
    KEPT.with_borrow_mut(|kept| kept.push((variable, value)));
}

/// Puts what was handed over where the next cell finds it; returns what that is. Variables of the same
/// names are dropped, which runs code of the user's.
pub(crate) fn store(variables: &mut VariableStore) -> Vec<Variable> {
    let kept = KEPT.take().into_iter();
    let stored = kept.map(|(variable, value)| {
        // A destructor that panics costs what it destroys, not the process.
        let _ = catch_unwind(AssertUnwindSafe(|| variables.put(&variable.name, value)));
        variable
    });
    stored.collect()
}

/// Drops what was handed over.
pub(crate) fn forget() {
    drop(KEPT.take());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_is_stored_once() {
        let mut variables = VariableStore::default();
        crate::keep!(a, 1_u8);
        crate::keep!(b, String::from("b"), String);
        let stored = store(&mut variables);
        let names: Vec<_> = stored
            .iter()
            .map(|variable| (&*variable.name, &*variable.type_name))
            .collect();
        assert_eq!(names, [("a", "u8"), ("b", "String")]);
        assert_eq!(variables.take_variable::<String>("b"), "b");
        assert!(store(&mut variables).is_empty());
    }
}
