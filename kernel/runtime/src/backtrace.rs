//! Where in the user's own code a panic happened.

use std::backtrace::Backtrace;

use crate::wire::Frame;

/// The crate that evcxr makes of every cell, and the file in which its code lies.
const CRATE: &str = "ctx::";
const FILE: &str = "src/lib.rs";
/// How the function is called that evcxr makes of a cell's statements.
const STATEMENTS: &str = "run_user_code_";

/// The calls in code of cells that have not returned yet, innermost first.
pub(crate) fn frames() -> Vec<Frame> {
    users_frames(&Backtrace::force_capture().to_string())
}

/// Picks them from a backtrace as std writes it: a line for each function, and below it, where that
/// is known, one for its place.
fn users_frames(backtrace: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut function = "";
    for line in backtrace.lines().map(str::trim) {
        let Some(place) = line.strip_prefix("at ") else {
            function = line.split_once(": ").map_or("", |(_, function)| function);
            continue;
        };
        let mut parts = place.rsplitn(3, ':');
        let line = parts.nth(1).and_then(|line| line.parse().ok());
        let file = parts.next().unwrap_or_default();
        if let Some(line) = line
            && is_cells_file(file)
            && function.contains(CRATE)
        {
            let function = name(function);
            // A closure in the statements of a cell is a frame of the statements, as they are.
            let frame = Frame { function, line };
            if frames.last() != Some(&frame) {
                frames.push(frame);
            }
        }
    }
    // Below the innermost frame of the statements there is only what evcxr has put around them.
    let statements = frames.iter().position(|frame| frame.function.is_none());
    frames.truncate(statements.map_or(frames.len(), |position| position + 1));
    frames
}

/// cargo gives the file relative to the folder in which evcxr compiles; with line tables it is below
/// that folder.
fn is_cells_file(file: &str) -> bool {
    file.trim_start_matches("./") == FILE
        || file.ends_with(&format!("/cells/{FILE}"))
        || file.ends_with(&format!("/cells/./{FILE}"))
}

/// A function's name as the user wrote it; none for the statements of a cell.
fn name(function: &str) -> Option<String> {
    if function.contains(STATEMENTS) {
        return None;
    }
    let name = function.replace(CRATE, "").replace("::{{closure}}", "");
    // The hash at the end of a mangled name.
    let name = match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => &name,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_frames_are_left() {
        let backtrace = "   0: std::panicking::begin_panic
             at /rustc/library/std/src/panicking.rs:1:2
   1: ctx::Account::withdraw
             at ./src/lib.rs:12:9
   2: <ctx::Account as ctx::Bank>::pay::{{closure}}::h0123456789abcdef
             at /home/u/.cache/s/cells/src/lib.rs:7:5
   3: ctx::run_user_code_3::{{closure}}
             at ./src/lib.rs:30:1
   4: core::ops::function::FnOnce::call_once
             at /rustc/library/core/src/ops/function.rs:250:5
   5: run_user_code_3
             at ./src/lib.rs:29:1";
        let frame = |function: Option<&str>, line| Frame {
            function: function.map(str::to_owned),
            line,
        };
        assert_eq!(
            users_frames(backtrace),
            [
                frame(Some("Account::withdraw"), 12),
                frame(Some("<Account as Bank>::pay"), 7),
                frame(None, 30),
            ]
        );
    }
}
