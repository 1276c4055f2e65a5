//! Where code that does not await notices the stop button.
//!
//! The flag that a checkpoint looks at lies in the library of the code itself, in a known place. That of another
//! library lies where the dynamic linker says, which takes one load more and a register, and made loops
//! of few instructions a third slower.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::StopFlag;

/// The flags of all libraries, and what they say.
struct Flags {
    registered: Vec<&'static StopFlag>,
    pressed: bool,
}

static FLAGS: Mutex<Flags> = Mutex::new(Flags {
    registered: Vec::new(),
    pressed: false,
});

fn flags() -> MutexGuard<'static, Flags> {
    FLAGS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StopFlag {
    /// Has it set when the stop button is pressed.
    pub fn register(&'static self) {
        let mut flags = flags();
        if flags.pressed {
            self.set(true);
        }
        flags.registered.push(self);
    }
}

/// Sets all flags, or none.
pub(crate) fn set_flags(pressed: bool) {
    let mut flags = flags();
    flags.pressed = pressed;
    flags.registered.iter().for_each(|flag| flag.set(pressed));
}

/// Whether there is such a flag.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn any_flag(is_it: impl Fn(&StopFlag) -> bool) -> bool {
    flags().registered.iter().any(|flag| is_it(flag))
}

/// The flag of the library that this is compiled into, which the kernel puts behind the source of each that has
/// checkpoints. It is registered when the library is loaded, before any code of it runs: what a static
/// of it holds may be called by others.
#[doc(hidden)]
#[macro_export]
macro_rules! stop_flag {
    () => {
        static MORCEAUX_STOP_FLAG: $crate::StopFlag = $crate::StopFlag::new();

        const _: () = {
            extern "C" fn register() {
                MORCEAUX_STOP_FLAG.register();
            }
            // What the dynamic linker calls, as the crate `ctor` has it.
            #[used]
            #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
            #[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".init_array"))]
            static REGISTER: extern "C" fn() = register;
        };
    };
}

/// What a loop adds to its counter, or takes off, in each turn.
#[doc(hidden)]
#[derive(Debug)]
pub struct Step<'a, T>(pub &'a T);

/// What is known of a number.
#[doc(hidden)]
pub trait ByNumber {
    /// Whether the loop ends at some time because of it.
    fn advances(&self) -> bool;
}

/// What is known of anything else.
#[doc(hidden)]
pub trait ByOther {
    /// As above: it may not end.
    #[inline]
    fn advances(&self) -> bool {
        false
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl ByNumber for &Step<'_, $number> {
            #[inline]
            fn advances(&self) -> bool {
                *self.0 > 0
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

impl<T> ByOther for Step<'_, T> {}

/// Whether a loop ends at some time that counts in steps of this variable. The kernel puts it into such loops,
/// in front of a checkpoint; of what does not change in a loop, the compiler asks but once.
#[doc(hidden)]
#[macro_export]
macro_rules! advances {
    ($step:ident) => {{
        #[allow(unused_imports, reason = "one of them is")]
        use $crate::__checkpoint::{ByNumber as _, ByOther as _};
        (&&$crate::__checkpoint::Step(&$step)).advances()
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_numbers_above_zero_advance() {
        let (one, zero, back, other) = (1_u8, 0_i64, -1_i32, 1.5);
        let all = [
            crate::advances!(one),
            crate::advances!(zero),
            crate::advances!(back),
            crate::advances!(other),
        ];
        assert_eq!(all, [true, false, false, false]);
    }
}
