//! The end of the process that has started the kernel: without Jupyter, nobody could ever ask for
//! anything again.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use crate::process_tree;

/// The environment variable in which `jupyter_client` says which process it is, see its
/// [`launcher.py`](https://github.com/jupyter/jupyter_client/blob/main/jupyter_client/launcher.py). It
/// does not where the kernel is to outlive it.
const PARENT_VAR: &str = "JPY_PARENT_PID";

/// Returns when the process has ended that has started the kernel; never, where there is none that it
/// should end with.
pub async fn ended() {
    match watched() {
        // Readable is what such a descriptor becomes when the process has ended.
        Some(process) if process.readable().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

fn watched() -> Option<AsyncFd<OwnedFd>> {
    let number = std::env::var(PARENT_VAR).ok()?.parse().ok()?;
    // Elsewhere (in a container, say) the number may be another process's.
    if !process_tree::descends_from(number) {
        return None;
    }
    let process = Pid::from_raw(i32::try_from(number).ok()?)?;
    let opened = pidfd_open(process, PidfdFlags::NONBLOCK).map_err(std::io::Error::from);
    // SAFETY: the descriptor is owned, so it stays the same for as long as it is registered.
    let register = |process| unsafe { AsyncFd::register(process) }.map_err(std::io::Error::from);
    match opened.and_then(register) {
        Ok(process) => Some(process),
        Err(error) => {
            tracing::warn!("the end of the process {number} will not be noticed: {error}");
            None
        }
    }
}
