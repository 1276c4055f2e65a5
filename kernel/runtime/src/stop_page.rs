//! The stop flag of code on Linux on x86-64: a page of memory that may be read or not.
//!
//! A checkpoint reads from it, which takes one instruction, no register and no branch. A branch more made small
//! functions that call themselves a quarter to a half slower. When the stop button is pressed, nobody
//! may read the page any more: the thread gets SIGSEGV, and the handler either has it go on behind the
//! instruction, or sees to it that it calls what ends the cell, as if the checkpoint were a call, which
//! is what the compiler has been told. A Java virtual machine does the same at its safepoints
//! (<http://jcdav.is/2015/11/09/More-JVM-Signal-Tricks/>).

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use crate::{checkpoint, interrupt};

/// The size of a page on x86-64, in bytes.
const PAGE: usize = 4096;

/// How the instruction of a checkpoint begins, which is followed by four bytes.
const INSTRUCTION: [u8; 2] = [0x84, 0x05];
const INSTRUCTION_LENGTH: i64 = 6;

/// The flag of one library.
#[doc(hidden)]
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct StopFlag(UnsafeCell<[u8; PAGE]>);

// SAFETY: nobody writes to it.
unsafe impl Sync for StopFlag {}

impl StopFlag {
    /// One that is not set.
    #[must_use]
    pub const fn new() -> StopFlag {
        StopFlag(UnsafeCell::new([0; PAGE]))
    }

    /// Sets it, or takes it back.
    pub(crate) fn set(&'static self, pressed: bool) {
        catch_reads();
        let may = if pressed {
            libc::PROT_NONE
        } else {
            libc::PROT_READ
        };
        // SAFETY: the page is this flag's alone, and only checkpoints read it.
        // Where it fails, awaits can still be stopped, and code that blocks.
        unsafe { libc::mprotect(self.0.get().cast(), PAGE, may) };
    }

    fn contains(&self, address: usize) -> bool {
        let begin = self.0.get() as usize;
        (begin..begin + PAGE).contains(&address)
    }
}

impl Default for StopFlag {
    fn default() -> StopFlag {
        StopFlag::new()
    }
}

/// Who handled SIGSEGV before: std, which says when a stack is full.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Has the signal handled that tells of a read, from the first call on.
fn catch_reads() {
    BEFORE.get_or_init(|| {
        let mut before = MaybeUninit::zeroed();
        // SAFETY: all zeros is a value of this plain structure, and the handler has the arguments that
        // its flags say.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction =
                handle as unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGSEGV, &raw const action, before.as_mut_ptr());
            before.assume_init()
        }
    });
}

/// # Safety
/// Only for the operating system, which hands over what is written in `sigaction(2)`.
unsafe extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: see above.
    let (address, registers) = unsafe {
        let context = context.cast::<libc::ucontext_t>();
        (
            (*info).si_addr() as usize,
            &mut (*context).uc_mcontext.gregs,
        )
    };
    let [stack, next] = [libc::REG_RSP, libc::REG_RIP].map(|register| register as usize);
    if !is_checkpoint(registers[next], address) {
        // SAFETY: as above.
        return unsafe { handle_as_before(signal, info, context) };
    }
    registers[next] += INSTRUCTION_LENGTH;
    // The thread is at a checkpoint, in the user's code: what can be done there can be done here.
    if interrupt::is_to_end() {
        // As a call does it. SAFETY: the compiler has been told that the instruction uses the stack.
        unsafe {
            registers[stack] -= size_of::<i64>() as i64;
            (registers[stack] as *mut i64).write(registers[next]);
        }
        let end: extern "C-unwind" fn() -> ! = end;
        registers[next] = (end as usize).cast_signed() as i64;
    }
}

/// Whether the instruction there, which could not read from an address, is a checkpoint.
fn is_checkpoint(instruction: i64, address: usize) -> bool {
    checkpoint::any_flag(|flag| flag.contains(address))
        && instruction as usize != address
        // SAFETY: the instruction could be read, since it was the address that could not.
        && unsafe { (instruction as *const [u8; 2]).read_unaligned() } == INSTRUCTION
}

extern "C-unwind" fn end() -> ! {
    interrupt::end()
}

/// # Safety
/// As for [`handle`].
unsafe fn handle_as_before(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // Behind the handler the thread reads once more, and the process ends.
            // SAFETY: what was handed out by the same function.
            unsafe { libc::sigaction(signal, before, std::ptr::null_mut()) };
        }
        // SAFETY: it is given what it asked for.
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => unsafe {
            let handler: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                std::mem::transmute(handler);
            handler(signal, info, context);
        },
        // SAFETY: as above.
        handler => unsafe {
            let handler: unsafe extern "C" fn(c_int) = std::mem::transmute(handler);
            handler(signal);
        },
    }
}

/// What a checkpoint drops when it unwinds. In a function in which something else has to be dropped, but not
/// there, LLVM leaves the assembly out of the table by which the function is unwound
/// (<https://github.com/rust-lang/rust/issues/161490>), and the process is aborted.
#[doc(hidden)]
#[derive(Debug)]
pub struct Unwinding;

impl Drop for Unwinding {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {}
}

/// A place where the cell can be stopped. The kernel puts it into loops, and says whether the function is
/// plain: one in which nothing has to be dropped, which saves fewer registers then.
#[doc(hidden)]
#[macro_export]
#[allow(
    clippy::crate_in_macro_def,
    reason = "the crate that is compiled is meant, see `stop_flag!`"
)]
macro_rules! checkpoint {
    () => {{
        let unwinding = $crate::__checkpoint::Unwinding;
        $crate::checkpoint!(plain);
        ::core::mem::forget(unwinding);
    }};
    (plain) => {
        // SAFETY: it reads from a page of its own, see `stop_page.rs`.
        unsafe {
            ::core::arch::asm!(
                "test byte ptr [rip + {}], al",
                sym crate::MORCEAUX_STOP_FLAG,
                options(nomem, may_unwind),
            );
        }
    };
}
