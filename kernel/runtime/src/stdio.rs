//! Standard output and standard error of the cell process: everything that is written to them, by
//! whatever thread, becomes a report to the kernel, at once and in order.
//!
//! It comes on two ways. What Rust code of this process writes arrives through the program's own
//! `write` and `writev` (see the kernel's `cell_process.rs`), on the writing thread, so that it is
//! known which task wrote it. What C code and child processes write arrives through the pipes that
//! file descriptors 1 and 2 are replaced by; it goes under the running, else the last cell.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::cell::{self, Phase};
use crate::wire::{CellId, Report, Stream};
use crate::{evcxr_words, input, interrupt, link, room, tasks};

/// Longer writes are cut into several reports, so that other threads get their turn.
const MAX_TEXT_BYTES: usize = 64 << 10;

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

/// What stands in the place of standard input, which evcxr's commands come through otherwise.
static STDIN: OnceLock<(u64, u64)> = OnceLock::new();

/// Replaces file descriptor 0 by an empty file, 1 and 2 by pipes, and starts to forward what is written
/// to these.
///
/// # Errors
/// Where the operating system refuses pipes or threads.
pub(crate) fn replace() -> std::io::Result<()> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let _ = STDIN.set(identity(rustix::stdio::stdin())?);
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
            let charge = room::charge_now(length);
            send(cell::foreground(), self.stream, charge, &buffer[..length]);
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
    input::release_prompt();
    let cell = tasks::current_cell();
    match replaced.stream {
        Stream::Stdout => evcxr_words::without_evcxrs_words(bytes, |bytes| {
            if !capture(bytes) {
                report_text(cell, input::hold_prompt(cell, bytes));
            }
        }),
        Stream::Stderr => report(cell, Stream::Stderr, bytes),
    }
    true
}

/// Whether a file descriptor is a standard stream of the cell process, so that what is written to
/// it is shown in the notebook.
pub(crate) fn is_shown(fd: i32) -> bool {
    let [stdout, stderr] = match REPLACED.get() {
        Some(replaced) => replaced,
        None => return false,
    };
    match fd {
        1 => identity(rustix::stdio::stdout()) == Ok(stdout.identity),
        2 => identity(rustix::stdio::stderr()) == Ok(stderr.identity),
        _ => false,
    }
}

/// Whether reading from a file descriptor asks the user.
pub(crate) fn is_stdin(fd: i32) -> bool {
    fd == 0 && identity(rustix::stdio::stdin()).ok() == STDIN.get().copied()
}

/// Reports text of standard output.
pub(crate) fn report_text(cell: CellId, bytes: &[u8]) {
    report(cell, Stream::Stdout, bytes);
}

fn report(cell: CellId, stream: Stream, bytes: &[u8]) {
    for bytes in bytes.chunks(MAX_TEXT_BYTES) {
        send(cell, stream, room::for_text(bytes.len()), bytes);
    }
}

fn send(cell: CellId, stream: Stream, charge: u64, bytes: &[u8]) {
    link::send(&Report::Text {
        cell,
        stream,
        charge,
        bytes: bytes.to_vec(),
    });
}

thread_local! {
    /// What the thread prints while a value shows itself, which others may do inside of it.
    static CAPTURED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn capture(bytes: &[u8]) -> bool {
    let capture = |captured: &RefCell<Vec<Vec<u8>>>| {
        let mut captured = captured.borrow_mut();
        let taken = captured.last_mut();
        taken.map(|text| text.extend_from_slice(bytes)).is_some()
    };
    // A thread that ends has nothing to capture.
    CAPTURED.try_with(capture).unwrap_or(false)
}

/// From now on, what the calling thread prints is taken. Returns how many takers there were before.
pub(crate) fn begin_capture() -> usize {
    flush();
    CAPTURED.with_borrow_mut(|captured| {
        captured.push(Vec::new());
        captured.len() - 1
    })
}

/// What has been taken since there were so many takers.
pub(crate) fn end_capture(before: usize) -> Vec<u8> {
    let _ = std::io::stdout().flush();
    CAPTURED.with_borrow_mut(|captured| {
        let text = captured.drain(before.min(captured.len())..);
        text.flatten().collect()
    })
}

/// Reports all that has been written so far. What comes after it in the program is reported later.
pub(crate) fn flush() {
    let _ = std::io::stdout().flush();
    input::release_prompt();
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
        room::for_pipes();
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

/// As std's `print!`, but shows at once what does not end a line, and is a place at which a cell can
/// be stopped. It stands in the scope of every cell, by a `use` of its own: a `print!` that only a
/// glob brought in would be ambiguous.
#[macro_export]
macro_rules! print {
    ($($args:tt)*) => {
        $crate::__print(::std::format_args!($($args)*))
    };
}

/// As std's `println!`, in the way of [`print!`](crate::print).
#[macro_export]
macro_rules! println {
    () => {
        $crate::__print(::std::format_args!("\n"))
    };
    ($($args:tt)*) => {
        $crate::__print(::std::format_args!("{}\n", ::std::format_args!($($args)*)))
    };
}

/// Writes to standard output and flushes it, so that a partial line is shown at once and under the
/// task that wrote it.
///
/// # Panics
/// Where standard output cannot be written to, as std's `print!` does.
#[doc(hidden)]
pub fn __print(args: std::fmt::Arguments<'_>) {
    checkpoint();
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(args).and_then(|()| stdout.flush()) {
        panic!("failed printing to stdout: {error}");
    }
}

/// A place where the cell can be stopped, and waits for room before the stream is locked, so that what
/// tasks print does not wait for the same.
fn checkpoint() {
    if cell::phase() == Phase::Elsewhere || tasks::in_task() {
        return;
    }
    room::wait();
    interrupt::checkpoint();
}
