//! Building a cell, where evcxr compiles: from the shortest source with which it does what evcxr's source
//! does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{ExitCode, Output, Stdio};

use crate::cell_call::CellCall;
use crate::rustc_wrapper::SOURCE;
use crate::{generated, hand_over, rustc_wrapper, stored, unnamed, unused, warnings};

/// Where this file is, the cell names something that is not there, and is compiled once more for what
/// rustc makes of it.
const UNKNOWN: &str = "unknown-name";

/// Where this file is, the cell defines something: what it breaks that was there before is to be said.
const WITH_ITEMS: &str = "with-items";

/// Notes in evcxr's folder whether the cell that is built next defines something.
///
/// # Errors
/// Where that cannot be written.
pub fn note_items(folder: &Path, has_items: bool) -> io::Result<()> {
    let mark = folder.join(WITH_ITEMS);
    if has_items {
        return fs::write(mark, "");
    }
    match fs::remove_file(mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Builds it, and says what rustc says.
pub fn build(call: &CellCall) -> ExitCode {
    match built(call) {
        Ok(rustc) => {
            warnings::keep(&rustc.stderr);
            // Nobody is there to be told where nobody reads it.
            let _ = io::stderr().write_all(&rustc.stderr);
            if rustc.status.success() {
                return ExitCode::SUCCESS;
            }
        }
        Err(error) => {
            let rustc = call.program.display();
            eprintln!("error: the cell cannot be compiled with {rustc}: {error}");
        }
    }
    ExitCode::FAILURE
}

fn built(call: &CellCall) -> io::Result<Output> {
    let source = fs::read_to_string(SOURCE).unwrap_or_default();
    let source = generated::with_compiled_store(&source).unwrap_or(source);
    let is_run = stored::left_alone(&source).is_none();
    let is_unknown = !is_run && fs::remove_file(UNKNOWN).is_ok();
    // For a name that is not there, rustc suggests others, which then have to be there.
    let shorter = (!is_unknown).then(|| shortened(&source)).flatten();
    if let Some(shorter) = shorter {
        let rustc = built_from(call, shorter)?;
        let unknown = unknown_values(&rustc.stderr);
        // A macro can make a name of parts.
        let is_there = |name: &str| stored::takes(&source, name) || unused::defines(&source, name);
        if !unknown.iter().any(|name| is_there(name)) {
            if is_run && !unknown.is_empty() {
                fs::write(UNKNOWN, "")?;
            }
            return Ok(rustc);
        }
    }
    built_from(call, source)
}

/// A source without what the cell does not name, if there is any of that.
fn shortened(source: &str) -> Option<String> {
    let stored = stored::left_in_store(source);
    if Path::new(WITH_ITEMS).exists() {
        return stored;
    }
    unused::without_unused_functions(stored.as_deref().unwrap_or(source)).or(stored)
}

/// What rustc makes of a source, in which variables may have been moved away, or be of types that the runtime
/// does not know.
fn built_from(call: &CellCall, source: String) -> io::Result<Output> {
    let mut source = stored::left_alone(&source).unwrap_or(source);
    let mut rustc = compiled(call, &source)?;
    loop {
        if let Some(shorter) = hand_over::without_moved(&source, &rustc.stderr) {
            rustc = compiled(call, &shorter)?;
            source = shorter;
        } else if let Some(longer) = with_unnamed_types(call, &source, &rustc)? {
            let told = compiled(call, &longer)?;
            if unnamed::are_types_refused(&told.stderr) {
                fs::write(SOURCE, &source)?;
                return Ok(rustc);
            }
            (source, rustc) = (longer, told);
        } else {
            return Ok(rustc);
        }
    }
}

fn compiled(call: &CellCall, source: &str) -> io::Result<Output> {
    fs::write(SOURCE, source)?;
    let mut rustc = call.command(source);
    let rustc = rustc.args(call.args_for(source)).stdout(Stdio::inherit());
    rustc.output()
}

/// The source in which the runtime is told of the types because of which alone it was not compiled.
fn with_unnamed_types(call: &CellCall, source: &str, rustc: &Output) -> io::Result<Option<String>> {
    if rustc.status.success() || unnamed::with_more_types(source, &rustc.stderr).is_none() {
        return Ok(None);
    }
    let args = call.args_for(source).into_iter().map(|arg| {
        let is_emit = arg.as_encoded_bytes().starts_with(b"--emit=");
        if is_emit {
            "--emit=metadata".into()
        } else {
            arg
        }
    });
    let mut asked = call.command(source);
    rustc_wrapper::name_in_full(asked.args(args));
    let asked = asked.output()?;
    Ok(unnamed::with_more_types(source, &asked.stderr))
}

/// The names that stand for no value, according to what rustc has said.
fn unknown_values(messages: &[u8]) -> BTreeSet<String> {
    let errors = warnings::messages(messages).filter(|error| error["code"]["code"] == "E0425");
    let names = errors.filter_map(|error| {
        let message = error["message"].as_str()?;
        hand_over::quoted(message).map(str::to_owned)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_found() {
        let error = |code: &str, message: &str| {
            serde_json::json!({"code": {"code": code}, "message": message}).to_string()
        };
        let messages = [
            error("E0425", "cannot find value `a` in this scope"),
            error("E0308", "`b` is of another type"),
        ];
        let unknown = unknown_values(messages.join("\n").as_bytes());
        assert_eq!(Vec::from_iter(unknown), ["a"]);
    }
}
