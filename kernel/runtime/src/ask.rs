//! How the kernel gets rustc to say the type of a variable: by an error message.
//!
//! `let _: Asked<0> = (&&&&&Of(&x)).answer();` does not compile, and the error says what was found
//! instead: an [`Answer`] with the type and, since the type may be one that cannot be written down, what
//! it is good for. That is decided by method resolution, as in `show.rs`. None of this ever
//! runs.

use std::future::Future;
use std::marker::PhantomData;

/// What was expected: the number of the question.
#[derive(Debug)]
pub struct Asked<const NUMBER: usize>;

/// What is asked about.
#[derive(Debug)]
pub struct Of<'a, T: ?Sized>(pub &'a T);

/// What was found instead: what it is good for, and its type.
#[derive(Debug)]
pub struct Answer<Kind, T: ?Sized>(PhantomData<(Kind, PhantomData<T>)>);

/// It is a future.
#[derive(Debug)]
pub struct AFuture;

/// It is an iterator.
#[derive(Debug)]
pub struct AnIterator;

/// It is a function, with these arguments and what it returns.
#[derive(Debug)]
pub struct AFunction<Arguments, Output>(PhantomData<(Arguments, Output)>);

/// It is something else.
#[derive(Debug)]
pub struct Other;

/// The first answer.
pub trait ByFuture {
    /// What is asked about.
    type Type: ?Sized;
    /// Never called.
    fn answer(&self) -> Answer<AFuture, Self::Type> {
        unreachable!("the question does not compile")
    }
}

impl<T: Future + ?Sized> ByFuture for &&&&Of<'_, T> {
    type Type = T;
}

/// The second answer.
pub trait ByIterator {
    /// What is asked about.
    type Type: ?Sized;
    /// Never called.
    fn answer(&self) -> Answer<AnIterator, Self::Type> {
        unreachable!("the question does not compile")
    }
}

impl<T: Iterator + ?Sized> ByIterator for &&&Of<'_, T> {
    type Type = T;
}

/// The third answer.
pub trait ByFunction<Arguments, Output> {
    /// What is asked about.
    type Type: ?Sized;
    /// Never called.
    fn answer(&self) -> Answer<AFunction<Arguments, Output>, Self::Type> {
        unreachable!("the question does not compile")
    }
}

impl<R, T: FnOnce() -> R> ByFunction<(), R> for &&Of<'_, T> {
    type Type = T;
}
impl<A, R, T: FnOnce(A) -> R> ByFunction<(A,), R> for &&Of<'_, T> {
    type Type = T;
}
impl<A, B, R, T: FnOnce(A, B) -> R> ByFunction<(A, B), R> for &&Of<'_, T> {
    type Type = T;
}

/// The last answer.
pub trait ByType {
    /// What is asked about.
    type Type: ?Sized;
    /// Never called.
    fn answer(&self) -> Answer<Other, Self::Type> {
        unreachable!("the question does not compile")
    }
}

impl<T: ?Sized> ByType for Of<'_, T> {
    type Type = T;
}
