//! Where in the user's own code a panic happened.

use std::backtrace::Backtrace;

use crate::wire::Frame;

/// The crate that evcxr makes of every cell, and the file in which its code lies.
const CRATE: &str = "ctx::";
const FILE: &str = "cells/src/lib.rs";
/// How the function is called that evcxr makes of a cell's statements. It calls them as a closure.
const STATEMENTS: &str = "run_user_code_";

/// The calls in code of cells that have not returned yet, innermost first.
pub(crate) fn frames() -> Vec<Frame> {
    users_frames(&Backtrace::force_capture().to_string())
}

/// Picks them from a backtrace as std writes it: a line for each function, and below it, where that
/// is known, one for its place.
fn users_frames(backtrace: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut function = "";
    for line in backtrace.lines().map(str::trim) {
        let Some(place) = line.strip_prefix("at ") else {
            function = line.split_once(": ").map_or("", |(_, function)| function);
            if function.starts_with(STATEMENTS) {
                break;
            }
            continue;
        };
        let mut parts = place.rsplitn(3, ':').skip(1);
        let line = parts.next().and_then(|line| line.parse().ok());
        let file = parts.next().unwrap_or_default();
        if let Some(line) = line.filter(|_| file.ends_with(FILE)) {
            let function = name(function);
            let frame = Frame { function, line };
            // An awaited block and what waits for it are in one line.
            if frames.last() != Some(&frame) {
                frames.push(frame);
            }
        }
    }
    frames
}

/// A function's name as the user wrote it; none for a closure or an async block, which has none.
fn name(function: &str) -> Option<String> {
    let name = function.replace(CRATE, "");
    let name = name.split("::{").next().unwrap_or_default();
    (!name.is_empty() && !name.starts_with('{')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_frames_are_left() {
        let backtrace = "   0: std::panicking::begin_panic
             at /rustc/library/std/src/panicking.rs:1:2
   1: withdraw
             at /home/u/.cache/s/cells/src/lib.rs:12:9
   2: <ctx::Account as ctx::Bank>::pay::{{closure}}
             at /home/u/.cache/s/cells/src/lib.rs:7:5
   3: {async_block#0}
             at /home/u/.cache/s/cells/src/lib.rs:30:9
   4: poll<ctx::run_user_code_3::{async_block_env#0}>
             at /home/u/.cargo/registry/src/tokio-1/src/lib.rs:5:5
   5: {closure#0}
             at /home/u/.cache/s/cells/src/lib.rs:30:1
   6: run_user_code_3
             at /home/u/.cache/s/cells/src/lib.rs:29:1
   7: main
             at /home/u/.cache/s/cells/src/lib.rs:1:1";
        let frame = |function: Option<&str>, line| Frame {
            function: function.map(str::to_owned),
            line,
        };
        assert_eq!(
            users_frames(backtrace),
            [
                frame(Some("withdraw"), 12),
                frame(Some("<Account as Bank>::pay"), 7),
                frame(None, 30),
            ]
        );
    }
}
