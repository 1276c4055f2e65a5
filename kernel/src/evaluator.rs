//! evcxr, set up for our cell process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use evcxr::{CommandContext, EvalContext, EvalContextOutputs};

use crate::cell_process;
use crate::prebuilt::Prebuilt;
use crate::programs::Programs;
use crate::session_dir;
use crate::wire::SOCKET_VAR;

/// The environment variable by which evcxr is told where to compile.
const EVCXRS_FOLDER: &str = "EVCXR_TMPDIR";

/// The environment variable by which rust-analyzer is told where the standard library's source is.
const STD_SOURCE: &str = "RUST_SRC_PATH";

/// Tells evcxr where to compile, rust-analyzer what to read, and both which programs to start, in a
/// session that need not be there yet; takes away what would reach their cargo from outside.
///
/// # Safety
/// The process must have a single thread.
pub unsafe fn set_environment(session: &Path) {
    // SAFETY: as the caller promises.
    unsafe {
        std::env::set_var(EVCXRS_FOLDER, session_dir::cells(session));
        std::env::set_var(STD_SOURCE, session_dir::std_source(session));
        // It would come before the wrapper that the session's configuration names.
        std::env::remove_var("RUSTC_WRAPPER");
        std::env::remove_var("RUSTC_WORKSPACE_WRAPPER");
        Programs::of_session(session).set_environment(&path_with_cargo());
    }
}

/// PATH with the folder in which rustup puts cargo. A Jupyter that was not started from a shell
/// often lacks it. Last, so that it changes nothing where there is a cargo already.
fn path_with_cargo() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = dirs::home_dir().map(|home| home.join(".cargo/bin"));
    let folders = std::env::split_paths(&path).chain(folder);
    std::env::join_paths(folders).unwrap_or(path)
}

/// Starts evcxr and, through it, a cell process that connects to `socket`, finds `programs` no more than
/// the user does, and may use so many bytes of memory.
///
/// # Errors
/// evcxr's own, as text.
pub fn open(
    prebuilt: &Prebuilt,
    socket: &Path,
    programs: &Programs,
    memory: Option<u64>,
) -> Result<(CommandContext, EvalContextOutputs), evcxr::Error> {
    let mut command = Command::new(prebuilt.cell_process());
    // The notebook shows colours, but nobody can turn pages in it.
    let terminal = std::env::var("TERM").unwrap_or_default();
    if ["", "dumb"].contains(&&*terminal) {
        command.env("TERM", "xterm-256color");
    }
    programs.leave_environment(&mut command);
    if let Some(memory) = memory {
        command.env(cell_process::MEMORY_VAR, memory.to_string());
    }
    command
        .envs([("PAGER", "cat"), ("GIT_PAGER", "cat")])
        .env(SOCKET_VAR, socket)
        .env_remove(STD_SOURCE)
        // A group of its own, to be ended together with what the cells start in it.
        .process_group(0);
    let (context, outputs) = EvalContext::with_subprocess_command(command)?;
    Ok((CommandContext::with_eval_context(context), outputs))
}
