//! Where variables live between two cells. evcxr generates this module into every cell; the kernel
//! lets cells use this one instead, which is compiled once (its `generated.rs`). The names and what they
//! do are those of evcxr 0.22.0's `evcxr_internal_runtime.rs`.

use std::any::{Any, TypeId};
use std::collections::HashMap;

use crate::evcxr_words;

/// How a line begins by which evcxr is told that a variable was lost.
pub const VARIABLE_CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
/// The line by which evcxr is told that a `?` has ended the cell.
pub const USER_ERROR_OCCURRED: &str = "EVCXR_ERROR_OCCURRED";

/// The variables, by name.
#[derive(Debug, Default)]
pub struct VariableStore {
    variables: HashMap<String, Box<dyn Any>>,
}

/// The notebook's store. evcxr hands it from cell to cell and never frees it.
#[must_use]
pub fn create_variable_store() -> *mut VariableStore {
    Box::into_raw(Box::default())
}

// What is generic is compiled into every cell, so it only names the type.
impl VariableStore {
    /// Keeps a variable.
    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    /// Whether a variable, if it is there, is of this type; tells the user and evcxr if it is not.
    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        self.check(name, TypeId::of::<T>())
    }

    /// Takes a variable that has been checked.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        let value = Box::into_raw(self.take(name, TypeId::of::<T>()));
        // SAFETY: `take` returns nothing that is of another type.
        *unsafe { Box::from_raw(value.cast::<T>()) }
    }

    pub(crate) fn put(&mut self, name: &str, value: Box<dyn Any>) {
        self.variables.insert(name.to_owned(), value);
    }

    fn check(&self, name: &str, wanted: TypeId) -> bool {
        let is_wanted = |value: &Box<dyn Any>| (**value).type_id() == wanted;
        let fits = self.variables.get(name).is_none_or(is_wanted);
        if !fits {
            eprintln!("`{name}` is lost: its type is another one now");
            evcxr_words::say(format!("{VARIABLE_CHANGED_TYPE}{name}\n").as_bytes());
        }
        fits
    }

    fn take(&mut self, name: &str, wanted: TypeId) -> Box<dyn Any> {
        let value = self.variables.remove(name);
        let value = value.filter(|value| (**value).type_id() == wanted);
        value.unwrap_or_else(|| panic!("the variable `{name}` is not there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_comes_back_as_what_it_was() {
        let mut store = VariableStore::default();
        store.put_variable("a", vec![1_u8]);
        assert!(store.check_variable::<Vec<u8>>("a") && store.check_variable::<u8>("b"));
        assert!(!store.check_variable::<Vec<i8>>("a"));
        assert_eq!(store.take_variable::<Vec<u8>>("a"), [1]);
    }

    #[test]
    #[should_panic(expected = "`a` is not there")]
    fn what_was_taken_is_gone() {
        let mut store = VariableStore::default();
        store.put_variable("a", 1_u8);
        assert_eq!(store.take_variable::<u8>("a"), 1);
        store.take_variable::<u8>("a");
    }
}
