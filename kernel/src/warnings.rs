//! rustc's warnings about a cell. evcxr drops them when a cell compiles, and one of them matters most
//! to somebody who learns async Rust: a future that is never awaited. So the rustc wrapper keeps
//! them in a file, and the kernel reads it.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// The file, in the folder in which evcxr compiles: rustc's messages as JSON, one in a line.
const FILE: &str = "warnings";

/// Runs rustc, passes its messages on, and keeps the warnings among them.
///
/// # Errors
/// Where rustc cannot be started.
pub fn run_and_keep(rustc: &mut Command) -> io::Result<ExitCode> {
    let mut child = rustc.stderr(Stdio::piped()).spawn()?;
    let messages = child.stderr.take().map(BufReader::new);
    let mut kept = Vec::new();
    let mut stderr = io::stderr().lock();
    for message in messages
        .into_iter()
        .flat_map(|messages| messages.split(b'\n'))
    {
        let mut message = message?;
        message.push(b'\n');
        stderr.write_all(&message)?;
        if find(&message, br#""level":"warning""#) {
            kept.extend_from_slice(&message);
        }
    }
    // Without the file there are no hints, which is no reason to fail.
    let _ = std::fs::write(FILE, kept);
    let status = child.wait()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Removes what an earlier cell has left.
pub fn forget(folder: &Path) {
    // That there is none is what is wanted.
    let _ = std::fs::remove_file(folder.join(FILE));
}

/// The warnings about the cell that was compiled last.
pub fn read(folder: &Path) -> Vec<Value> {
    let kept = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    let lines = kept.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn find(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
