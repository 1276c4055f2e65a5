//! Stopping what waits in the operating system: reading a socket or a pipe, accepting, waiting for a
//! child process, sleeping in the code of a library.
//!
//! A signal interrupts the system call, and the program's own version of libc's function (see the
//! kernel's `waits.rs`) then fails where it would be tried again. What the user's code makes of that, a
//! panic in an `unwrap` or an early return, counts as the stop.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::interrupt;

/// Ignored by default, and sent by nothing but sockets of which it was asked: programs that the cells
/// start, and libraries, do not depend on it.
const SIGNAL: i32 = libc::SIGURG;

/// How often the signal is sent: it has no effect just before a call.
const PAUSE: Duration = Duration::from_millis(10);

static CELLS_THREAD: OnceLock<libc::pthread_t> = OnceLock::new();

/// Makes the calling thread one whose waiting can be ended.
pub(crate) fn prepare() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: all zeros is a value of this plain structure: no flags, so that calls are not begun anew.
    // The handler does nothing, which is allowed at any time.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut());
        let _ = CELLS_THREAD.set(libc::pthread_self());
    }
}

/// Interrupts what the cells' thread waits for, until it notices that the stop button was pressed.
pub(crate) fn interrupt() {
    static INTERRUPTING: AtomicBool = AtomicBool::new(false);
    if INTERRUPTING.swap(true, Ordering::AcqRel) {
        return;
    }
    let interrupting = || {
        while interrupt::is_pressed() {
            if let Some(thread) = CELLS_THREAD.get() {
                // SAFETY: the main thread lives as long as the process.
                unsafe { libc::pthread_kill(*thread, SIGNAL) };
            }
            std::thread::sleep(PAUSE);
        }
        INTERRUPTING.store(false, Ordering::Release);
    };
    let thread = std::thread::Builder::new().name("morceaux-stop".to_owned());
    if thread.spawn(interrupting).is_err() {
        // Without another thread, awaits and checkpoints can still be stopped.
        INTERRUPTING.store(false, Ordering::Release);
    }
}
