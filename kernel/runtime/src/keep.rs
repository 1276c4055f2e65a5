//! Values whose type cannot be written down (closures, the futures of `async fn`s and async blocks,
//! iterators made of closures), boxed so that a variable can keep them from one cell to the next.
//!
//! The kernel calls these at the end of a cell, for the variables that need it. Each comes in two
//! kinds: what can be sent to another thread can still be spawned as a task; the `local_…` ones
//! take everything else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future that was boxed.
pub type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// As [`BoxedFuture`], for one that cannot be sent to another thread.
pub type LocalBoxedFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// Boxes a future.
pub fn future<F: Future + Send + 'static>(future: F) -> BoxedFuture<F::Output> {
    Box::pin(future)
}

/// Boxes a future that stays on its thread.
pub fn local_future<F: Future + 'static>(future: F) -> LocalBoxedFuture<F::Output> {
    Box::pin(future)
}

/// Boxes an iterator.
pub fn iterator<I: Iterator + Send + 'static>(
    iterator: I,
) -> Box<dyn Iterator<Item = I::Item> + Send> {
    Box::new(iterator)
}

/// Boxes an iterator that stays on its thread.
pub fn local_iterator<I: Iterator + 'static>(iterator: I) -> Box<dyn Iterator<Item = I::Item>> {
    Box::new(iterator)
}

/// Boxes async closures of some number of arguments. The first kind only takes those whose future
/// borrows nothing from the closure: whether the other kind's future can be sent cannot be said.
macro_rules! async_closures {
    ($($boxed:ident $local:ident ($($arg:ident: $type:ident),*);)*) => {$(
        /// Boxes an async closure.
        pub fn $boxed<$($type: 'static,)* F, R>(
            closure: F,
        ) -> Box<dyn Fn($($type),*) -> BoxedFuture<R::Output> + Send + Sync>
        where
            F: Fn($($type),*) -> R + Send + Sync + 'static,
            R: Future + Send + 'static,
        {
            Box::new(move |$($arg),*| Box::pin(closure($($arg),*)))
        }

        /// Boxes an async closure that stays on its thread.
        pub fn $local<$($type: 'static,)* F, R: 'static>(
            closure: F,
        ) -> Box<dyn Fn($($type),*) -> LocalBoxedFuture<R>>
        where
            F: AsyncFn($($type),*) -> R + 'static,
        {
            // Shared with every future, since each may borrow from it.
            let closure = Arc::new(closure);
            Box::new(move |$($arg),*| {
                let closure = Arc::clone(&closure);
                Box::pin(async move { closure($($arg),*).await })
            })
        }
    )*};
}

async_closures! {
    async_closure_0 local_async_closure_0 ();
    async_closure_1 local_async_closure_1 (a: A);
    async_closure_2 local_async_closure_2 (a: A, b: B);
    async_closure_3 local_async_closure_3 (a: A, b: B, c: C);
}

/// The output of a function that never returns, so that `!` can be written where Rust does not allow
/// it yet (<https://github.com/rust-lang/rust/issues/35121>).
pub type Never = <fn() -> ! as Returns>::Output;

/// What a function returns.
pub trait Returns {
    /// It.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// The pattern of a variable that ends with its cell. evcxr keeps every variable that it sees bound,
/// and it does not look into macros.
#[doc(hidden)]
#[macro_export]
macro_rules! local {
    ($($pattern:tt)+) => { $($pattern)+ };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_async_closure_may_borrow_from_itself() {
        let greeting = String::from("hello");
        let greet = local_async_closure_1(async move |name: &'static str| {
            tokio::task::yield_now().await;
            format!("{greeting} {name}")
        });
        let (one, other) = (greet("one"), greet("other"));
        assert_eq!(other.await + &one.await, "hello otherhello one");
    }

    #[tokio::test]
    async fn a_boxed_async_closure_can_be_spawned() {
        let double = async_closure_1(async |x: u32| x * 2);
        assert_eq!(tokio::spawn(double(3)).await.unwrap(), 6);
    }
}
