//! The kernel's runtime, and waiting on it from a cell's top level.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use crate::interrupt::{self, Interrupted};
use crate::kept::End;
use crate::wire::Outcome;
use crate::{cell, tasks};

/// A future whose output goes somewhere else: what is behind this type is compiled once, here, and
/// not in every cell.
pub(crate) type Erased<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// Waits for a future on the kernel's runtime. The rewriting of a cell puts this around each
/// statement that awaits.
///
/// The stop button drops the future at its await point and ends the cell.
#[doc(hidden)]
pub fn block_on<F: Future>(future: F) -> F::Output {
    stoppable(future, &on_kernel_runtime).unwrap_or_else(|Interrupted| end())
}

/// As [`block_on`], but leaves it to the caller to end the cell, where the stop button or a `?` in
/// the future does so.
///
/// # Errors
/// How the cell ends.
#[doc(hidden)]
pub fn try_block_on<F: Future>(future: F) -> Result<F::Output, End> {
    let ended = cell::catch_end(|| stoppable(future, &on_kernel_runtime))?;
    ended.map_err(|Interrupted| End(Outcome::Interrupted))
}

/// A function and no closure: one in a generic function is generic, too.
pub(crate) fn on_kernel_runtime(future: Erased<'_>) {
    kernel_runtime().block_on(future);
}

/// Drives a future with `runner` until it is ready or the stop button is pressed.
pub(crate) fn stoppable<F: Future>(
    future: F,
    runner: &dyn Fn(Erased<'_>),
) -> Result<F::Output, Interrupted> {
    let mut output = None;
    let finished = race(
        std::pin::pin!(async { output = Some(future.await) }),
        runner,
    );
    finished.and(output.ok_or(Interrupted))
}

/// The part of [`stoppable`] that does not depend on the future's type.
fn race(future: Erased<'_>, runner: &dyn Fn(Erased<'_>)) -> Result<(), Interrupted> {
    let mut result = Ok(());
    runner(std::pin::pin!(async {
        tokio::select! {
            biased;
            () = interrupt::pressed() => result = Err(Interrupted),
            () = future => {}
        }
    }));
    result
}

/// Ends the cell after the stop button was pressed.
pub(crate) fn end() -> ! {
    cell::end(Outcome::Interrupted)
}

/// The one runtime of the notebook: it lives as long as the cell process does.
///
/// # Panics
/// Where the operating system refuses it its threads or its epoll instance.
pub(crate) fn kernel_runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        // Two at least, so that one blocking task does not stop all others.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        builder
            .worker_threads(cores.max(2))
            .thread_name("morceaux-worker")
            .enable_all();
        tasks::watch(&mut builder, true)
            .build()
            .expect("the operating system gives the runtime its threads")
    })
}
