//! From what the cell process wrote for a cell to what is shown below it. Pure: bytes in, whole
//! characters and displays out, in the order in which they came.
//!
//! Many crates show values by printing blocks `EVCXR_BEGIN_CONTENT <mime type>` … `EVCXR_END_CONTENT`
//! (<https://github.com/evcxr/evcxr/blob/main/evcxr_jupyter/README.md#custom-output>). Blocks that
//! follow each other with different types are representations of one value.

use crate::wire::{Bundle, Stream};

const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";

/// With more pieces than this waiting, the two streams are only kept in order each by itself.
const MAX_PIECES: usize = 16;

/// Something to be shown below a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Text on a standard stream.
    Text {
        /// Which.
        stream: Stream,
        /// Whole characters.
        text: String,
    },
    /// A value, or its replacement.
    Display {
        /// The value.
        bundle: Bundle,
        /// The name under which it can be replaced, if it can.
        id: Option<String>,
        /// Whether it replaces what stands under this name.
        update: bool,
    },
    /// The value of the cell's last expression.
    Result {
        /// The value.
        bundle: Bundle,
    },
}

/// What one cell has written and what of it waits to be shown.
#[derive(Debug, Default)]
pub struct CellOutput {
    stdout: Utf8,
    stderr: Utf8,
    /// Text of standard output that may be part of a block.
    held: String,
    /// The MIME type of the block that has begun.
    block: Option<String>,
    /// Representations of a value whose last block may still come.
    bundle: Bundle,
    /// Whether blocks are the cell's result.
    is_result: bool,
    pieces: Vec<Output>,
    bytes_waiting: usize,
}

impl CellOutput {
    /// Takes bytes that were written to a stream.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.bytes_waiting += bytes.len();
        match stream {
            Stream::Stdout => {
                let text = self.stdout.decode(bytes);
                self.held.push_str(&text);
                while self.step() {}
            }
            Stream::Stderr => {
                let text = self.stderr.decode(bytes);
                self.push_text(Stream::Stderr, text);
            }
        }
    }

    /// Takes a value that is shown.
    pub fn show(&mut self, output: Output) {
        self.close_bundle();
        self.pieces.push(output);
    }

    /// The value of the last expression begins, or has ended, to show itself by printing.
    pub fn set_result(&mut self, is_result: bool) {
        self.close_bundle();
        self.is_result = is_result;
    }

    /// How many bytes have come since the last [`take`](CellOutput::take).
    pub fn bytes_waiting(&self) -> usize {
        self.bytes_waiting
    }

    /// What can be shown now. At the cell's end that is everything, an unfinished block as text.
    pub fn take(&mut self, at_end: bool) -> Vec<Output> {
        if at_end {
            if let Some(mime_type) = self.block.take() {
                let text = format!("{BEGIN}{mime_type}\n");
                self.push_text(Stream::Stdout, text);
            }
            let rest = std::mem::take(&mut self.held) + &self.stdout.rest();
            self.push_text(Stream::Stdout, rest);
            let rest = self.stderr.rest();
            self.push_text(Stream::Stderr, rest);
        } else if self.block.is_none() && !self.held.starts_with(BEGIN) {
            // A line that begins like a block must not wait for its end to be seen.
            let held = std::mem::take(&mut self.held);
            self.push_text(Stream::Stdout, held);
        }
        if at_end || !self.is_result {
            // A value may show itself in several representations, which are one result.
            self.close_bundle();
        }
        self.bytes_waiting = 0;
        std::mem::take(&mut self.pieces)
    }

    /// Takes one thing out of the held text; returns whether there may be more.
    fn step(&mut self) -> bool {
        if let Some(mime_type) = &self.block {
            let Some((content, rest)) = end_of_block(&self.held) else {
                return false;
            };
            let representation = (mime_type.clone(), content.to_owned());
            let rest = rest.to_owned();
            if self
                .bundle
                .iter()
                .any(|(known, _)| *known == representation.0)
            {
                self.close_bundle();
            }
            self.bundle.push(representation);
            self.block = None;
            self.held = rest;
            return true;
        }
        let Some(start) = self.held.find(BEGIN) else {
            let keep = longest_beginning(&self.held, BEGIN);
            let text: String = self.held.drain(..self.held.len() - keep).collect();
            self.push_text(Stream::Stdout, text);
            return false;
        };
        let text: String = self.held.drain(..start).collect();
        self.push_text(Stream::Stdout, text);
        let Some((line, rest)) = self.held.split_once('\n') else {
            return false;
        };
        self.block = Some(line[BEGIN.len()..].trim().to_owned());
        self.held = rest.to_owned();
        true
    }

    fn push_text(&mut self, stream: Stream, text: String) {
        if text.is_empty() {
            return;
        }
        self.close_bundle();
        let crowded = self.pieces.len() >= MAX_PIECES;
        let candidates = if crowded { self.pieces.len() } else { 1 };
        let same_stream =
            self.pieces
                .iter_mut()
                .rev()
                .take(candidates)
                .find_map(|piece| match piece {
                    Output::Text {
                        stream: of_piece,
                        text,
                    } if *of_piece == stream => Some(text),
                    _ => None,
                });
        match same_stream {
            Some(last) => last.push_str(&text),
            None => self.pieces.push(Output::Text { stream, text }),
        }
    }

    fn close_bundle(&mut self) {
        if self.bundle.is_empty() {
            return;
        }
        let bundle = std::mem::take(&mut self.bundle);
        self.pieces.push(if self.is_result {
            Output::Result { bundle }
        } else {
            Output::Display {
                bundle,
                id: None,
                update: false,
            }
        });
    }
}

/// Splits off a block's content at the line that ends it.
fn end_of_block(held: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    for line in held.split_inclusive('\n') {
        if line.strip_suffix('\n')? == END {
            let content = &held[..start];
            return Some((
                content.strip_suffix('\n').unwrap_or(content),
                &held[start + line.len()..],
            ));
        }
        start += line.len();
    }
    None
}

/// The length of the longest end of `text` with which `word` begins.
fn longest_beginning(text: &str, word: &str) -> usize {
    (1..word.len().min(text.len() + 1))
        .rev()
        .find(|length| text.ends_with(&word[..*length]))
        .unwrap_or(0)
}

/// Bytes to characters, where a character may be split between two writes.
#[derive(Debug, Default)]
struct Utf8 {
    /// The beginning of a character.
    carry: Vec<u8>,
}

impl Utf8 {
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.carry.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.carry);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(length) = error.error_len() else {
                        self.carry = invalid.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &invalid[length..];
                }
            }
        }
    }

    /// What is left when no more bytes come.
    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.carry)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stdout(text: &str) -> Output {
        let text = text.to_owned();
        Output::Text {
            stream: Stream::Stdout,
            text,
        }
    }

    fn display(representations: &[(&str, &str)]) -> Output {
        Output::Display {
            bundle: bundle(representations),
            id: None,
            update: false,
        }
    }

    fn bundle(representations: &[(&str, &str)]) -> Bundle {
        let owned =
            |(mime_type, content): &(&str, &str)| ((*mime_type).to_owned(), (*content).to_owned());
        representations.iter().map(owned).collect()
    }

    fn written(parts: &[&str]) -> Vec<Output> {
        let mut cell = CellOutput::default();
        parts
            .iter()
            .for_each(|part| cell.write(Stream::Stdout, part.as_bytes()));
        cell.take(true)
    }

    const PLOT: &str = "EVCXR_BEGIN_CONTENT text/html\n<b>\nhi</b>\nEVCXR_END_CONTENT\n";

    #[test]
    fn a_partial_line_does_not_wait() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, b"50 %");
        assert_eq!(cell.take(false), [stdout("50 %")]);
    }

    #[test]
    fn a_split_character_waits_for_its_end_and_an_invalid_one_is_replaced() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, &"é€".as_bytes()[..3]);
        assert_eq!(cell.take(false), [stdout("é")]);
        cell.write(Stream::Stdout, &"é€".as_bytes()[3..]);
        cell.write(Stream::Stdout, b"\xff!");
        assert_eq!(cell.take(false), [stdout("€\u{fffd}!")]);
        cell.write(Stream::Stdout, b"\xe2");
        assert_eq!(cell.take(true), [stdout("\u{fffd}")]);
    }

    #[test]
    fn a_block_is_shown_where_it_stands() {
        let expected = [
            stdout("a"),
            display(&[("text/html", "<b>\nhi</b>")]),
            stdout("b"),
        ];
        assert_eq!(written(&[&format!("a{PLOT}b")]), expected);
        for split in 0..PLOT.len() {
            let (left, right) = PLOT.split_at(split);
            assert_eq!(
                written(&["a", left, right, "b"]),
                expected,
                "split at {split}"
            );
        }
    }

    #[test]
    fn representations_of_one_value_are_one_display() {
        let plain = "EVCXR_BEGIN_CONTENT text/plain\nhi\nEVCXR_END_CONTENT\n";
        let both = [("text/html", "<b>\nhi</b>"), ("text/plain", "hi")];
        assert_eq!(written(&[PLOT, plain]), [display(&both)]);
        assert_eq!(written(&[plain, plain]).len(), 2);
    }

    #[test]
    fn a_block_without_end_is_text() {
        assert_eq!(
            written(&["EVCXR_BEGIN_CONTENT text/html\nhi\n"]),
            [stdout("EVCXR_BEGIN_CONTENT text/html\nhi\n")]
        );
        assert_eq!(
            written(&["EVCXR_END_CONTENT\n"]),
            [stdout("EVCXR_END_CONTENT\n")]
        );
    }

    #[test]
    fn the_last_expression_may_show_itself() {
        let mut cell = CellOutput::default();
        cell.set_result(true);
        cell.write(Stream::Stdout, PLOT.as_bytes());
        cell.set_result(false);
        cell.write(Stream::Stdout, PLOT.as_bytes());
        let outputs = cell.take(false);
        let bundle = bundle(&[("text/html", "<b>\nhi</b>")]);
        assert_eq!(
            outputs,
            [
                Output::Result { bundle },
                display(&[("text/html", "<b>\nhi</b>")])
            ]
        );
    }

    #[test]
    fn the_streams_keep_their_order_until_there_is_too_much() {
        let mut cell = CellOutput::default();
        for _ in 0..100 {
            cell.write(Stream::Stdout, b"o");
            cell.write(Stream::Stderr, b"e");
        }
        let outputs = cell.take(false);
        assert_eq!(outputs.len(), MAX_PIECES);
        assert_eq!(outputs[0], stdout("o"));
        let text: String = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Text {
                    stream: Stream::Stderr,
                    text,
                } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(text, "e".repeat(100));
    }
}
