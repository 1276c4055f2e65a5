//! The life of the cell process: load what evcxr compiled, run it, say how it ended.
//!
//! evcxr starts this process, writes `LOAD_AND_RUN <path> <function>` to its standard input, and
//! reads words from its standard output, by lines. Both are taken away from the user's code first:
//! what a cell prints can neither look like one of evcxr's words nor delay one.

use std::ffi::{OsStr, c_void};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::cell::{self, Phase};
use crate::variable_store::{self, VariableStore};
use crate::wire::{self, Order, Outcome, Report};
use crate::{
    block_on, blocking, evcxr_words, forget, frames, input, interrupt, kept, libraries, link,
    orphaned, room, stdio, task_table, tasks, ways,
};

/// What the program's own system calls on standard streams pass through. As the kernel's
/// `cell_process.rs` has it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// Takes bytes that the process writes to a file descriptor; returns whether it has.
    write: extern "C" fn(fd: i32, bytes: *const u8, length: usize) -> bool,
    /// Fills a buffer from a file descriptor. Returns how many bytes that are, [`NOT_TAKEN`] or
    /// [`CANCELED`].
    read: extern "C" fn(fd: i32, bytes: *mut u8, length: usize) -> isize,
    /// Whether what is written to a file descriptor is shown to a person.
    is_shown: extern "C" fn(fd: i32) -> bool,
    /// Whether the calling thread is not to wait any longer: the stop button was pressed.
    is_stopped: extern "C" fn() -> bool,
}

/// The file descriptor is read in the usual way.
const NOT_TAKEN: isize = -1;
/// The stop button was pressed.
const CANCELED: isize = -2;

/// Runs the cell process. The program calls it by name, right after it has loaded this library.
///
/// `set_hooks` takes the functions through which the program's system calls pass from then on.
/// Returns the exit code when evcxr closes its end.
#[unsafe(no_mangle)]
pub extern "C" fn morceaux_cell_process(set_hooks: extern "C" fn(Hooks)) -> i32 {
    match prepare(set_hooks) {
        Ok(commands) => match serve(commands) {
            // The kernel may have gone, which the thread that takes its orders need not have seen.
            0 => orphaned::leave(),
            code => code,
        },
        Err(error) => {
            eprintln!("morceaux: the cell process cannot start: {error}");
            1
        }
    }
}

fn prepare(set_hooks: extern "C" fn(Hooks)) -> std::io::Result<BufReader<File>> {
    let socket = std::env::var_os(wire::SOCKET_VAR).unwrap_or_default();
    hide_environment(&[wire::SOCKET_VAR, "EVCXR_IS_RUNTIME"].map(OsStr::new));

    let commands = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let words = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    evcxr_words::listen(words);

    if let Some(folder) = Path::new(&socket).parent() {
        task_table::share(folder);
    }
    link::connect(&socket, obey)?;
    stdio::replace()?;
    set_hooks(Hooks {
        write: take_write,
        read: take_read,
        is_shown: take_is_shown,
        is_stopped: take_is_stopped,
    });
    std::panic::set_hook(Box::new(panicked));
    blocking::prepare();

    // `tokio::spawn` then works at a cell's top level. Forgotten: the main thread never leaves.
    std::mem::forget(block_on::kernel_runtime().enter());
    Ok(BufReader::new(commands))
}

/// What was meant for this process alone is not inherited by programs that the user starts.
fn hide_environment(names: &[&OsStr]) {
    for name in names {
        // SAFETY: the process has a single thread at this point.
        unsafe { std::env::remove_var(name) };
    }
}

extern "C" fn take_write(fd: i32, bytes: *const u8, length: usize) -> bool {
    // SAFETY: these are the arguments of a `write`, whose caller vouches for them.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    stdio::take(fd, bytes)
}

extern "C" fn take_read(fd: i32, bytes: *mut u8, length: usize) -> isize {
    if length == 0 || !stdio::is_stdin(fd) {
        return NOT_TAKEN;
    }
    // SAFETY: these are the arguments of a `read`, whose caller vouches for them. They are written
    // to only as far as the returned length says.
    let buffer = unsafe {
        std::ptr::write_bytes(bytes, 0, length);
        std::slice::from_raw_parts_mut(bytes, length)
    };
    input::read(buffer).map_or(CANCELED, usize::cast_signed)
}

extern "C" fn take_is_shown(fd: i32) -> bool {
    stdio::is_shown(fd)
}

extern "C" fn take_is_stopped() -> bool {
    interrupt::is_pressed() && interrupt::is_late()
}

fn serve(commands: BufReader<File>) -> i32 {
    let mut variables = std::ptr::null_mut();
    for line in commands.lines() {
        let Ok(line) = line else { break };
        let done = line
            .strip_prefix("LOAD_AND_RUN ")
            .and_then(|rest| rest.rsplit_once(' '))
            .ok_or_else(|| format!("evcxr sent a line that is not understood: {line}"))
            .and_then(|(path, function)| run(path, function, variables));
        match done {
            Ok(kept) => variables = kept,
            Err(error) => {
                eprintln!("morceaux: {error}");
                return 99;
            }
        }
    }
    0
}

/// Does what the kernel orders. Runs on the thread that reads the orders.
fn obey(order: Order) {
    match order {
        Order::Interrupt { cell } => interrupt::stop(cell),
        Order::Forget { cell, names } => {
            ways::forget();
            forget::note(cell, names);
        }
        Order::Room { bytes } => room::passed_on(bytes),
        Order::Answer { question, answer } => input::answered_by_user(question, answer),
    }
}

/// Loads the library of a cell and runs its function. Takes and returns evcxr's variable store.
fn run(path: &str, function: &str, variables: *mut c_void) -> Result<*mut c_void, String> {
    type UserFunction = extern "C" fn(*mut c_void) -> *mut c_void;
    if forget::tell_evcxr() {
        return Ok(variables);
    }
    // Such a file stands for a cell that only says what variables there are.
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        evcxr_words::say(evcxr_words::EXECUTION_COMPLETE);
        return Ok(variables);
    }
    let loaded = |error: libloading::Error| {
        let why = std::error::Error::source(&error).map(|source| format!(": {source}"));
        let why = why.unwrap_or_default();
        format!("the compiled cell cannot be loaded: {error}{why}")
    };
    // SAFETY: the library is what evcxr has just compiled from the cell; running the user's code is
    // the purpose of this process. Global, so that the statics of an earlier cell are found there by
    // the later ones, which carry a copy of them (see the kernel's `items.rs`).
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(loaded)?;
    // SAFETY: evcxr generates the function with this signature.
    let function = *unsafe { library.get::<UserFunction>(function.as_bytes()) }.map_err(loaded)?;
    // Tasks, variables and thread-locals may refer to it for as long as the process lives.
    std::mem::forget(library);

    libraries::loaded(Path::new(path));
    cell::set_phase(Phase::Loading);
    let mut variables = function(variables).cast::<VariableStore>();
    if variables.is_null() {
        variables = variable_store::create_variable_store();
    }
    // SAFETY: the one store of the notebook, which only the running cell uses, and none runs here.
    finish_cell(unsafe { &mut *variables });
    Ok(variables.cast())
}

/// Puts away what the cell has handed over, and tells the kernel and evcxr how it ended, after all that
/// it has written.
fn finish_cell(variables: &mut VariableStore) {
    let variables = kept::store(variables);
    let ended = cell::outcome();
    for message in ended.iter().flat_map(|(_, _, caught)| caught) {
        eprintln!("{message}");
    }
    stdio::flush();
    let unwound = matches!(cell::phase(), Phase::Unwound(_) | Phase::UnwoundAndSaid(_));
    cell::set_phase(Phase::Elsewhere);
    if let Some((cell, outcome, _)) = ended {
        link::send(&Report::Ended {
            cell,
            outcome,
            variables,
        });
    }
    if unwound {
        evcxr_words::say(evcxr_words::PANIC_NOTIFICATION);
    }
    evcxr_words::say(evcxr_words::EXECUTION_COMPLETE);
}

/// The panic hook. A panic that ends the cell is shown as the cell's error, so it is only noted; all
/// others are said at once, under the task's cell.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    let message = message.to_owned();
    let calls = frames::calls();
    let (line, place) = frames::line(info, &calls);
    if matches!(cell::phase(), Phase::Inside(_)) && !tasks::in_task() {
        return cell::note_panic(Outcome::Panicked {
            message,
            line,
            calls,
        });
    }
    stdio::flush();
    link::send(&Report::TaskPanicked {
        cell: tasks::current_cell(),
        message,
        place,
        line,
    });
}
