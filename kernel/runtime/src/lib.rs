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
mod blocking;
#[doc(hidden)]
pub mod blocks;
mod cell;
mod cell_process;
mod checkpoint;
mod display;
mod drain;
mod evcxr_words;
mod event_loop;
mod forget;
mod frames;
mod input;
mod interrupt;
mod keep;
mod kept;
mod libraries;
mod link;
mod mime;
mod named;
mod orphaned;
mod output_cell;
mod question_mark;
mod room;
mod shared;
mod shorten;
mod show;
mod stdio;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod stop_flag;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stop_page;
mod table;
mod task_table;
mod task_words;
mod tasks;
mod variable_store;
mod ways;
pub mod wire;

#[doc(hidden)]
pub use block_on::{block_on, try_block_on};
#[doc(hidden)]
pub use cell::{CellGuard, enter};
#[doc(hidden)]
pub use cell_process::morceaux_cell_process;
#[doc(hidden)]
pub use display::__display;
pub use display::{DisplayHandle, clear_output, display};
#[doc(hidden)]
pub use drain::__drain;
pub use drain::drain;
pub use event_loop::{EventLoop, Kernel, Own};
pub use input::{InputError, input, password, try_input, try_password};
pub use interrupt::Interrupted;
#[doc(hidden)]
pub use interrupt::{sleep, stoppable};
pub use keep::Never;
pub use mime::{Gif, Html, Jpeg, Json, Latex, Markdown, MimeBundle, Plain, Png, Show, Shown, Svg};
pub use output_cell::OutputCell;
#[doc(hidden)]
pub use question_mark::{question_mark, try_question_mark};
#[doc(hidden)]
pub use shared::Shared;
pub use shorten::set_value_limit;
#[doc(hidden)]
pub use show::__show;
#[doc(hidden)]
pub use stdio::__print;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[doc(hidden)]
pub use stop_flag::StopFlag;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[doc(hidden)]
pub use stop_page::StopFlag;
pub use table::Table;

/// What is in scope in every cell.
pub mod prelude {
    pub use crate::{
        DisplayHandle, EventLoop, Html, Interrupted, Jpeg, Latex, Markdown, MimeBundle, OutputCell,
        Png, Show, Svg, Table, clear_output, display,
    };
}

/// What cells use in place of what evcxr generates into them.
#[doc(hidden)]
pub mod __evcxr {
    pub use crate::variable_store::{
        USER_ERROR_OCCURRED, VARIABLE_CHANGED_TYPE, VariableStore, create_variable_store,
    };
}

/// What the kernel writes into loops.
#[doc(hidden)]
pub mod __checkpoint {
    pub use crate::checkpoint::{ByNumber, ByOther, Step};
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    pub use crate::stop_flag::noticed;
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub use crate::stop_page::Unwinding;
}

/// What the kernel calls to keep variables.
#[doc(hidden)]
pub mod __keep {
    pub use crate::keep::*;
}

/// What the kernel calls to hand variables over.
#[doc(hidden)]
pub mod __kept {
    pub use crate::kept::{End, keep, keep_as};
    pub use crate::named::{Known, Name, Named, Part};
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

    /// tokio, apart from what the kernel has to know of.
    pub mod tokio {
        pub use tokio::*;

        /// As tokio's.
        pub mod task {
            pub use tokio::task::*;

            pub use crate::tasks::spawn_blocking;
        }
    }
}
