//! Types that can be written down in every cell, and how. evcxr has to be told of what type a variable
//! is, and would have rust-analyzer find out, which reads the standard library first, for seconds; rustc
//! knows. The types that are not here are asked for, see the kernel's `ask.rs`.

use std::fmt;

use crate::Never;

/// A type that is written in the same way in every cell. `Kind` is [`Known`] where there is nothing special
/// about it; [`Endless`] where it is made of [`Never`]: as long as `!` cannot be written, the compiler has to
/// take its implementation for one that could be of any type; and one of a cell's own where it is made of a
/// type of another crate, for which the cell could have no implementation else.
#[doc(hidden)]
pub trait Named<Kind = Known>: 'static {
    /// How.
    const NAME: Name;
}

/// See [`Named`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Known {}

/// See [`Named`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Endless {}

/// How a type is written.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// What stands behind each other.
    pub parts: &'static [Part],
}

/// A part of how a type is written.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Itself.
    Text(&'static str),
    /// How another type is written.
    Type(Name),
    /// A number.
    Number(usize),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Type(name) => name.fmt(f),
            Part::Number(number) => number.fmt(f),
        })
    }
}

/// Names types of the notebook's own, which are new ones in every cell, and types of other crates. The kernel
/// writes this into a cell. A type with parameters comes with these, each with a name for its kind and with
/// its bounds, and with what stands behind `where`.
#[doc(hidden)]
#[macro_export]
macro_rules! types {
    ($(($($own:tt)*))*; $($other:ty),*) => {
        #[allow(dead_code, reason = "most cells name no such types")]
        enum MorceauxOther {}
        $($crate::types!(@own $($own)*);)*
        $($crate::types!(@ MorceauxOther, $other);)*
    };
    (@own $name:ident) => { $crate::types!(@ $crate::__kept::Known, $name); };
    (@own $name:ident
        [$first:ident $first_kind:ident $($first_bound:tt)*]
        $([$other:ident $kind:ident $($bound:tt)*])*
        where $($where:tt)*
    ) => {
        #[allow(non_local_definitions, reason = "a cell is a function, and has nothing else")]
        impl<
            $first: $crate::__kept::Named<$first_kind> + $($first_bound)*,
            $($other: $crate::__kept::Named<$kind> + $($bound)*,)*
            $first_kind,
            $($kind,)*
        > $crate::__kept::Named<($first_kind, $($kind),*)> for $name<$first, $($other),*>
        where
            $($where)*
        {
            const NAME: $crate::__kept::Name = $crate::__kept::Name {
                parts: &[
                    $crate::__kept::Part::Text(::std::stringify!($name)),
                    $crate::__kept::Part::Text("<"),
                    $crate::__kept::Part::Type(<$first as $crate::__kept::Named<$first_kind>>::NAME),
                    $(
                        $crate::__kept::Part::Text(", "),
                        $crate::__kept::Part::Type(<$other as $crate::__kept::Named<$kind>>::NAME),
                    )*
                    $crate::__kept::Part::Text(">"),
                ],
            };
        }
    };
    (@ $kind:ty, $type:ty) => {
        #[allow(non_local_definitions, reason = "a cell is a function, and has nothing else")]
        impl $crate::__kept::Named<$kind> for $type {
            const NAME: $crate::__kept::Name = $crate::__kept::Name {
                parts: &[$crate::__kept::Part::Text(::std::stringify!($type))],
            };
        }
    };
}

/// Types with what their names are made of: text, the names of other types, and numbers in brackets.
macro_rules! named {
    ($(($($generics:tt)*) $type:ty = $($part:tt),+;)*) => {$(
        impl<$($generics)*> Named for $type {
            const NAME: Name = Name { parts: &[$(named!(@ $part)),+] };
        }
    )*};
    (@ $text:literal) => { Part::Text($text) };
    (@ [$number:ident]) => { Part::Number($number) };
    (@ $type:ident) => { Part::Type($type::NAME) };
}

/// Types without parameters.
macro_rules! plain {
    ($($head:ident $(::$segment:ident)*;)*) => {$(
        impl Named for $head $(::$segment)* {
            const NAME: Name = Name {
                parts: &[Part::Text(concat!(stringify!($head) $(, "::", stringify!($segment))*))],
            };
        }
    )*};
}

/// Types with one parameter, and what is to be said of that.
macro_rules! of_one {
    ($(($($bound:tt)*) $head:ident $(::$segment:ident)*;)*) => {$(
        impl<T: Named<Kind> $($bound)*, Kind> Named<Kind> for $head $(::$segment)*<T> {
            const NAME: Name = Name {
                parts: &[
                    Part::Text(concat!(stringify!($head) $(, "::", stringify!($segment))*)),
                    Part::Text("<"),
                    Part::Type(T::NAME),
                    Part::Text(">"),
                ],
            };
        }
    )*};
}

/// Types with two parameters.
macro_rules! of_two {
    ($($head:ident $(::$segment:ident)*;)*) => {$(
        impl<A: Named<Kind>, B: Named<Other>, Kind, Other> Named<(Kind, Other)>
            for $head $(::$segment)*<A, B>
        {
            const NAME: Name = Name {
                parts: &[
                    Part::Text(concat!(stringify!($head) $(, "::", stringify!($segment))*)),
                    Part::Text("<"),
                    Part::Type(A::NAME),
                    Part::Text(", "),
                    Part::Type(B::NAME),
                    Part::Text(">"),
                ],
            };
        }
    )*};
}

/// Functions of some numbers of arguments, and what closures are boxed as.
macro_rules! functions {
    ($(($($first:ident $(, $other:ident)*)?))*) => {$(
        functions!(@ "fn(", "", fn($($first $(, $other)*)?) -> R, $($first $(, $other)*)?);
        functions!(@ "dyn Fn(", "", dyn Fn($($first $(, $other)*)?) -> R, $($first $(, $other)*)?);
        functions!(@ "dyn FnMut(", "", dyn FnMut($($first $(, $other)*)?) -> R, $($first $(, $other)*)?);
        functions!(@ "dyn FnOnce(", "", dyn FnOnce($($first $(, $other)*)?) -> R, $($first $(, $other)*)?);
        functions!(@ "dyn Fn(", " + Send + Sync", dyn Fn($($first $(, $other)*)?) -> R + Send + Sync, $($first $(, $other)*)?);
        functions!(@ "dyn FnMut(", " + Send + Sync", dyn FnMut($($first $(, $other)*)?) -> R + Send + Sync, $($first $(, $other)*)?);
        functions!(@ "dyn FnOnce(", " + Send + Sync", dyn FnOnce($($first $(, $other)*)?) -> R + Send + Sync, $($first $(, $other)*)?);
    )*};
    (@ $before:literal, $behind:literal, $type:ty, $($first:ident $(, $other:ident)*)?) => {
        impl<$($first: Named, $($other: Named,)*)? R: Named<Kind>, Kind> Named<Kind> for $type {
            const NAME: Name = Name {
                parts: &[
                    Part::Text($before),
                    $(
                        Part::Type($first::NAME),
                        $(Part::Text(", "), Part::Type($other::NAME),)*
                    )?
                    Part::Text(") -> "),
                    Part::Type(R::NAME),
                    Part::Text($behind),
                ],
            };
        }
    };
}

/// Futures by what they result in, and iterators by what they yield.
macro_rules! associated {
    ($($before:literal $type:ty, $behind:literal;)*) => {$(
        impl<T: Named<Kind>, Kind> Named<Kind> for $type {
            const NAME: Name = Name {
                parts: &[Part::Text($before), Part::Type(T::NAME), Part::Text($behind)],
            };
        }
    )*};
}

impl Named<Endless> for Never {
    const NAME: Name = Name {
        parts: &[Part::Text("morceaux::Never")],
    };
}

functions! { () (A) (A, B) (A, B, C) }

associated! {
    "dyn std::future::Future<Output = " dyn Future<Output = T>, ">";
    "dyn std::future::Future<Output = " dyn Future<Output = T> + Send, "> + Send";
    "dyn Iterator<Item = " dyn Iterator<Item = T>, ">";
    "dyn Iterator<Item = " dyn Iterator<Item = T> + Send, "> + Send";
}

named! {
    () crate::DisplayHandle = "morceaux::DisplayHandle";
    () crate::EventLoop = "morceaux::EventLoop";
    () crate::EventLoop<crate::Kernel> = "morceaux::EventLoop<morceaux::Kernel>";
    () crate::Interrupted = "morceaux::Interrupted";
    () crate::MimeBundle = "morceaux::MimeBundle";
    () crate::OutputCell = "morceaux::OutputCell";
    (T: Named + ?Sized) &'static T = "&'static ", T;
    (T: Named + ?Sized) &'static mut T = "&'static mut ", T;
    (T: Named) [T] = "[", T, "]";
    (T: Named, const N: usize) [T; N] = "[", T, "; ", [N], "]";
    () () = "()";
    (A: Named) (A,) = "(", A, ",)";
    (A: Named, B: Named) (A, B) = "(", A, ", ", B, ")";
    (A: Named, B: Named, C: Named) (A, B, C) = "(", A, ", ", B, ", ", C, ")";
    (A: Named, B: Named, C: Named, D: Named) (A, B, C, D) = "(", A, ", ", B, ", ", C, ", ", D, ")";
    () dyn std::any::Any = "dyn std::any::Any";
    () dyn std::any::Any + Send = "dyn std::any::Any + Send";
    () dyn std::error::Error = "dyn std::error::Error";
    () dyn std::error::Error + Send + Sync = "dyn std::error::Error + Send + Sync";
}

plain! {
    bool; char; str; String;
    i8; i16; i32; i64; i128; isize; u8; u16; u32; u64; u128; usize; f32; f64;
    std::any::TypeId; std::char::ParseCharError; std::cmp::Ordering; std::convert::Infallible;
    std::env::VarError; std::ffi::CString; std::ffi::OsString; std::fmt::Error; std::fs::File;
    std::io::Error; std::io::ErrorKind; std::net::AddrParseError;
    std::net::IpAddr; std::net::Ipv4Addr; std::net::Ipv6Addr; std::net::SocketAddr;
    std::net::TcpListener; std::net::TcpStream; std::net::UdpSocket;
    std::num::ParseFloatError; std::num::ParseIntError; std::num::TryFromIntError;
    std::path::PathBuf; std::str::ParseBoolError; std::str::Utf8Error; std::string::FromUtf8Error;
    std::process::Child; std::process::Command; std::process::ExitStatus; std::process::Output;
    std::sync::Barrier; std::sync::Condvar; std::sync::Once;
    std::sync::atomic::AtomicBool; std::sync::atomic::AtomicI32; std::sync::atomic::AtomicI64;
    std::sync::atomic::AtomicIsize; std::sync::atomic::AtomicU32; std::sync::atomic::AtomicU64;
    std::sync::atomic::AtomicUsize;
    std::sync::mpsc::RecvError; std::thread::ThreadId; std::time::Duration; std::time::Instant; std::time::SystemTime;
    tokio::net::TcpListener; tokio::net::TcpStream; tokio::net::UdpSocket;
    tokio::runtime::Handle; tokio::runtime::Runtime;
    tokio::sync::Barrier; tokio::sync::Notify; tokio::sync::Semaphore;
    tokio::sync::AcquireError; tokio::sync::TryLockError;
    tokio::sync::broadcast::error::RecvError; tokio::sync::mpsc::error::TryRecvError;
    tokio::sync::oneshot::error::RecvError; tokio::sync::oneshot::error::TryRecvError;
    tokio::sync::watch::error::RecvError; tokio::time::error::Elapsed;
    tokio::task::AbortHandle; tokio::task::JoinError; tokio::task::LocalSet;
    tokio::time::Instant; tokio::time::Interval;
}

of_one! {
    (+ ?Sized) Box; (+ ?Sized) std::rc::Rc; (+ ?Sized) std::rc::Weak;
    (+ ?Sized) std::sync::Arc; (+ ?Sized) std::sync::Weak;
    () Vec; () Option; () std::pin::Pin; () std::marker::PhantomData;
    () std::collections::BTreeSet; () std::collections::BinaryHeap; () std::collections::HashSet;
    () std::collections::LinkedList; () std::collections::VecDeque;
    () std::cell::Cell; () std::cell::OnceCell; () std::cell::RefCell;
    () std::cmp::Reverse; () std::num::Wrapping;
    () std::ops::Range; () std::ops::RangeInclusive; () std::vec::IntoIter;
    () std::sync::Mutex; () std::sync::OnceLock; () std::sync::RwLock;
    () std::sync::mpsc::Receiver; () std::sync::mpsc::Sender; () std::sync::mpsc::SyncSender;
    () std::thread::JoinHandle;
    () tokio::sync::Mutex; () tokio::sync::OnceCell; () tokio::sync::RwLock;
    () tokio::sync::broadcast::Receiver; () tokio::sync::broadcast::Sender;
    () tokio::sync::mpsc::Receiver; () tokio::sync::mpsc::Sender;
    () tokio::sync::mpsc::UnboundedReceiver; () tokio::sync::mpsc::UnboundedSender;
    () tokio::sync::mpsc::error::SendError; () tokio::sync::broadcast::error::SendError;
    () std::sync::mpsc::SendError;
    () tokio::sync::oneshot::Receiver; () tokio::sync::oneshot::Sender;
    () tokio::sync::watch::Receiver; () tokio::sync::watch::Sender;
    () tokio::task::JoinHandle; () tokio::task::JoinSet;
}

of_two! { std::result::Result; std::collections::BTreeMap; std::collections::HashMap; }

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::EventLoop;

    fn name<T: Named<Kind>, Kind>(_: &T) -> String {
        T::NAME.to_string()
    }

    #[test]
    fn names_are_as_they_can_be_written() {
        assert_eq!(name(&1), "i32");
        assert_eq!(name(&(1.5, "a")), "(f64, &'static str)");
        assert_eq!(name(&vec![Some([1_u8; 3])]), "Vec<Option<[u8; 3]>>");
        let map: HashMap<String, ()> = HashMap::new();
        assert_eq!(name(&map), "std::collections::HashMap<String, ()>");
        assert_eq!(name(&EventLoop::new()), "morceaux::EventLoop");
    }

    #[test]
    fn a_cell_names_types_of_its_own_and_of_other_crates() {
        struct Own;
        struct Of<T: Clone, U: ?Sized>(T, std::marker::PhantomData<U>)
        where
            T: fmt::Debug;
        crate::types!((Own) (Of [T K Clone] [U L ?Sized] where T: fmt::Debug);
            postcard::Error, rustix::fd::OwnedFd);
        assert_eq!(name(&vec![Own]), "Vec<Own>");
        assert_eq!(
            name(&Of::<_, str>(1, std::marker::PhantomData)),
            "Of<i32, str>"
        );
        let other = HashMap::from([(1, Some(postcard::Error::SerdeSerCustom))]);
        assert_eq!(
            name(&other),
            "std::collections::HashMap<i32, Option<postcard::Error>>"
        );
    }

    #[test]
    fn what_is_boxed_has_a_name() {
        let function: Box<dyn Fn(i32, bool) -> u8 + Send + Sync> = Box::new(|_, _| 1);
        assert_eq!(
            name(&function),
            "Box<dyn Fn(i32, bool) -> u8 + Send + Sync>"
        );
        let future = crate::keep::future(async { String::new() });
        assert_eq!(
            name(&future),
            "std::pin::Pin<Box<dyn std::future::Future<Output = String> + Send>>"
        );
        let forever: Option<tokio::task::JoinHandle<Never>> = None;
        assert_eq!(
            name(&forever),
            "Option<tokio::task::JoinHandle<morceaux::Never>>"
        );
    }
}
