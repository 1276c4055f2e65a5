//! From what the cell process wrote for a cell to what is shown below it. Pure: bytes in, whole
//! characters and displays out, in the order in which they came.
//!
//! It holds what a front end has no room for yet. Of text that nobody waits with, only so much: the
//! rest is left out, and the place says how much it was.

use std::collections::VecDeque;

use crate::blocks::{Blocks, Part};
use crate::wire::{Bundle, Stream};

/// With more pieces than this waiting, the two streams are only kept in order each by itself.
const MAX_PIECES: usize = 16;

/// What a value counts for beyond its size: front ends count messages, too.
const OF_VALUE: usize = 4 << 10;

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
    /// What stands there is taken away.
    Clear {
        /// Whether only when something else is shown.
        wait: bool,
    },
}

impl Output {
    /// How many bytes it counts for.
    pub fn bytes(&self) -> usize {
        match self {
            Output::Text { text, .. } => text.len(),
            Output::Display { bundle, .. } | Output::Result { bundle } => {
                let contents = bundle.iter().map(|(_, content)| content.len());
                contents.sum::<usize>() + OF_VALUE
            }
            Output::Clear { .. } => OF_VALUE,
        }
    }
}

/// What one cell has written and what of it waits to be shown.
#[derive(Debug, Default)]
pub struct CellOutput {
    stdout: Utf8,
    stderr: Utf8,
    blocks: Blocks,
    pieces: VecDeque<Output>,
    bytes_waiting: usize,
    left_out: LeftOut,
}

/// What was left out.
#[derive(Debug, Default)]
struct LeftOut {
    lines: usize,
    values: usize,
    bytes: usize,
}

impl CellOutput {
    /// Takes bytes that were written to a stream.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.say_what_is_left_out();
        match stream {
            Stream::Stdout => {
                let text = self.stdout.decode(bytes);
                self.with_blocks(|blocks, parts| blocks.write(&text, parts));
            }
            Stream::Stderr => {
                let text = self.stderr.decode(bytes);
                self.push_stderr(text);
            }
        }
    }

    /// Takes a value that is shown. Of several updates that wait, only the last is of interest.
    pub fn show(&mut self, output: Output) {
        self.say_what_is_left_out();
        self.with_blocks(Blocks::close);
        if let Output::Display {
            id, update: true, ..
        } = &output
        {
            let is_older = |piece: &Output| matches!(piece, Output::Display { id: known, update: true, .. } if known == id);
            if let Some(index) = self.pieces.iter().position(is_older) {
                self.remove(index);
            }
        }
        self.push(output);
    }

    /// Takes back what waits, and has what stands there taken away.
    pub fn clear(&mut self, wait: bool) {
        self.with_blocks(Blocks::finish);
        self.pieces
            .retain(|piece| matches!(piece, Output::Result { .. }));
        self.left_out = LeftOut::default();
        self.bytes_waiting = self.pieces.iter().map(Output::bytes).sum();
        self.push(Output::Clear { wait });
    }

    /// Leaves out bytes that were written.
    pub fn leave_out(&mut self, bytes: &[u8]) {
        self.left_out.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        self.left_out.bytes += bytes.len();
    }

    /// Leaves out a value that is shown.
    pub fn leave_out_value(&mut self, bundle: &Bundle) {
        self.left_out.values += 1;
        self.left_out.bytes += bundle
            .iter()
            .map(|(_, content)| content.len())
            .sum::<usize>();
    }

    /// Leaves out all text that waits.
    pub fn leave_out_waiting(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        self.bytes_waiting = 0;
        for piece in pieces {
            match piece {
                Output::Text { text, .. } => self.leave_out(text.as_bytes()),
                other => self.push(other),
            }
        }
    }

    /// How many bytes wait to be shown.
    pub fn bytes_waiting(&self) -> usize {
        self.bytes_waiting
    }

    /// Whether nothing waits to be shown.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.left_out.bytes == 0
    }

    /// Makes ready to be shown what may have been the beginning of something else. At the cell's end
    /// that is everything, an unfinished block as text.
    pub fn settle(&mut self, at_end: bool) {
        if at_end {
            let rest = self.stdout.rest();
            self.with_blocks(|blocks, parts| {
                blocks.write(&rest, parts);
                blocks.finish(parts);
            });
            let rest = self.stderr.rest();
            self.push_stderr(rest);
        } else {
            self.with_blocks(|blocks, parts| {
                blocks.release(parts);
                blocks.close(parts);
            });
        }
    }

    /// Takes the next thing to be shown; of text, no more than so many bytes.
    pub fn next(&mut self, most: usize) -> Option<Output> {
        let Some(front) = self.pieces.front_mut() else {
            self.say_what_is_left_out();
            return self.take_front();
        };
        if let Output::Text { stream, text } = front
            && text.len() > most
        {
            // Copied: split off, each message would keep the memory of all that waited.
            let end = text.floor_char_boundary(most.max(4));
            let head = text[..end].to_owned();
            text.drain(..end);
            self.bytes_waiting -= head.len();
            let stream = *stream;
            return Some(Output::Text { stream, text: head });
        }
        self.take_front()
    }

    fn take_front(&mut self) -> Option<Output> {
        let front = self.pieces.pop_front()?;
        self.bytes_waiting -= front.bytes();
        Some(front)
    }

    fn say_what_is_left_out(&mut self) {
        if self.left_out.bytes > 0 {
            let note = std::mem::take(&mut self.left_out).note();
            self.push_text(Stream::Stderr, note);
        }
    }

    fn push(&mut self, piece: Output) {
        self.bytes_waiting += piece.bytes();
        self.pieces.push_back(piece);
    }

    fn remove(&mut self, index: usize) {
        if let Some(piece) = self.pieces.remove(index) {
            self.bytes_waiting -= piece.bytes();
        }
    }

    fn with_blocks(&mut self, change: impl FnOnce(&mut Blocks, &mut Vec<Part>)) {
        let mut parts = Vec::new();
        change(&mut self.blocks, &mut parts);
        for part in parts {
            match part {
                Part::Text(text) => self.push_text(Stream::Stdout, text),
                Part::Value(bundle) => {
                    let (id, update) = (None, false);
                    self.push(Output::Display { bundle, id, update });
                }
            }
        }
    }

    fn push_stderr(&mut self, text: String) {
        if !text.is_empty() {
            self.with_blocks(Blocks::close);
            self.push_text(Stream::Stderr, text);
        }
    }

    fn push_text(&mut self, stream: Stream, text: String) {
        self.bytes_waiting += text.len();
        let crowded = self.pieces.len() >= MAX_PIECES;
        let candidates = if crowded { self.pieces.len() } else { 1 };
        let mut newest = self.pieces.iter_mut().rev().take(candidates);
        // Not beyond a value: what stands in front of it stays there.
        let same_stream = newest
            .by_ref()
            .take_while(|piece| matches!(piece, Output::Text { .. }))
            .find_map(|piece| match piece {
                Output::Text { stream: of, text } if *of == stream => Some(text),
                _ => None,
            });
        match same_stream {
            Some(last) => last.push_str(&text),
            None => self.pieces.push_back(Output::Text { stream, text }),
        }
    }
}

impl LeftOut {
    /// Says so, in a line of its own.
    fn note(&self) -> String {
        let mut what = Vec::new();
        for (number, name) in [(self.lines, "line"), (self.values, "value")] {
            let plural = if number == 1 { "" } else { "s" };
            if number > 0 {
                what.push(format!("{number} {name}{plural}"));
            }
        }
        if what.is_empty() {
            what.push("text".to_owned());
        }
        format!(
            "\n… {} left out ({} bytes): the front end could not follow; see `:output` …\n",
            what.join(" and "),
            self.bytes
        )
    }
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

    fn take(cell: &mut CellOutput, at_end: bool) -> Vec<Output> {
        cell.settle(at_end);
        std::iter::from_fn(|| cell.next(usize::MAX)).collect()
    }

    fn written(parts: &[&str]) -> Vec<Output> {
        let mut cell = CellOutput::default();
        parts
            .iter()
            .for_each(|part| cell.write(Stream::Stdout, part.as_bytes()));
        take(&mut cell, true)
    }

    const PLOT: &str = "EVCXR_BEGIN_CONTENT text/html\n<b>\nhi</b>\nEVCXR_END_CONTENT\n";

    #[test]
    fn a_partial_line_does_not_wait() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, b"50 %");
        assert_eq!(take(&mut cell, false), [stdout("50 %")]);
    }

    #[test]
    fn a_split_character_waits_for_its_end_and_an_invalid_one_is_replaced() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, &"é€".as_bytes()[..3]);
        assert_eq!(take(&mut cell, false), [stdout("é")]);
        cell.write(Stream::Stdout, &"é€".as_bytes()[3..]);
        cell.write(Stream::Stdout, b"\xff!");
        assert_eq!(take(&mut cell, false), [stdout("€\u{fffd}!")]);
        cell.write(Stream::Stdout, b"\xe2");
        assert_eq!(take(&mut cell, true), [stdout("\u{fffd}")]);
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
    fn long_text_is_taken_in_parts_of_whole_characters() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, "é".repeat(5).as_bytes());
        assert_eq!(cell.next(5), Some(stdout("éé")));
        assert_eq!(cell.bytes_waiting(), 6);
        assert_eq!(cell.next(6), Some(stdout("ééé")));
        assert_eq!((cell.next(6), cell.bytes_waiting()), (None, 0));
    }

    #[test]
    fn what_is_left_out_is_said_where_it_was() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, b"a\n");
        cell.leave_out(b"b\nc\n");
        cell.leave_out_value(&bundle(&[("text/plain", "12")]));
        cell.write(Stream::Stdout, b"d\n");
        let outputs = take(&mut cell, false);
        let [first, Output::Text { text, .. }, last] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!((first, last), (&stdout("a\n"), &stdout("d\n")));
        assert!(
            text.contains("2 lines and 1 value left out (6 bytes)"),
            "{text}"
        );
        // Also where nothing follows.
        cell.leave_out(b"e\n");
        assert!(!cell.is_empty());
        assert_eq!(take(&mut cell, false).len(), 1);
        assert!(cell.is_empty());
    }

    #[test]
    fn of_the_updates_that_wait_only_the_last_is_shown() {
        let named = |id: &str, text: &str, update| Output::Display {
            bundle: bundle(&[("text/plain", text)]),
            id: Some(id.to_owned()),
            update,
        };
        let mut cell = CellOutput::default();
        for output in [
            named("a", "0", false),
            named("a", "1", true),
            named("b", "1", true),
            named("a", "2", true),
        ] {
            cell.show(output);
        }
        let expected = [
            named("a", "0", false),
            named("b", "1", true),
            named("a", "2", true),
        ];
        assert_eq!(take(&mut cell, false), expected);
    }

    #[test]
    fn what_was_printed_before_a_clear_is_not_shown() {
        let mut cell = CellOutput::default();
        cell.write(Stream::Stdout, b"old\n");
        cell.clear(true);
        cell.write(Stream::Stdout, b"new\n");
        let expected = [Output::Clear { wait: true }, stdout("new\n")];
        assert_eq!(take(&mut cell, false), expected);
        assert_eq!(cell.bytes_waiting(), 0);
    }

    #[test]
    fn the_streams_keep_their_order_until_there_is_too_much() {
        let mut cell = CellOutput::default();
        for _ in 0..100 {
            cell.write(Stream::Stdout, b"o");
            cell.write(Stream::Stderr, b"e");
        }
        let outputs = take(&mut cell, false);
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
