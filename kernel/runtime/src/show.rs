//! How a value is shown whose type the compiler knows: the value of a cell's last expression, and
//! what is given to `display`.
//!
//! Which way to show it is decided by method resolution, which tries fewer references before more
//! (the "autoref" technique, see
//! <https://github.com/dtolnay/case-studies/blob/master/autoref-specialization/README.md>): so each
//! cell compiles once, whatever the type.

/// Shows a value as the result of the cell. The kernel turns the last expression into this.
#[doc(hidden)]
#[macro_export]
macro_rules! show {
    // As `:fmt` and `:types` say.
    (@$format:literal $with_type:literal; $value:expr) => {
        match &($value) {
            value => {
                #[allow(unused_imports, reason = "the type decides which of them is used")]
                use $crate::__show::{NoElements as _, NoEvcxrDisplay as _, OfElements as _};
                let showing = $crate::__show::Showing::result();
                let shown = value.evcxr_display();
                showing.finish_formatted(
                    $crate::__show::has_shown_itself(&shown),
                    $crate::__show::type_name(value),
                    $with_type,
                    ::std::format_args!($format, value),
                    (&$crate::__show::Counted(value)).count(),
                );
            }
        }
    };
    ($value:expr) => {
        match &($value) {
            value => {
                let showing = $crate::__show::Showing::result();
                $crate::__shown!(showing, value);
            }
        }
    };
}

/// A value's representations, in the first of these ways that its type has: its own `evcxr_display()`,
/// [`Show`](crate::Show), `Debug`, the name of the type.
#[macro_export]
macro_rules! shown {
    ($value:expr) => {
        match &$value {
            value => {
                let showing = $crate::__show::Showing::bundle();
                $crate::__shown!(showing, value);
                $crate::__show::bundle()
            }
        }
    };
}

/// Lets a value show itself.
#[doc(hidden)]
#[macro_export]
macro_rules! __shown {
    ($showing:ident, $value:ident) => {{
        #[allow(unused_imports, reason = "the type decides which of them is used")]
        use $crate::__show::{
            ByDebug as _, ByShow as _, ByTypeName as _, NoElements as _, NoEvcxrDisplay as _,
            OfElements as _, OfFuture as _,
        };
        let shown = $value.evcxr_display();
        let elements = (&$crate::__show::Counted($value)).count();
        (&&&&$crate::__show::Shown::new($value, &shown)).finish($showing, elements);
    }};
}

/// What `show!` and `shown!` expand to. What does not depend on the type is compiled once, here, and
/// not in every cell.
#[doc(hidden)]
pub mod __show {
    use std::any::TypeId;
    use std::cell::RefCell;
    use std::fmt::{Arguments, Debug};
    use std::future::Future;

    use crate::blocks::{Blocks, Part};
    use crate::mime::{MimeBundle, Show};
    pub use crate::shorten::Elements;
    use crate::wire::Report;
    use crate::{display, link, shorten, stdio, tasks};

    /// While it lives, what the thread prints is a value showing itself.
    #[derive(Debug)]
    pub struct Showing {
        is_result: bool,
        captures_before: usize,
    }

    thread_local! {
        /// What has been shown for `shown!`.
        static BUNDLE: RefCell<Option<MimeBundle>> = const { RefCell::new(None) };
    }

    /// Takes it.
    pub fn bundle() -> MimeBundle {
        BUNDLE.take().unwrap_or_default()
    }

    impl Drop for Showing {
        fn drop(&mut self) {
            // Where the value panics, too.
            self.take_printed();
        }
    }

    impl Showing {
        /// A value shows itself as the result of the cell.
        #[must_use]
        pub fn result() -> Showing {
            Showing {
                is_result: true,
                captures_before: stdio::begin_capture(),
            }
        }

        /// A value shows itself for [`bundle`].
        #[must_use]
        pub fn bundle() -> Showing {
            Showing {
                is_result: false,
                captures_before: stdio::begin_capture(),
            }
        }

        /// What the value has printed, apart from what is no representation of it: that goes to
        /// standard output.
        fn take_printed(&self) -> MimeBundle {
            let bytes = stdio::end_capture(self.captures_before);
            let (mut blocks, mut parts) = (Blocks::default(), Vec::new());
            blocks.write(&String::from_utf8_lossy(&bytes), &mut parts);
            blocks.finish(&mut parts);
            let mut bundle = MimeBundle::new();
            for part in parts {
                match part {
                    Part::Text(text) => stdio::report_text(tasks::current_cell(), text.as_bytes()),
                    // Of several values, all but the last are shown on the way.
                    Part::Value(next) => {
                        display::show(std::mem::replace(&mut bundle, MimeBundle::of(next)));
                    }
                }
            }
            bundle
        }

        /// The value has shown itself by printing.
        pub fn finish_printed(self) {
            let bundle = self.take_printed();
            self.finish(bundle);
        }

        /// The value's representations are known.
        pub fn finish(self, bundle: MimeBundle) {
            self.take_printed();
            if !self.is_result {
                return BUNDLE.set(Some(bundle));
            }
            stdio::flush();
            let bundle = display::fitting(bundle);
            if !bundle.is_empty() {
                let cell = tasks::current_cell();
                link::send(&Report::Result { cell, bundle });
            }
        }

        /// The value is shown as its `Debug`, which may have a number of elements.
        pub fn finish_debug(self, value: &dyn Debug, type_name: &str, elements: Option<usize>) {
            // What evaluates to nothing is not shown.
            self.finish(if type_name == "()" {
                MimeBundle::new()
            } else {
                plain(shorten::shortened(format_args!("{value:?}"), elements))
            });
        }

        /// The value is shown as the name of its type.
        pub fn finish_name(self, what: &str, type_name: &str) {
            // Without evcxr's name for the cells' crate, and without the closure that an `async fn`
            // is made of.
            let name = type_name.replace("ctx::", "").replace("::{{closure}}", "");
            self.finish(plain(format!("<{what}{name}>")));
        }

        /// The value is shown as the user wants it formatted, unless it has shown itself.
        pub fn finish_formatted(
            self,
            has_shown_itself: bool,
            type_name: &str,
            with_type: bool,
            args: Arguments<'_>,
            elements: Option<usize>,
        ) {
            if has_shown_itself {
                return self.finish_printed();
            }
            if type_name == "()" {
                return self.finish(MimeBundle::new());
            }
            let text = shorten::shortened(args, elements);
            self.finish(plain(if with_type {
                format!(": {} = {text}", without_paths(type_name))
            } else {
                text
            }));
        }
    }

    /// Says that a type has no `evcxr_display` of its own.
    #[derive(Debug)]
    pub struct NotShown;

    /// Found by method resolution after a type's own `evcxr_display`.
    pub trait NoEvcxrDisplay {
        /// Does nothing, and says so.
        fn evcxr_display(&self) -> NotShown {
            NotShown
        }
    }

    impl<T: ?Sized> NoEvcxrDisplay for &T {}

    /// Whether something else was found, by what it has returned.
    pub fn has_shown_itself<S: 'static>(_shown: &S) -> bool {
        TypeId::of::<S>() != TypeId::of::<NotShown>()
    }

    /// The name of a value's type.
    pub fn type_name<T: ?Sized>(_value: &T) -> &'static str {
        std::any::type_name::<T>()
    }

    /// A value and what its `evcxr_display` returned.
    #[derive(Debug)]
    pub struct Shown<'a, T: ?Sized, S>(&'a T, &'a S);

    impl<'a, T: ?Sized, S> Shown<'a, T, S> {
        /// Pairs them.
        pub fn new(value: &'a T, shown: &'a S) -> Self {
            Shown(value, shown)
        }
    }

    /// The second way: [`Show`].
    pub trait ByShow {
        /// Shows the value.
        fn finish(&self, showing: Showing, elements: Option<usize>);
    }

    impl<T: Show + ?Sized> ByShow for &&&Shown<'_, T, NotShown> {
        fn finish(&self, showing: Showing, _elements: Option<usize>) {
            showing.finish(self.0.show());
        }
    }

    /// The third way: `Debug`.
    pub trait ByDebug {
        /// Shows the value.
        fn finish(&self, showing: Showing, elements: Option<usize>);
    }

    impl<T: Debug + ?Sized> ByDebug for &&Shown<'_, T, NotShown> {
        fn finish(&self, showing: Showing, elements: Option<usize>) {
            showing.finish_debug(&self.0, type_name(self.0), elements);
        }
    }

    /// The fourth way, for a future that nobody has awaited.
    pub trait OfFuture {
        /// Shows the value.
        fn finish(&self, showing: Showing, elements: Option<usize>);
    }

    impl<T: Future + ?Sized> OfFuture for &Shown<'_, T, NotShown> {
        fn finish(&self, showing: Showing, _elements: Option<usize>) {
            showing.finish_name("future ", type_name(self.0));
        }
    }

    /// The first way: the value has shown itself. And the last one: the name of its type.
    pub trait ByTypeName {
        /// Shows the value.
        fn finish(&self, showing: Showing, elements: Option<usize>);
    }

    impl<T: ?Sized, S: 'static> ByTypeName for Shown<'_, T, S> {
        fn finish(&self, showing: Showing, _elements: Option<usize>) {
            if has_shown_itself(self.1) {
                showing.finish_printed();
            } else {
                showing.finish_name("", type_name(self.0));
            }
        }
    }

    /// A value whose elements may be counted.
    pub struct Counted<'a, T: ?Sized>(pub &'a T);

    /// What has elements.
    pub trait OfElements {
        /// Their number.
        fn count(&self) -> Option<usize>;
    }

    impl<T: Elements + ?Sized> OfElements for Counted<'_, T> {
        fn count(&self) -> Option<usize> {
            Some(self.0.elements())
        }
    }

    /// What has none.
    pub trait NoElements {
        /// None.
        fn count(&self) -> Option<usize> {
            None
        }
    }

    impl<T: ?Sized> NoElements for &Counted<'_, T> {}

    /// `alloc::vec::Vec<core::option::Option<u8>>` as `Vec<Option<u8>>`.
    fn without_paths(type_name: &str) -> String {
        let mut short = String::with_capacity(type_name.len());
        let mut rest = type_name;
        while !rest.is_empty() {
            let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = rest.find(|c| !in_path(c)).unwrap_or(rest.len());
            let (path, behind) = rest.split_at(end);
            short.push_str(path.rsplit("::").next().unwrap_or(path));
            let other = behind.find(in_path).unwrap_or(behind.len());
            let (between, next) = behind.split_at(other);
            short.push_str(between);
            rest = next;
        }
        short
    }

    fn plain(text: String) -> MimeBundle {
        MimeBundle::new().with("text/plain", text)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn types_are_named_without_their_paths() {
            let name = std::any::type_name::<Vec<(Option<&str>, [u8; 3])>>();
            assert_eq!(super::without_paths(name), "Vec<(Option<&str>, [u8; 3])>");
        }
    }
}
