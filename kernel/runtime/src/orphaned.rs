//! The end of the cell process when its kernel has gone. A kernel that was killed leaves compilers that
//! run, programs that cells have started, and the session's folder: there is nobody else to take care
//! of them at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid, getppid, kill_process_group};

/// How often, and how long in between, it is looked whether the kernel has gone for good. The
/// connection's end may be seen a moment before that of the kernel.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

struct Kernel {
    /// The session's folder.
    folder: PathBuf,
    /// Its process group, if it leads one.
    group: Option<Pid>,
}

static KERNEL: OnceLock<Kernel> = OnceLock::new();

/// Remembers the kernel that has started this process and listens on this socket.
pub(crate) fn remember(socket: &Path) {
    let parent = getppid();
    let folder = socket.parent().unwrap_or(socket).to_owned();
    let group = parent.filter(|parent| getpgid(Some(*parent)).ok() == Some(*parent));
    let _ = KERNEL.set(Kernel { folder, group });
}

/// Ends the process: without its kernel it has nobody to work for. No destructors, since threads of
/// the user may be anywhere.
pub(crate) fn leave() -> ! {
    // The end of each connection is noticed by a thread of its own: the first one does it all.
    static LEAVING: Mutex<()> = Mutex::new(());
    let _leaving = LEAVING.lock();
    if let Some(kernel) = KERNEL.get()
        && has_gone(&kernel.folder)
    {
        if let Some(group) = kernel.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        // A compiler may have been writing.
        for _ in 0..LOOKS {
            if fs::remove_dir_all(&kernel.folder).is_ok() || !kernel.folder.exists() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
    // With what cells have started in it. Nothing else has been put into the group.
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(0) }
}

/// Whether the kernel has let go of its session. One that only hangs up starts another process.
fn has_gone(folder: &Path) -> bool {
    for _ in 0..LOOKS {
        match File::open(folder.join("lock")) {
            // A kernel that ends by itself removes the folder, too.
            Err(_) => return false,
            Ok(lock) if lock.try_lock().is_ok() => return true,
            Ok(_) => std::thread::sleep(PAUSE),
        }
    }
    false
}
