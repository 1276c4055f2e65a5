//! Event loops that a notebook holds in variables.

use std::future::Future;
use std::rc::Rc;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::block_on::{Erased, end, kernel_runtime, on_kernel_runtime, stoppable};
use crate::interrupt::Interrupted;
use crate::tasks;

/// A loop that runs tasks.
///
/// [`EventLoop::new`] makes one of the notebook's own: its tasks only run while the loop is run, on
/// the thread that runs the cells, so they need not be `Send`; what the stop button interrupted goes
/// on where it was when the loop is run again. [`EventLoop::current`] is the kernel's runtime, whose
/// tasks always run. Clones are the same loop.
///
/// ```no_run
/// use morceaux::prelude::*;
///
/// let mainloop = EventLoop::new();
/// let task = mainloop.spawn(async { 6 * 7 });
/// assert_eq!(mainloop.run_until_complete(task).unwrap(), 42);
/// ```
#[derive(Clone, Debug)]
pub struct EventLoop<Kind = Own> {
    kind: Kind,
}

/// The kind of a loop that the notebook made.
#[derive(Clone, Debug)]
pub struct Own(Rc<OwnLoop>);

#[derive(Debug)]
struct OwnLoop {
    runtime: LocalRuntime,
    /// Holds one permit after a [`EventLoop::stop`] that no `run_forever` has seen yet.
    stop: Notify,
}

impl OwnLoop {
    /// Not written where it is used: there it would be as generic as what is around it.
    fn runner(&self) -> impl Fn(Erased<'_>) {
        |future| self.runtime.block_on(future)
    }
}

/// The kind of the kernel's own loop.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

/// As [`OwnLoop::stop`], for the kernel's loop.
static STOP_KERNEL_LOOP: Notify = Notify::const_new();

impl EventLoop {
    /// Makes a loop. It does nothing before it is run.
    ///
    /// # Panics
    /// Where the operating system refuses it a timer or an epoll instance.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "`default()` would be the current loop, as it is in asyncio, or a new one: unclear"
    )]
    pub fn new() -> EventLoop {
        let mut builder = Builder::new_current_thread();
        let runtime = tasks::watch(builder.enable_all(), false)
            .build_local(LocalOptions::default())
            .expect("the operating system gives the loop its epoll instance");
        let stop = Notify::new();
        EventLoop {
            kind: Own(Rc::new(OwnLoop { runtime, stop })),
        }
    }

    /// The loop on which the kernel runs every task that `tokio::spawn` starts at a cell's top
    /// level. It always runs; running it from a cell only means to wait.
    #[must_use]
    pub fn current() -> EventLoop<Kernel> {
        EventLoop { kind: Kernel }
    }

    /// Puts a task on the loop. It runs when the loop does.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.kind.0.runtime.spawn_local(future)
    }

    /// Runs the loop until `future` is ready, and returns its output.
    ///
    /// The stop button drops `future`, ends the cell with [`Interrupted`], and leaves the loop's
    /// other tasks where they are.
    ///
    /// # Panics
    /// From inside a task: a loop cannot be run by what runs on one. Await the future instead.
    #[track_caller]
    pub fn run_until_complete<F: Future>(&self, future: F) -> F::Output {
        self.drive(future).unwrap_or_else(|Interrupted| end())
    }

    /// Runs the loop until [`stop`](EventLoop::stop) is called.
    ///
    /// # Errors
    /// [`Interrupted`] when the stop button is pressed. The loop's tasks stay where they are and go
    /// on when it is run again.
    ///
    /// # Panics
    /// As [`run_until_complete`](EventLoop::run_until_complete).
    #[track_caller]
    pub fn run_forever(&self) -> Result<(), Interrupted> {
        self.drive(self.kind.0.stop.notified())
    }

    /// Makes [`run_forever`](EventLoop::run_forever) return; if the loop is not running, the next
    /// call returns at once.
    pub fn stop(&self) {
        self.kind.0.stop.notify_one();
    }

    #[track_caller]
    fn drive<F: Future>(&self, future: F) -> Result<F::Output, Interrupted> {
        stoppable(future, &self.kind.0.runner())
    }
}

impl EventLoop<Kernel> {
    /// Starts a task on the kernel's runtime, as `tokio::spawn` does.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        kernel_runtime().spawn(future)
    }

    /// Waits until `future` is ready, and returns its output. The same as `.await` at a cell's top
    /// level.
    ///
    /// # Panics
    /// From inside a task. Await the future instead.
    #[track_caller]
    pub fn run_until_complete<F: Future>(&self, future: F) -> F::Output {
        Self::drive(future).unwrap_or_else(|Interrupted| end())
    }

    /// Waits until [`stop`](EventLoop::stop) is called.
    ///
    /// # Errors
    /// [`Interrupted`] when the stop button is pressed. Tasks are not touched.
    ///
    /// # Panics
    /// From inside a task.
    #[track_caller]
    pub fn run_forever(&self) -> Result<(), Interrupted> {
        Self::drive(STOP_KERNEL_LOOP.notified())
    }

    /// Makes [`run_forever`](EventLoop::run_forever) return, or the next call of it.
    pub fn stop(&self) {
        STOP_KERNEL_LOOP.notify_one();
    }

    #[track_caller]
    fn drive<F: Future>(future: F) -> Result<F::Output, Interrupted> {
        stoppable(future, &on_kernel_runtime)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_loop_does_nothing_before_it_is_run() {
        let mainloop = EventLoop::new();
        let ran = Rc::new(Cell::new(false));
        let seen = Rc::clone(&ran);
        let task = mainloop.spawn(async move { ran.set(true) });
        assert!(!seen.get());
        mainloop.run_until_complete(task).unwrap();
        assert!(seen.get());
    }

    #[test]
    fn tasks_go_on_where_they_were_when_the_loop_is_run_again() {
        let mainloop = EventLoop::new();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        mainloop.spawn(async move {
            for tick in 1.. {
                if sender.send(tick).await.is_err() {
                    break;
                }
            }
        });
        for expected in 1..100 {
            assert_eq!(mainloop.run_until_complete(receiver.recv()), Some(expected));
        }
    }

    #[test]
    fn stop_ends_run_forever_and_leaves_the_loop_usable() {
        let mainloop = EventLoop::new();
        let inside = mainloop.clone();
        mainloop.spawn(async move { inside.stop() });
        assert_eq!(mainloop.run_forever(), Ok(()));
        assert_eq!(mainloop.run_until_complete(async { 7 }), 7);
    }

    #[test]
    fn the_kernels_loop_runs_tasks_that_nobody_waits_for() {
        let (sender, receiver) = std::sync::mpsc::channel();
        EventLoop::current().spawn(async move { sender.send(1) });
        assert_eq!(receiver.recv(), Ok(1));
    }
}
