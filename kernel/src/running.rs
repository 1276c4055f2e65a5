//! The cell that runs, as far as those must know it who can stop it.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::compilers;
use crate::error::{CellError, Variables};
use crate::wire::CellId;

/// How long a stopped cell's compilers are left alone before they are looked for again.
const COMPILERS_PAUSE: Duration = Duration::from_millis(50);

/// How many tasks a cell had, and its number where there is one.
pub type TasksOfCell = (Option<usize>, usize);

/// Shared by the worker thread, the relay and the control channel.
#[derive(Debug, Default)]
pub struct Running {
    state: Mutex<State>,
    stopped: Notify,
    delayed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The cell that is being compiled or run.
    cell: Option<CellId>,
    /// Whether the worker has taken it up.
    taken: bool,
    /// Whether the cell process has entered it.
    started: bool,
    /// How often the stop button was pressed for it.
    stops: u32,
    /// Whether the cell process was ended for it.
    killed: bool,
    /// Why cells have to wait before they are compiled, if they have to.
    delay: Option<&'static str>,
    /// The tasks of the last cell process that has died.
    lost_tasks: Vec<TasksOfCell>,
    /// evcxr's handle on the present cell process.
    process: Option<Arc<Mutex<Child>>>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the cell process, which evcxr replaces behind this same handle when it has ended.
    pub fn set_process(&self, process: Arc<Mutex<Child>>) {
        self.lock().process = Some(process);
    }

    /// The cell process has entered a cell.
    pub fn set_started(&self, cell: CellId) {
        let mut state = self.lock();
        state.started |= state.cell == Some(cell);
    }

    /// Cells have to wait, which is said under them, or need not any more.
    pub fn set_delay(&self, delay: Option<&'static str>) {
        self.lock().delay = delay;
        self.delayed.notify_waiters();
    }

    /// Waits until cells have to wait; says why.
    pub async fn delayed(&self) -> &'static str {
        loop {
            let mut delayed = std::pin::pin!(self.delayed.notified());
            // Before looking, so that nothing changes in between.
            delayed.as_mut().enable();
            if let Some(delay) = self.lock().delay {
                return delay;
            }
            delayed.await;
        }
    }

    /// The cell process has ended, and these tasks with it.
    pub fn set_lost_tasks(&self, tasks: Vec<TasksOfCell>) {
        self.lock().lost_tasks = tasks;
    }

    /// The tasks that ended with the last cell process.
    pub fn lost_tasks(&self) -> Vec<TasksOfCell> {
        self.lock().lost_tasks.clone()
    }

    /// Whether the running cell is to be stopped before it starts.
    pub fn is_stopped(&self) -> bool {
        self.lock().stops > 0
    }

    /// Whether the cell process was ended to stop the running cell.
    pub fn is_killed(&self) -> bool {
        self.lock().killed
    }

    /// A cell begins its way through the kernel.
    pub fn begin(&self, cell: CellId) {
        let mut state = self.lock();
        state.cell = Some(cell);
        state.taken = false;
        state.started = false;
        state.stops = 0;
        state.killed = false;
    }

    /// The worker takes a cell up. Returns whether it is still wanted.
    pub fn take(&self, cell: CellId) -> bool {
        let mut state = self.lock();
        state.taken = state.cell == Some(cell) && state.stops == 0;
        state.taken
    }

    /// Waits until the cell is stopped that the worker has not taken up; what is busy with something
    /// else then leaves it alone.
    pub async fn stopped_early(&self) {
        loop {
            let mut stopped = std::pin::pin!(self.stopped.notified());
            // Before looking, so that no stop comes in between.
            stopped.as_mut().enable();
            if self.is_stopped_early() {
                return;
            }
            stopped.await;
        }
    }

    fn is_stopped_early(&self) -> bool {
        let state = self.lock();
        state.stops > 0 && !state.taken
    }

    /// Why a cell failed: if it was stopped before it ran, because of that.
    pub fn cause(&self, error: CellError) -> CellError {
        let state = self.lock();
        if state.stops > 0 && !state.started {
            return CellError::Interrupted {
                variables: Variables::default(),
            };
        }
        error
    }

    /// Ends what compiles for a cell, until that has been answered or runs after all.
    pub async fn end_compilers(&self, cell: CellId) {
        loop {
            let cell_process = {
                let state = self.lock();
                if state.cell != Some(cell) || state.started {
                    return;
                }
                let process = state.process.as_ref();
                process.map(|process| process.lock().unwrap_or_else(PoisonError::into_inner).id())
            };
            compilers::end(cell_process);
            tokio::time::sleep(COMPILERS_PAUSE).await;
        }
    }

    /// It has been answered.
    pub fn end(&self) {
        self.lock().cell = None;
    }

    /// The cell that has begun and has not been answered.
    pub fn cell(&self) -> Option<CellId> {
        self.lock().cell
    }

    /// Whether there is such a cell.
    pub fn is_busy(&self) -> bool {
        self.lock().cell.is_some()
    }

    /// Notes a press of the stop button; returns the cell that it is for, and which press it is.
    pub fn press_stop(&self) -> Option<(CellId, u32)> {
        let mut state = self.lock();
        let cell = state.cell?;
        state.stops += 1;
        let stops = state.stops;
        drop(state);
        self.stopped.notify_waiters();
        Some((cell, stops))
    }

    /// Ends the cell process if it is still in this cell. What is being compiled is not in it yet,
    /// and is stopped when it starts.
    pub fn kill_cell(&self, cell: CellId) {
        let mut state = self.lock();
        if state.cell == Some(cell) && state.started {
            state.killed = true;
            kill(&state);
        }
    }

    /// Ends the cell process, whatever it does.
    pub fn kill(&self) {
        kill(&self.lock());
    }
}

fn kill(state: &State) {
    let Some(process) = &state.process else {
        return;
    };
    let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
    // Once waited for, its number may be somebody else's.
    if matches!(process.try_wait(), Ok(None))
        && let Some(group) = i32::try_from(process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
    {
        // It leads a group of its own: what cells have started in it ends with it.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
