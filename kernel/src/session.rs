//! One notebook's session: evcxr on a thread of its own, the cell that runs, and how it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jupyter_protocol::{ExecutionCount, JupyterMessage};
use tokio::sync::oneshot;

use crate::child::Orders;
use crate::complete::{Completions, Inspection};
use crate::error::{CellError, Variables};
use crate::running::Running;
use crate::wire::Order;
use crate::worker::{Parts, Request, Worker};

/// How long a cell may take after the second press: who presses twice in a moment does not mean to lose
/// what the cell, ending by itself, would have left.
const DOUBLE_PRESS: Duration = Duration::from_millis(300);

/// A handle on the session. Clones are the same session.
#[derive(Debug, Clone)]
pub struct Session {
    request_tx: std::sync::mpsc::Sender<Request>,
    running: Arc<Running>,
    orders: Orders,
    cells: Arc<AtomicU64>,
    /// How long a stopped cell may take to end before the cell process is ended.
    grace: Duration,
}

impl Session {
    /// Starts the thread that sets evcxr up and then runs cells. Returns at once.
    pub fn start(parts: Parts, grace: Duration) -> Session {
        let running = Arc::clone(&parts.running);
        let orders = parts.orders.clone();
        Session {
            request_tx: Worker::new(parts).start(),
            running,
            orders,
            cells: Arc::new(AtomicU64::new(1)),
            grace,
        }
    }

    /// Runs a cell to its end. All of its output has gone out when this returns.
    ///
    /// # Errors
    /// The way in which it failed.
    pub async fn execute(
        &self,
        code: String,
        parent: &JupyterMessage,
        execution_count: ExecutionCount,
    ) -> Result<(), CellError> {
        let cell = self.cells.fetch_add(1, Ordering::Relaxed);
        self.running.begin(cell);
        let run = self.ask(|reply_tx| Request::Execute {
            cell,
            code,
            parent: Box::new(parent.clone()),
            execution_count,
            reply_tx,
        });
        let ended = || CellError::Kernel {
            message: "the thread that runs the cells has ended; restart the kernel".to_owned(),
        };
        let result = tokio::select! {
            biased;
            () = self.running.stopped_early() => Err(CellError::Interrupted {
                variables: Variables::default(),
            }),
            result = run => result.unwrap_or_else(|| Err(ended())),
        };
        self.running.end();
        result
    }

    /// Waits until cells have to wait before they are compiled; says why.
    pub async fn delayed(&self) -> &'static str {
        self.running.delayed().await
    }

    /// Whether a cell is being compiled or run.
    pub fn is_busy(&self) -> bool {
        self.running.is_busy()
    }

    /// What may stand at a place of the code. Nothing while a cell runs: evcxr cannot do both.
    pub async fn complete(&self, code: String, offset: usize) -> Option<Completions> {
        if self.is_busy() {
            return None;
        }
        self.ask(|reply_tx| Request::Complete {
            code,
            offset,
            reply_tx,
        })
        .await?
    }

    /// What is known of what stands at a place of the code. Nothing while a cell runs.
    pub async fn inspect(&self, code: String, offset: usize) -> Option<Inspection> {
        if self.is_busy() {
            return None;
        }
        self.ask(|reply_tx| Request::Inspect {
            code,
            offset,
            reply_tx,
        })
        .await?
    }

    /// Stops the running cell: ends what compiles it; lets it end at an await point or a checkpoint; if
    /// it reaches none, a second call or the passing of the grace time ends the cell process. Does
    /// nothing while nothing runs.
    pub fn interrupt(&self) {
        let Some((cell, press)) = self.running.press_stop() else {
            return;
        };
        // Without a cell process there is nothing to stop.
        let _ = self.orders.send(Order::Interrupt { cell });
        let running = Arc::clone(&self.running);
        let grace = if press > 1 { DOUBLE_PRESS } else { self.grace };
        tokio::spawn(async move {
            tokio::join!(running.end_compilers(cell), tokio::time::sleep(grace));
            running.kill_cell(cell);
        });
    }

    /// Ends the cell process and removes the session's folder.
    pub async fn shut_down(&self) {
        self.running.kill();
        self.ask(|reply_tx| Request::ShutDown { reply_tx }).await;
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply_tx, reply_rx) = oneshot::channel();
        self.request_tx.send(request(reply_tx)).ok()?;
        reply_rx.await.ok()
    }
}
