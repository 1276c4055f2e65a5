//! Sending output elsewhere than under the cell that spawned a task.

use std::future::Future;
use std::pin::pin;

use crate::display;
use crate::task_words::RUNNING;
use crate::tasks;
use crate::wire::CellId;

/// A cell under which output can be shown.
///
/// What a task prints and shows goes under the cell that spawned it. This sends it elsewhere, and
/// tells it to threads, of which nothing is known:
///
/// ```no_run
/// use morceaux::OutputCell;
///
/// let here = OutputCell::current();
/// std::thread::spawn(move || here.sync_scope(|| println!("under this cell")));
/// tokio::spawn(OutputCell::running().scope(async {
///     println!("under whichever cell is running then");
/// }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputCell {
    cell: CellId,
}

impl OutputCell {
    /// The cell whose code, or whose task, calls this.
    #[must_use]
    pub fn current() -> OutputCell {
        OutputCell {
            cell: tasks::inherited(),
        }
    }

    /// Whichever cell is running when something is shown, else the last one.
    #[must_use]
    pub fn running() -> OutputCell {
        OutputCell { cell: RUNNING }
    }

    /// Runs a future whose output, and that of the tasks that it spawns, goes under this cell.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let _working = tasks::work_for(self.cell);
            future.as_mut().poll(context)
        })
        .await
    }

    /// As [`scope`](OutputCell::scope), for code that does not await.
    pub fn sync_scope<T>(self, code: impl FnOnce() -> T) -> T {
        let _working = tasks::work_for(self.cell);
        code()
    }

    /// Takes away what stands under this cell, see [`clear_output`](crate::clear_output()).
    pub fn clear_output(self, wait: bool) {
        self.sync_scope(|| display::clear_output(wait));
    }
}
