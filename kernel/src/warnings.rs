//! rustc's warnings about a cell. evcxr drops them when a cell compiles, and one of them matters most
//! to somebody who learns async Rust: a future that is never awaited. So the rustc wrapper keeps
//! them in a file, and the kernel reads it.

use std::path::Path;

use serde_json::Value;

/// The file, in the folder in which evcxr compiles: rustc's messages as JSON, one in a line.
const FILE: &str = "warnings";

/// Keeps the warnings among rustc's messages, which are JSON, one in a line.
pub fn keep(messages: &[u8]) {
    let lines = messages.split_inclusive(|byte| *byte == b'\n');
    let kept: Vec<&[u8]> = lines
        .filter(|line| contains(line, r#""level":"warning""#))
        .collect();
    // Without the file there are no hints, which is no reason to fail.
    let _ = std::fs::write(FILE, kept.concat());
}

/// Removes what an earlier cell has left.
pub fn forget(folder: &Path) {
    // That there is none is what is wanted.
    let _ = std::fs::remove_file(folder.join(FILE));
}

/// The warnings about the cell that was compiled last.
pub fn read(folder: &Path) -> Vec<Value> {
    let kept = std::fs::read(folder.join(FILE)).unwrap_or_default();
    messages(&kept).collect()
}

/// rustc's messages.
pub fn messages(lines: &[u8]) -> impl Iterator<Item = Value> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok())
}

fn contains(message: &[u8], word: &str) -> bool {
    message
        .windows(word.len())
        .any(|window| window == word.as_bytes())
}
