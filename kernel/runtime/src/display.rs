//! Showing values from anywhere in a cell or its tasks.

use std::fmt::{Debug, Display};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::{Bundle, CellId, Report};
use crate::{link, stdio, tasks};

/// What can be shown below a cell.
///
/// Everything that is [`Debug`] is shown as that text. The types of this crate that are not
/// ([`Html`], [`Markdown`], [`Svg`]) are shown as what they hold.
pub trait Show {
    /// The representations, as pairs of MIME type and content; none to show nothing.
    fn bundle(&self) -> Bundle;
}

impl<T: Debug + ?Sized> Show for T {
    fn bundle(&self) -> Bundle {
        vec![("text/plain".to_owned(), format!("{self:?}"))]
    }
}

// None of the following may become `Debug`: the implementation above would take them.

/// HTML, shown as a page shows it.
pub struct Html<T>(pub T);

/// Markdown, shown as the notebook's own text cells are.
pub struct Markdown<T>(pub T);

/// An SVG picture.
pub struct Svg<T>(pub T);

impl<T: Display> Show for Html<T> {
    fn bundle(&self) -> Bundle {
        vec![("text/html".to_owned(), self.0.to_string())]
    }
}

impl<T: Display> Show for Markdown<T> {
    fn bundle(&self) -> Bundle {
        vec![("text/markdown".to_owned(), self.0.to_string())]
    }
}

impl<T: Display> Show for Svg<T> {
    fn bundle(&self) -> Bundle {
        vec![("image/svg+xml".to_owned(), self.0.to_string())]
    }
}

/// Where a value is shown, and where another one can take its place.
pub struct DisplayHandle {
    id: String,
    cell: CellId,
}

impl Show for DisplayHandle {
    /// Nothing: what it stands for is shown already.
    fn bundle(&self) -> Bundle {
        Bundle::new()
    }
}

/// Shows a value below the cell whose code, or whose task, calls this.
///
/// ```no_run
/// use morceaux::prelude::*;
///
/// let progress = display("0 %");
/// progress.update("100 %");
/// ```
pub fn display<T: Show + ?Sized>(value: &T) -> DisplayHandle {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let handle = DisplayHandle {
        id: format!("morceaux-{}-{number}", std::process::id()),
        cell: tasks::current_cell(),
    };
    handle.send(value.bundle(), false);
    handle
}

impl DisplayHandle {
    /// Shows `value` in place of what is shown there now.
    pub fn update<T: Show + ?Sized>(&self, value: &T) {
        self.send(value.bundle(), true);
    }

    fn send(&self, bundle: Bundle, update: bool) {
        stdio::flush();
        link::send(&Report::Display {
            cell: self.cell,
            bundle,
            id: self.id.clone(),
            update,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_debug_is_shown_as_text() {
        assert_eq!(
            [1, 2].bundle(),
            [("text/plain".to_owned(), "[1, 2]".to_owned())]
        );
    }

    #[test]
    fn pictures_are_shown_as_pictures() {
        assert_eq!(Svg("<svg/>").bundle()[0].0, "image/svg+xml");
    }
}
