//! What every cell of a morceaux notebook links: the one tokio runtime that outlives the cells, the
//! event loops that a notebook makes itself, stopping, and showing values.
//!
//! A cell may use everything in [`prelude`] without a `use`. The rest of what is public here is
//! either reached by its path (`morceaux::…`) or is what the kernel's rewriting of a cell calls;
//! the latter is hidden from the documentation.
//!
//! ```no_run
//! use morceaux::prelude::*;
//!
//! let mainloop = EventLoop::new();
//! mainloop.spawn(async {
//!     tokio::time::sleep(std::time::Duration::from_secs(1)).await;
//!     println!("one second later");
//! });
//! if mainloop.run_forever().is_err() {
//!     println!("bye");
//! }
//! ```

#[cfg(not(tokio_unstable))]
compile_error!(
    "build with RUSTFLAGS=\"--cfg tokio_unstable\"; the repository's .cargo/config.toml sets it, \
     unless RUSTFLAGS is set to something else"
);

mod ask;
mod block_on;
mod cell;
mod cell_process;
mod display;
mod evcxr_words;
mod event_loop;
mod forget;
mod frames;
mod interrupt;
mod keep;
mod libraries;
mod link;
mod question_mark;
mod rescue;
mod shared;
mod show;
mod stdio;
mod tasks;
pub mod wire;

#[doc(hidden)]
pub use block_on::{block_on, try_block_on};
#[doc(hidden)]
pub use cell::{CellGuard, enter};
#[doc(hidden)]
pub use cell_process::morceaux_cell_process;
pub use display::{DisplayHandle, Html, Markdown, Show, Svg, display};
pub use event_loop::{EventLoop, Kernel, Own};
pub use interrupt::Interrupted;
pub use keep::Never;
#[doc(hidden)]
pub use question_mark::{question_mark, try_question_mark};
#[doc(hidden)]
pub use shared::Shared;
#[doc(hidden)]
pub use show::__show;
#[doc(hidden)]
pub use stdio::__print;

/// What is in scope in every cell.
pub mod prelude {
    pub use crate::{DisplayHandle, EventLoop, Html, Interrupted, Markdown, Show, Svg, display};
}

/// What the kernel calls to keep variables.
#[doc(hidden)]
pub mod __keep {
    pub use crate::keep::*;
}

/// What the kernel calls to keep the variables of a cell that ends early.
#[doc(hidden)]
pub mod __rescue {
    pub use crate::rescue::{End, put, take};
}

/// What the kernel asks rustc with.
#[doc(hidden)]
pub mod __ask {
    pub use crate::ask::*;
}

/// The crates whose types the cells share with this dylib. The cells' own `tokio` and `bytes` are
/// these, under their usual names.
#[doc(hidden)]
pub mod __shared {
    pub use bytes;
    pub use tokio;
}
