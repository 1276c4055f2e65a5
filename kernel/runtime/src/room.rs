//! Who prints faster than the kernel can pass it on, waits: the code of a cell, and what child
//! processes write. Tasks never wait: of what they print too fast, the kernel leaves out lines.
//!
//! The kernel says how much of what was charged it has passed on; at most [`WINDOW`] bytes are on
//! their way. Stopping a cell ends its waiting.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::cell::{self, Phase};
use crate::interrupt;

/// How much may be on its way. A stopped cell still shows as much, and below a Jupyter server, to which
/// the kernel sends half a megabyte a second, that takes half a second.
const WINDOW: u64 = 256 << 10;

/// What a value that is shown is charged beyond its size: front ends count messages, too.
const OF_VALUE: u64 = 4 << 10;

struct Charges {
    charged: u64,
    passed_on: u64,
}

static CHARGES: Mutex<Charges> = Mutex::new(Charges {
    charged: 0,
    passed_on: 0,
});
static PASSED_ON: Condvar = Condvar::new();

/// Charges text that the calling thread is about to send, after waiting for room. Returns how much
/// was charged: nothing for tasks.
pub(crate) fn for_text(bytes: usize) -> u64 {
    if waits() { charge(bytes as u64) } else { 0 }
}

/// As [`for_text`], for a value that is shown.
pub(crate) fn for_value(bytes: usize) -> u64 {
    if waits() {
        charge(bytes as u64 + OF_VALUE)
    } else {
        0
    }
}

/// Waits for room in the pipes' thread, which is what slows a child process down.
pub(crate) fn for_pipes() {
    let charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    drop(PASSED_ON.wait_while(charges, |charges| is_full(charges)));
}

/// Waits for room in a cell, before it takes locks.
pub(crate) fn wait() {
    let charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = |charges: &mut Charges| is_full(charges) && !interrupt::is_pressed();
    drop(PASSED_ON.wait_while(charges, is_over));
}

/// Charges text that [`for_pipes`] has waited for.
pub(crate) fn charge_now(bytes: usize) -> u64 {
    let mut charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    charges.charged += bytes as u64;
    bytes as u64
}

/// The kernel has passed on so many bytes in all.
pub(crate) fn passed_on(bytes: u64) {
    let mut charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    charges.passed_on = bytes;
    PASSED_ON.notify_all();
}

/// Sleeps, but not beyond a stop. Returns whether the time has passed.
pub(crate) fn sleep(duration: Duration) -> bool {
    let charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    let goes_on = |_: &mut Charges| !interrupt::is_pressed();
    let waited = PASSED_ON.wait_timeout_while(charges, duration, goes_on);
    waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
}

/// Lets a cell that waits find out that it has been stopped.
pub(crate) fn stopped() {
    // The lock, so that nobody is between looking and waiting.
    let _charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    PASSED_ON.notify_all();
}

/// Whether the calling thread is the one that runs cells, in one that has not been stopped.
fn waits() -> bool {
    cell::phase() != Phase::Elsewhere && !interrupt::is_pressed()
}

fn charge(bytes: u64) -> u64 {
    let mut charges = CHARGES.lock().unwrap_or_else(PoisonError::into_inner);
    while is_full(&charges) {
        if interrupt::is_pressed() {
            return 0;
        }
        charges = PASSED_ON
            .wait(charges)
            .unwrap_or_else(PoisonError::into_inner);
    }
    charges.charged += bytes;
    bytes
}

fn is_full(charges: &Charges) -> bool {
    charges.charged.saturating_sub(charges.passed_on) > WINDOW
}
