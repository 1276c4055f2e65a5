//! The frames between the kernel and the cell process, and how they lie on the socket.
//!
//! Plain data: no statics, no runtime. The kernel compiles this same file into itself (it must not
//! link this crate, whose statics belong to the cell process), so the two sides cannot drift apart.
//!
//! A frame is a big-endian `u32` length in bytes, then that many bytes of
//! [postcard](https://docs.rs/postcard).

use serde::{Deserialize, Serialize};

/// The number that the kernel gives to each execute_request, from 1 upwards.
pub type CellId = u64;

/// What could not be attributed to any cell. The kernel puts it under the running, else the last one.
pub const NO_CELL: CellId = 0;

/// The environment variable that names the socket on which the kernel waits for the cell process.
pub const SOCKET_VAR: &str = "MORCEAUX_SOCKET";

/// The longest frame that either side accepts, in bytes. Longer text is cut into several frames.
pub const MAX_FRAME_BYTES: usize = 64 << 20;

/// Which of the two standard streams some text was written to.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// One value in one or more representations: pairs of MIME type and content, richest last.
pub type Bundle = Vec<(String, String)>;

/// How a cell ended.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Finished,
    /// The stop button ended it at an await point.
    Interrupted,
    /// A `?` at its top level met an error or a `None`.
    Failed {
        /// The error's type, without its path.
        name: String,
        /// The error's own text.
        message: String,
        /// The same as `Debug` has it, plain and pretty.
        debug: [String; 2],
        /// The texts of its chain of sources, outermost first.
        sources: Vec<String>,
    },
    /// It panicked.
    Panicked {
        /// The panic's message.
        message: String,
        /// Where, if that is in a cell.
        line: Option<Line>,
        /// The calls that had not returned, innermost first.
        calls: Vec<Call>,
    },
}

/// A variable.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, as it can be written in any cell.
    pub type_name: String,
}

/// A line of what was compiled with a cell.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The cell. The code is another one's where that one defined it.
    pub cell: CellId,
    /// The line of the generated source, from 1.
    pub line: u32,
}

/// A call in code of cells that had not returned when the cell panicked.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The library of the cell with which the code was compiled.
    pub library: String,
    /// Where in it, in bytes from its beginning in memory.
    pub offset: u64,
}

/// What the cell process tells the kernel.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The main thread has entered the statements of a cell.
    Started {
        /// The cell.
        cell: CellId,
    },
    /// Something was written to a standard stream.
    Text {
        /// The cell whose code, or whose task, wrote it.
        cell: CellId,
        /// Where to.
        stream: Stream,
        /// For how much the writer wants room, see [`Order::Room`].
        charge: u64,
        /// What, as it was written: a character may be split between two frames.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// A value is shown, or replaces what was shown under the same name.
    Display {
        /// The cell that shows it.
        cell: CellId,
        /// What is shown.
        bundle: Bundle,
        /// The name under which it can be replaced.
        id: String,
        /// Whether it replaces what stands under this name.
        update: bool,
        /// As of [`Report::Text`].
        charge: u64,
    },
    /// The value of a cell's last expression.
    Result {
        /// The cell.
        cell: CellId,
        /// The value.
        bundle: Bundle,
    },
    /// What stands below a cell is taken away.
    Clear {
        /// The cell.
        cell: CellId,
        /// Whether it stays until something else is shown there.
        wait: bool,
    },
    /// The user is asked for a line.
    Ask {
        /// The cell that asks.
        cell: CellId,
        /// The question's number.
        question: u64,
        /// What the user is asked.
        prompt: String,
        /// Whether the answer is not to be seen.
        password: bool,
    },
    /// Nobody waits for the answer any more.
    Unask {
        /// The question's number.
        question: u64,
    },
    /// A task panicked.
    TaskPanicked {
        /// The cell that spawned it.
        cell: CellId,
        /// The panic's message.
        message: String,
        /// The place in a library, where it is not in a cell.
        place: Option<String>,
        /// Where, if that is in a cell.
        line: Option<Line>,
    },
    /// What [`Order::Forget`] named will not be used again.
    Forgotten {
        /// The cell that is about to be run.
        cell: CellId,
    },
    /// The main thread has left the cell; all that it wrote lies in earlier frames.
    Ended {
        /// The cell.
        cell: CellId,
        /// How.
        outcome: Outcome,
        /// The variables that it has handed over.
        variables: Vec<Variable>,
    },
}

/// Why the user cannot be asked.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsked {
    /// The front end of the cell does not ask: it runs notebooks without anybody to look at them.
    NobodyThere,
    /// No cell runs below which it could ask.
    NoCell,
    /// The stop button was pressed.
    Stopped,
}

/// What the kernel tells the cell process.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Stop this cell, if it runs or as soon as it starts.
    Interrupt {
        /// The cell. A stop that comes late must not hit the next one.
        cell: CellId,
    },
    /// Types are defined differently from now on. If variables hold some, do not run the next library
    /// that evcxr names: tell it that these are lost.
    Forget {
        /// The cell that is about to be run.
        cell: CellId,
        /// The variables.
        names: Vec<String>,
    },
    /// Output of so many bytes of those that were charged has been passed on, since the process
    /// began. Whoever waits for room may write more.
    Room {
        /// The bytes.
        bytes: u64,
    },
    /// The answer to [`Report::Ask`].
    Answer {
        /// The question's number.
        question: u64,
        /// What the user has typed, without the end of the line.
        answer: Result<String, NotAsked>,
    },
}

/// Puts a frame's length in front of its bytes.
///
/// # Errors
/// Fails where `frame` cannot be serialised, which no frame of this module can bring about.
pub fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(frame, vec![0; 4])?;
    let length =
        u32::try_from(bytes.len() - 4).map_err(|_| postcard::Error::SerializeBufferFull)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// Reads a frame from the bytes that follow its length.
///
/// # Errors
/// Fails where the bytes are not such a frame.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_socket() {
        let report = Report::Text {
            cell: 7,
            stream: Stream::Stderr,
            charge: 3,
            bytes: vec![0, 0xff, b'\n'],
        };
        let bytes = encode(&report).unwrap();
        assert_eq!(bytes[..4], u32::to_be_bytes(bytes.len() as u32 - 4));
        assert_eq!(decode::<Report>(&bytes[4..]).unwrap(), report);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = encode(&Report::Started { cell: 300 }).unwrap();
        assert!(decode::<Report>(&bytes[4..bytes.len() - 1]).is_err());
        assert!(decode::<Report>(&[0xff, 0xff]).is_err());
    }
}
