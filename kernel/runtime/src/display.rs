//! Showing values from anywhere in a cell or its tasks, and clearing what is shown.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::mime::{MimeBundle, Shown};
use crate::shorten::grouped;
use crate::wire::{Bundle, CellId, MAX_FRAME_BYTES, Report};
use crate::{link, room, stdio, tasks, ways};

/// The largest value that is shown, in bytes. Browsers are in trouble long before.
const MAX_BYTES: usize = MAX_FRAME_BYTES - (1 << 20);

/// Where a value is shown, and where another one can take its place. Clones are the same place.
#[derive(Clone)]
pub struct DisplayHandle {
    id: String,
    cell: CellId,
}

impl Shown for DisplayHandle {
    /// Nothing: what it stands for is shown already.
    fn shown(&self) -> MimeBundle {
        MimeBundle::new()
    }
}

/// Shows a value below the cell whose code, or whose task, calls this.
///
/// In the code of a cell, the kernel makes this the macro of the same name, which also knows the
/// type's own ways to show itself.
///
/// ```no_run
/// use morceaux::prelude::*;
///
/// let progress = display("0 %");
/// progress.update("100 %");
/// ```
pub fn display<T: Shown + ?Sized>(value: &T) -> DisplayHandle {
    show(value.shown())
}

/// What `display!` expands to.
#[doc(hidden)]
pub fn __display<T: ?Sized>(value: &T, way: fn(&T) -> MimeBundle) -> DisplayHandle {
    ways::note(way);
    show(way(value))
}

/// As the function [`display`](crate::display()), but also for types that are not `Debug`: a type's own
/// `evcxr_display()` comes first, then its [`Show`](crate::Show), its `Debug`, and its name.
#[macro_export]
macro_rules! display {
    ($value:expr) => {
        match $value {
            value => $crate::__display(value, |value| $crate::shown!(*value)),
        }
    };
}

/// What is sent of a value: nothing that the kernel would take for damage.
pub(crate) fn fitting(bundle: MimeBundle) -> Bundle {
    let bundle = bundle.into_bundle();
    let bytes: usize = bundle.iter().map(|(_, content)| content.len()).sum();
    if bytes <= MAX_BYTES {
        return bundle;
    }
    let text = format!(
        "<a value of {} bytes, too large for a notebook: write it to a file>",
        grouped(bytes)
    );
    vec![("text/plain".to_owned(), text)]
}

/// Shows something for the first time.
pub(crate) fn show(bundle: MimeBundle) -> DisplayHandle {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let handle = DisplayHandle {
        id: format!("morceaux-{}-{number}", std::process::id()),
        cell: tasks::current_cell(),
    };
    handle.send(bundle, false);
    handle
}

impl DisplayHandle {
    /// Shows `value` in place of what is shown there now. Of updates that follow each other faster
    /// than front ends can show them, the last one is shown.
    pub fn update<T: Shown + ?Sized>(&self, value: &T) {
        self.send(value.shown(), true);
    }

    fn send(&self, bundle: MimeBundle, update: bool) {
        stdio::flush();
        let bundle = fitting(bundle);
        if bundle.is_empty() {
            return;
        }
        let bytes = bundle.iter().map(|(_, content)| content.len()).sum();
        link::send(&Report::Display {
            cell: self.cell,
            charge: room::for_value(bytes),
            bundle,
            id: self.id.clone(),
            update,
        });
    }
}

/// Takes away what stands below the cell whose code, or whose task, calls this. With `wait`, it stays
/// until something else is shown there, so that what is shown over and over does not flicker.
pub fn clear_output(wait: bool) {
    stdio::flush();
    link::send(&Report::Clear {
        cell: tasks::current_cell(),
        wait,
    });
}
