//! Waiting for the tasks that go on in the background, so that a cell ends after their output.
//! `nbclient` and `papermill` drop what comes after a cell's end.

use std::time::Duration;

use crate::block_on::try_block_on;
use crate::kept::End;
use crate::tasks;
use crate::wire::CellId;

/// Waits until all tasks have ended that have been spawned so far on the kernel's runtime. Those on
/// a loop of the notebook's own only go on while it is run, and are not waited for.
pub async fn drain() {
    let mut left = tasks::going_on(None);
    tasks::ended(&mut left).await;
}

/// What the kernel puts behind the last statement of a cell, for `:drain` and for the kernel's
/// option: waits for all tasks that there are, or until there are none of one cell, but no longer
/// than so many seconds. Says how many are left then.
///
/// # Errors
/// How the cell ends, where the stop button ends the waiting.
#[doc(hidden)]
pub fn __drain(of_cell: Option<CellId>, seconds: Option<f64>) -> Result<(), End> {
    let mut left = tasks::going_on(of_cell);
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let limit = limit.unwrap_or(Duration::MAX);
    let all = async {
        while !left.is_empty() {
            tasks::ended(&mut left).await;
            if of_cell.is_some() {
                // What they have spawned.
                left = tasks::going_on(of_cell);
            }
        }
    };
    let in_time = try_block_on(tokio::time::timeout(limit, all))?;
    if in_time.is_err() {
        let count = left.len();
        let tasks = if count == 1 { "task" } else { "tasks" };
        eprintln!(
            "note: {count} {tasks} still going on after {} s",
            limit.as_secs_f64()
        );
    }
    Ok(())
}
