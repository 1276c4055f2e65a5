//! The value of a cell's last expression.
//!
//! The kernel turns the expression into `morceaux::show!(…);`. Which way to show the value is decided
//! by method resolution, which tries fewer references before more (the "autoref" technique, see
//! <https://github.com/dtolnay/case-studies/blob/master/autoref-specialization/README.md>): so each
//! cell compiles once, whatever the type.

/// Shows a value as the result of the cell, in the first of these ways that its type has: its own
/// `evcxr_display()`, [`Show`](crate::Show), the name of the type.
#[doc(hidden)]
#[macro_export]
macro_rules! show {
    // As `:fmt` and `:types` say.
    (@$format:literal $with_type:literal; $value:expr) => {
        match &($value) {
            value => {
                #[allow(unused_imports, reason = "the type decides whether it is used")]
                use $crate::__show::NoEvcxrDisplay as _;
                let text = $crate::__show::ResultText::begin();
                let shown = value.evcxr_display();
                ::std::mem::drop(text);
                $crate::__show::finish_formatted(value, shown, $with_type, || {
                    ::std::format!($format, value)
                });
            }
        }
    };
    ($value:expr) => {
        match &($value) {
            value => {
                #[allow(unused_imports, reason = "the type decides which of them is used")]
                use $crate::__show::{
                    ByEvcxrDisplay as _, ByShow as _, ByTypeName as _, NoEvcxrDisplay as _,
                    OfFuture as _,
                };
                let text = $crate::__show::ResultText::begin();
                let shown = value.evcxr_display();
                ::std::mem::drop(text);
                (&&&$crate::__show::Shown::new(value, shown)).finish();
            }
        }
    };
}

/// What `show!` expands to.
#[doc(hidden)]
pub mod __show {
    use std::future::Future;
    use std::marker::PhantomData;

    use crate::display::Show;
    use crate::wire::{Bundle, Report};
    use crate::{link, stdio, tasks};

    /// While it lives, what the thread prints is the value showing itself.
    #[derive(Debug)]
    pub struct ResultText(());

    impl ResultText {
        /// The beginning.
        #[must_use]
        pub fn begin() -> ResultText {
            stdio::flush();
            link::send(&Report::ResultTextBegin {
                cell: tasks::current_cell(),
            });
            ResultText(())
        }
    }

    impl Drop for ResultText {
        fn drop(&mut self) {
            stdio::flush();
            link::send(&Report::ResultTextEnd {
                cell: tasks::current_cell(),
            });
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

    /// A value and what its `evcxr_display` returned.
    #[derive(Debug)]
    pub struct Shown<'a, T: ?Sized, S>(&'a T, PhantomData<S>);

    impl<'a, T: ?Sized, S> Shown<'a, T, S> {
        /// Pairs them.
        pub fn new(value: &'a T, _shown: S) -> Self {
            Shown(value, PhantomData)
        }
    }

    /// The second way: [`Show`], and with it everything that is `Debug`.
    pub trait ByShow {
        /// Sends the result.
        fn finish(&self);
    }

    impl<T: Show + ?Sized> ByShow for &&Shown<'_, T, NotShown> {
        fn finish(&self) {
            // What evaluates to nothing has no result.
            if std::any::type_name::<T>() != "()" {
                send(self.0.bundle());
            }
        }
    }

    /// The third way, for a future that nobody has awaited.
    pub trait OfFuture {
        /// Sends the result.
        fn finish(&self);
    }

    impl<T: Future + ?Sized> OfFuture for &&&Shown<'_, T, NotShown> {
        fn finish(&self) {
            send(as_text(format!("<future {}>", short_type_name::<T>())));
        }
    }

    /// The last way.
    pub trait ByTypeName {
        /// Sends the result.
        fn finish(&self);
    }

    impl<T: ?Sized> ByTypeName for &Shown<'_, T, NotShown> {
        fn finish(&self) {
            send(as_text(format!("<{}>", short_type_name::<T>())));
        }
    }

    /// The first way: the value has shown itself.
    pub trait ByEvcxrDisplay {
        /// Nothing is left to do.
        fn finish(&self) {}
    }

    impl<T: ?Sized, S> ByEvcxrDisplay for Shown<'_, T, S> {}

    /// Sends a value that was formatted as the user wants it, unless it has shown itself.
    pub fn finish_formatted<T: ?Sized, S: 'static>(
        _value: &T,
        _shown: S,
        with_type: bool,
        format: impl FnOnce() -> String,
    ) {
        let has_shown_itself = std::any::TypeId::of::<S>() != std::any::TypeId::of::<NotShown>();
        if has_shown_itself || std::any::type_name::<T>() == "()" {
            return;
        }
        let text = format();
        send(as_text(if with_type {
            format!(": {} = {text}", without_paths(std::any::type_name::<T>()))
        } else {
            text
        }));
    }

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

    /// A type's name without evcxr's name for the cells' crate, and without the closure that an
    /// `async fn` is made of.
    fn short_type_name<T: ?Sized>() -> String {
        std::any::type_name::<T>()
            .replace("ctx::", "")
            .replace("::{{closure}}", "")
    }

    fn as_text(text: String) -> Bundle {
        vec![("text/plain".to_owned(), text)]
    }

    fn send(bundle: Bundle) {
        link::send(&Report::Result {
            cell: tasks::current_cell(),
            bundle,
        });
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
