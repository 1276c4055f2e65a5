//! The functions of libc that wait, as the cell process has them: where the stop button interrupts the
//! cells' own thread in one (see the runtime's `blocking.rs`), it fails instead of being tried again.
//!
//! std tries again what fails with `EINTR`, so they fail with `ECANCELED`. Sleeping cannot fail: it ends.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

use crate::cell_process::is_stopped;

/// libc's own place for the error.
fn errno() -> *mut c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__errno_location() }
}

/// The result of a call, after the change that is described above.
pub fn unless_stopped<T: Copy + PartialEq + From<i8>>(result: T) -> T {
    // SAFETY: the calling thread's own.
    let errno = unsafe { &mut *errno() };
    if result == T::from(-1) && *errno == libc::EINTR && is_stopped() {
        *errno = libc::ECANCELED;
    }
    result
}

/// libc's own function of this name.
fn next(name: &CStr) -> usize {
    // SAFETY: the name ends with a zero.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) as usize }
}

/// Defines functions that libc has, too, and that pass calls on to it.
macro_rules! wait {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => { $(
        #[doc = concat!("As libc's `", stringify!($name), "`.")]
        ///
        /// # Safety
        /// As of libc's.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            type Function = unsafe extern "C" fn($($type),*) -> $result;
            static NEXT: OnceLock<usize> = OnceLock::new();
            const NAME: &str = concat!(stringify!($name), "\0");
            let next = *NEXT.get_or_init(|| CStr::from_bytes_with_nul(NAME.as_bytes()).map_or(0, next));
            // SAFETY: libc has a function of this name and signature. The caller's own arguments.
            let result = unsafe { std::mem::transmute::<usize, Function>(next)($($argument),*) };
            unless_stopped(result)
        }
    )* };
}

wait! {
    accept(fd: c_int, address: *mut libc::sockaddr, length: *mut libc::socklen_t) -> c_int;
    accept4(fd: c_int, address: *mut libc::sockaddr, length: *mut libc::socklen_t, flags: c_int) -> c_int;
    connect(fd: c_int, address: *const libc::sockaddr, length: libc::socklen_t) -> c_int;
    flock(fd: c_int, operation: c_int) -> c_int;
    poll(fds: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int) -> c_int;
    recv(fd: c_int, bytes: *mut c_void, length: usize, flags: c_int) -> isize;
    recvfrom(fd: c_int, bytes: *mut c_void, length: usize, flags: c_int, address: *mut libc::sockaddr, address_length: *mut libc::socklen_t) -> isize;
    recvmsg(fd: c_int, message: *mut libc::msghdr, flags: c_int) -> isize;
    send(fd: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize;
    waitid(which: libc::idtype_t, id: libc::id_t, info: *mut libc::siginfo_t, options: c_int) -> c_int;
    waitpid(process: libc::pid_t, status: *mut c_int, options: c_int) -> libc::pid_t;
}

/// As libc's `nanosleep`.
///
/// # Safety
/// As of libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const libc::timespec, left: *mut libc::timespec) -> c_int {
    // SAFETY: the caller's own arguments.
    let error = unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, time, left) };
    if error == 0 {
        return 0;
    }
    // SAFETY: the calling thread's own.
    unsafe { *errno() = error };
    -1
}

/// As libc's `clock_nanosleep`, which returns its error.
///
/// # Safety
/// As of libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: libc::clockid_t,
    flags: c_int,
    time: *const libc::timespec,
    left: *mut libc::timespec,
) -> c_int {
    // SAFETY: the caller's own arguments. `syscall` returns -1 and sets `errno` where it fails.
    let failed = unsafe { libc::syscall(libc::SYS_clock_nanosleep, clock, flags, time, left) } != 0;
    // SAFETY: the calling thread's own.
    let error = if failed { unsafe { *errno() } } else { 0 };
    if error == libc::EINTR && is_stopped() {
        0
    } else {
        error
    }
}
