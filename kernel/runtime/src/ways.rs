//! How types show themselves, for the functions that know no more of a value than that it is `Debug`.
//!
//! Where [`display`](crate::display()) stands, the compiler knows the type, and with it its own
//! `evcxr_display` or [`Show`](crate::Show); that way is noted here for `DisplayHandle::update`. A
//! cell that defines a type differently makes the notes worthless: the kernel sees to it that they
//! are forgotten before it runs.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::mime::MimeBundle;

type Erased = fn(*const ()) -> MimeBundle;

static WAYS: Mutex<Option<HashMap<TypeId, Erased>>> = Mutex::new(None);

/// Notes how values of a type are shown.
pub(crate) fn note<T: ?Sized>(way: fn(&T) -> MimeBundle) {
    // A reference to what has no size known to the compiler is two words, and such values are seldom
    // shown by themselves.
    if size_of::<&T>() != size_of::<*const ()>() {
        return;
    }
    // SAFETY: both are pointers to functions that take one pointer; a reference is passed as one.
    let way = unsafe { std::mem::transmute::<fn(&T) -> MimeBundle, Erased>(way) };
    let mut ways = WAYS.lock().unwrap_or_else(PoisonError::into_inner);
    ways.get_or_insert_default().insert(typeid::of::<T>(), way);
}

/// Shows a value as its type is known to be shown.
pub(crate) fn of<T: ?Sized>(value: &T) -> Option<MimeBundle> {
    let way = {
        let ways = WAYS.lock().unwrap_or_else(PoisonError::into_inner);
        *ways.as_ref()?.get(&typeid::of::<T>())?
    };
    // The type is the one with which it was noted, so the pointer is what the function expects.
    Some(way(std::ptr::from_ref(value).cast()))
}

/// Forgets all of it.
pub(crate) fn forget() {
    *WAYS.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
