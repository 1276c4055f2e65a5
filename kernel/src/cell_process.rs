//! The program as the cell process: loads the runtime dylib, which does everything else, and lends
//! it the process's `write`, `read` and `isatty`.
//!
//! The standard library that all cells share reaches these through its symbol table, and finds those
//! that this program exports before libc's. So the runtime learns of each write on the thread that
//! makes it, which is how output is attributed to tasks; reading standard input can ask the user; and
//! libraries that draw progress bars or colours only for a person do so. In the other modes, and for
//! everything but the standard streams, the functions below only pass the call on.

use std::ffi::c_void;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::prebuilt::Prebuilt;
use crate::waits;

/// As the runtime's `cell_process.rs` has it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Hooks {
    /// Takes bytes that the process writes to a file descriptor; returns whether it has.
    write: extern "C" fn(fd: i32, bytes: *const u8, length: usize) -> bool,
    /// Fills a buffer from a file descriptor. Returns how many bytes that are, [`NOT_TAKEN`], or
    /// something else where the stop button was pressed.
    read: extern "C" fn(fd: i32, bytes: *mut u8, length: usize) -> isize,
    /// Whether what is written to a file descriptor is shown to a person.
    is_shown: extern "C" fn(fd: i32) -> bool,
    /// Whether the calling thread is not to wait any longer: the stop button was pressed.
    is_stopped: extern "C" fn() -> bool,
}

/// The file descriptor is read in the usual way.
const NOT_TAKEN: isize = -1;

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Whether evcxr has started this program as its child process.
pub fn is_wanted() -> bool {
    std::env::var_os("EVCXR_IS_RUNTIME").is_some()
}

/// The environment variable that says how many bytes of memory the cell process may use.
pub const MEMORY_VAR: &str = "MORCEAUX_MEMORY";

/// Runs the cell process until evcxr closes its end.
pub fn run() -> ExitCode {
    limit_memory();
    let program = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    match Prebuilt::of_link(&program).map(|prebuilt| run_library(&prebuilt)) {
        Some(Ok(code)) => ExitCode::from(code),
        Some(Err(error)) => {
            eprintln!("morceaux: the runtime library cannot be loaded: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("morceaux: started as a cell process, but not by a kernel");
            ExitCode::FAILURE
        }
    }
}

/// Limits what the process may write to; what it only reserves, as threads do, is free.
fn limit_memory() {
    let limit = std::env::var(MEMORY_VAR).ok();
    if let Some(bytes) = limit.and_then(|bytes| bytes.parse().ok()) {
        let limit = Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        if let Err(error) = setrlimit(Resource::Data, limit) {
            eprintln!("morceaux: the memory cannot be limited: {error}");
        }
    }
}

fn run_library(prebuilt: &Prebuilt) -> Result<u8, libloading::Error> {
    type CellProcess = extern "C" fn(set_hooks: extern "C" fn(Hooks)) -> i32;
    // SAFETY: the library is the one that this program has built from the source that it carries,
    // and the function has this signature there.
    let code = unsafe {
        let library = libloading::Library::new(prebuilt.dylib())?;
        let cell_process = *library.get::<CellProcess>(b"morceaux_cell_process")?;
        // Threads and thread-locals refer to it until the process ends.
        std::mem::forget(library);
        cell_process(set_hooks)
    };
    Ok(u8::try_from(code).unwrap_or(1))
}

extern "C" fn set_hooks(hooks: Hooks) {
    if HOOKS.set(hooks).is_ok() {
        // SAFETY: registers a function that only touches this process's own memory.
        unsafe { libc::pthread_atfork(None, None, Some(after_fork)) };
    }
}

/// In a child that a cell forks without starting another program, the runtime's threads are gone
/// and its locks may be held for good. What such a child writes goes through the pipes.
extern "C" fn after_fork() {
    IN_FORKED_CHILD.store(true, std::sync::atomic::Ordering::Relaxed);
}

static IN_FORKED_CHILD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// The hooks, for the standard streams of the process itself.
fn hooks(fd: i32) -> Option<&'static Hooks> {
    let is_forked = || IN_FORKED_CHILD.load(std::sync::atomic::Ordering::Relaxed);
    let hooks = (0..=2).contains(&fd).then(|| HOOKS.get()).flatten();
    hooks.filter(|_| !is_forked())
}

/// Whether the calling thread is not to wait any longer: the stop button was pressed.
pub fn is_stopped() -> bool {
    HOOKS.get().is_some_and(|hooks| (hooks.is_stopped)())
}

fn taken_by_hook(fd: i32, bytes: *const c_void, length: usize) -> bool {
    fd != 0 && length > 0 && hooks(fd).is_some_and(|hooks| (hooks.write)(fd, bytes.cast(), length))
}

/// As `write(2)`.
///
/// # Safety
/// As of `write(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: i32, bytes: *const c_void, length: usize) -> isize {
    if taken_by_hook(fd, bytes, length) {
        return length.cast_signed();
    }
    // SAFETY: the caller's own arguments. `syscall` sets `errno` as `write` does.
    unsafe { libc::syscall(libc::SYS_write, fd, bytes, length) as isize }
}

/// As `writev(2)`. Of several parts, a standard stream takes the first that is not empty, which is
/// a short write.
///
/// # Safety
/// As of `writev(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: i32, parts: *const libc::iovec, count: i32) -> isize {
    if fd == 1 || fd == 2 {
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: the caller vouches for `count` parts.
        let parts = unsafe { std::slice::from_raw_parts(parts, count) };
        if let Some(part) = parts.iter().find(|part| part.iov_len > 0)
            && taken_by_hook(fd, part.iov_base, part.iov_len)
        {
            return part.iov_len.cast_signed();
        }
    }
    // SAFETY: the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) as isize }
}

/// As `read(2)`.
///
/// # Safety
/// As of `read(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: i32, bytes: *mut c_void, length: usize) -> isize {
    let hooks = hooks(fd).filter(|_| fd == 0);
    match hooks.map_or(NOT_TAKEN, |hooks| (hooks.read)(fd, bytes.cast(), length)) {
        // SAFETY: the caller's own arguments. `syscall` sets `errno` as `read` does.
        NOT_TAKEN => waits::unless_stopped(unsafe {
            libc::syscall(libc::SYS_read, fd, bytes, length) as isize
        }),
        length @ 0.. => length,
        _ => {
            // SAFETY: libc's own place for it.
            unsafe { *libc::__errno_location() = libc::ECANCELED };
            -1
        }
    }
}

/// As `isatty(3)`.
#[unsafe(no_mangle)]
extern "C" fn isatty(fd: i32) -> i32 {
    if hooks(fd).is_some_and(|hooks| (hooks.is_shown)(fd)) {
        return 1;
    }
    // SAFETY: all zeros is a value of this plain structure, and the call fills it at most.
    let result = unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        libc::tcgetattr(fd, &raw mut settings)
    };
    i32::from(result == 0)
}
