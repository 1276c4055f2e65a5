//! The program as cargo's rustc wrapper, when cargo builds the runtime dylib.
//!
//! Code in a library asks the dynamic linker where its thread-local variables lie, each time, unless it is
//! compiled for libraries that a program loads early (the ELF model "initial exec"). tokio looks at such
//! variables several times for each message that a channel carries: a task that sends and receives ran
//! through 9 % more instructions than in a program, and through 2 % more with this. rustc has the option
//! only for those who ask for unstable ones.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::rustc_wrapper::value_of;

/// The name under which this program is linked to be started as this wrapper.
pub const RUNTIME_WRAPPER: &str = "runtime-wrapper";

/// The crates that look at thread-local variables whenever a task runs.
const CRATES: [&str; 2] = ["tokio", "morceaux"];

const OPTION: &str = "-Ztls-model=initial-exec";

/// Whether cargo has started this program as this wrapper.
pub fn is_wanted() -> bool {
    let program = std::env::args_os().next().map(PathBuf::from);
    program.is_some_and(|program| program.file_name() == Some(OsStr::new(RUNTIME_WRAPPER)))
}

/// Whether a rustc has the option, and the system's dynamic linker can do with it.
pub fn is_of_use(rustc: &OsStr) -> bool {
    let mut asked = Command::new(rustc);
    with_option(asked.args(["--print", "sysroot"]));
    let asked = asked.stdout(Stdio::null()).stderr(Stdio::null()).status();
    cfg!(all(target_os = "linux", target_env = "gnu")) && asked.is_ok_and(|status| status.success())
}

/// Runs rustc. Does not return if it can be started.
pub fn run() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let rustc = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let crate_name = value_of(&args, "--crate-name");
    let is_meant = crate_name.is_some_and(|name| CRATES.iter().any(|meant| name == *meant));
    let mut command = Command::new(&rustc);
    if is_meant {
        with_option(&mut command);
    }
    let error = command.args(args).exec();
    eprintln!("error: {} cannot be started: {error}", rustc.display());
    ExitCode::FAILURE
}

fn with_option(rustc: &mut Command) {
    rustc.arg(OPTION).env("RUSTC_BOOTSTRAP", "1");
}
