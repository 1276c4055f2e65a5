//! Standard output and standard error of the cell process: everything that is written to them, by
//! whatever thread, becomes a report to the kernel, at once and in order.
//!
//! It comes on two ways. What Rust code of this process writes arrives through the program's own
//! `write` and `writev` (see the kernel's `cell_process.rs`), on the writing thread, so that it is
//! known which task wrote it. What C code and child processes write arrives through the pipes that
//! file descriptors 1 and 2 are replaced by; it goes under the running, else the last cell.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::wire::{CellId, Report, Stream};
use crate::{cell, evcxr_words, link, tasks};

/// Longer writes are cut into several reports, so that other threads get their turn.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// How long std's buffer may keep the beginning of a line. Nothing tells that it holds one, except
/// for the prelude's own `print!`, which does not leave any there.
const PARTIAL_LINE_DELAY: Duration = Duration::from_millis(25);

/// The pipe that a standard stream has been replaced by.
struct Replaced {
    stream: Stream,
    /// The lock also orders what comes through the pipe with what comes through `write`.
    reader: Mutex<File>,
    /// The same end of the pipe, to wait on without the lock.
    waiter: OwnedFd,
    /// Device and inode, to notice when the user's own code has put something else there.
    identity: (u64, u64),
}

static REPLACED: OnceLock<[Replaced; 2]> = OnceLock::new();

/// Replaces file descriptors 1 and 2 by pipes and starts to forward what is written to them.
///
/// # Errors
/// Where the operating system refuses pipes or threads.
pub(crate) fn replace() -> std::io::Result<()> {
    let stdout = Replaced::new(Stream::Stdout, |pipe| rustix::stdio::dup2_stdout(pipe))?;
    let stderr = Replaced::new(Stream::Stderr, |pipe| rustix::stdio::dup2_stderr(pipe))?;
    let _ = REPLACED.set([stdout, stderr]);
    std::thread::Builder::new()
        .name("morceaux-pipes".to_owned())
        .spawn(forward_pipes)?;
    std::thread::Builder::new()
        .name("morceaux-flush".to_owned())
        .spawn(flush_partial_lines)?;
    Ok(())
}

impl Replaced {
    fn new(
        stream: Stream,
        put_in_place: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
    ) -> std::io::Result<Replaced> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only the reading end: whoever writes may rely on a blocking descriptor.
        rustix::io::ioctl_fionbio(&reader, true)?;
        put_in_place(writer.as_fd())?;
        Ok(Replaced {
            stream,
            identity: identity(writer.as_fd())?,
            waiter: reader.try_clone()?,
            reader: Mutex::new(File::from(reader)),
        })
    }

    /// Reports what lies in the pipe now.
    fn drain(&self) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 16 << 10];
        // Stops at the end of the pipe (which does not come: this process holds a writing end) and
        // where reading would wait.
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            report(cell::foreground(), self.stream, &buffer[..length]);
        }
    }
}

fn identity(fd: BorrowedFd<'_>) -> rustix::io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Takes what the calling thread wants to write to a file descriptor, if that is a standard stream
/// of the cell process. Returns whether it was taken.
pub(crate) fn take(fd: i32, bytes: &[u8]) -> bool {
    let Some(replaced) = REPLACED.get() else {
        return false;
    };
    let (replaced, current) = match fd {
        1 => (&replaced[0], rustix::stdio::stdout()),
        2 => (&replaced[1], rustix::stdio::stderr()),
        _ => return false,
    };
    if identity(current) != Ok(replaced.identity) {
        return false;
    }
    // A child process may have written before.
    replaced.drain();
    let cell = tasks::current_cell();
    match replaced.stream {
        Stream::Stdout => {
            evcxr_words::without_evcxrs_words(bytes, |bytes| report(cell, Stream::Stdout, bytes));
        }
        Stream::Stderr => report(cell, Stream::Stderr, bytes),
    }
    true
}

fn report(cell: CellId, stream: Stream, bytes: &[u8]) {
    for bytes in bytes.chunks(MAX_TEXT_BYTES) {
        link::send(&Report::Text {
            cell,
            stream,
            bytes: bytes.to_vec(),
        });
    }
}

/// Reports all that has been written so far. What comes after it in the program is reported later.
pub(crate) fn flush() {
    let _ = std::io::stdout().flush();
    for replaced in REPLACED.get().into_iter().flatten() {
        replaced.drain();
    }
}

fn forward_pipes() {
    let Some(replaced) = REPLACED.get() else {
        return;
    };
    loop {
        let mut polled: Vec<PollFd<'_>> = replaced
            .iter()
            .map(|replaced| PollFd::new(&replaced.waiter, PollFlags::IN))
            .collect();
        // An interrupted wait only means to look early.
        let _ = rustix::event::poll(&mut polled, None);
        for replaced in replaced {
            replaced.drain();
        }
    }
}

fn flush_partial_lines() {
    loop {
        std::thread::sleep(PARTIAL_LINE_DELAY);
        let _ = std::io::stdout().flush();
    }
}

/// As std's `print!`, but shows at once what does not end a line. It stands in the scope of every
/// cell, by a `use` of its own: a `print!` that only a glob brought in would be ambiguous.
#[macro_export]
macro_rules! print {
    ($($args:tt)*) => {
        $crate::__print(::std::format_args!($($args)*))
    };
}

/// Writes to standard output and flushes it, so that a partial line is shown at once and under the
/// task that wrote it.
///
/// # Panics
/// Where standard output cannot be written to, as std's `print!` does.
#[doc(hidden)]
pub fn __print(args: std::fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(args).and_then(|()| stdout.flush()) {
        panic!("failed printing to stdout: {error}");
    }
}
