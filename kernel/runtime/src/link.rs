//! The cell process's end of the socket to the kernel: reports go out, orders come in.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::orphaned;
use crate::wire::{self, MAX_FRAME_BYTES, Order, Report};

/// The sending half. One lock orders the reports of all threads.
static LINK: OnceLock<Mutex<UnixStream>> = OnceLock::new();

/// Connects to the kernel and starts the thread that takes its orders.
///
/// # Errors
/// Fails where the kernel does not listen on the socket that the environment names.
pub(crate) fn connect(
    path: &std::ffi::OsStr,
    obey: impl Fn(Order) + Send + 'static,
) -> std::io::Result<()> {
    orphaned::remember(Path::new(path));
    let sender = UnixStream::connect(path)?;
    let receiver = sender.try_clone()?;
    if LINK.set(Mutex::new(sender)).is_err() {
        return Err(std::io::Error::other("connected to the kernel twice"));
    }
    std::thread::Builder::new()
        .name("morceaux-orders".to_owned())
        .spawn(move || take_orders(receiver, obey))?;
    Ok(())
}

/// Sends a report. Outside a kernel (in a unit test, say) there is nobody to tell, and it is dropped.
///
/// Blocks while the kernel does not keep up, which is what slows down a flood of output.
pub(crate) fn send(report: &Report) {
    let Some(link) = LINK.get() else { return };
    let Ok(frame) = wire::encode(report) else {
        return;
    };
    // A thread that panics while it holds this lock has at worst left a frame half written, and then
    // the kernel hangs up.
    let mut socket = link.lock().unwrap_or_else(PoisonError::into_inner);
    if socket.write_all(&frame).is_err() {
        orphaned::leave();
    }
}

fn take_orders(mut socket: UnixStream, obey: impl Fn(Order)) {
    let mut length = [0; 4];
    while socket.read_exact(&mut length).is_ok() {
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME_BYTES {
            break;
        }
        let mut frame = vec![0; length];
        if socket.read_exact(&mut frame).is_err() {
            break;
        }
        match wire::decode(&frame) {
            Ok(order) => obey(order),
            Err(_) => break,
        }
    }
    orphaned::leave();
}
