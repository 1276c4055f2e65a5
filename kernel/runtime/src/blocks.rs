//! The blocks in which many crates print a value for evcxr: `EVCXR_BEGIN_CONTENT <mime type>` …
//! `EVCXR_END_CONTENT`
//! (<https://github.com/evcxr/evcxr/blob/main/evcxr_jupyter/README.md#custom-output>). Blocks that
//! follow each other with different types are representations of one value.
//!
//! Pure. The kernel compiles this same file into itself, for what is printed anywhere; here it takes
//! apart what a value prints to show itself.

use crate::wire::Bundle;

const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";

/// What printed text consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text outside of blocks.
    Text(String),
    /// A value.
    Value(Bundle),
}

/// Text on its way, of which the last part may be the beginning of a block.
#[derive(Debug, Default)]
pub struct Blocks {
    held: String,
    /// The MIME type of the block that has begun.
    block: Option<String>,
    /// Representations of a value whose last block may still come.
    bundle: Bundle,
}

impl Blocks {
    /// Takes text; hands over what is known of it.
    pub fn write(&mut self, text: &str, parts: &mut Vec<Part>) {
        self.held.push_str(text);
        while self.step(parts) {}
    }

    /// Hands over text that need not wait: what begins like a block must not wait for its end to be
    /// seen, unless it begins with the whole word.
    pub fn release(&mut self, parts: &mut Vec<Part>) {
        if self.block.is_none() && !self.held.starts_with(BEGIN) {
            let held = std::mem::take(&mut self.held);
            self.push_text(held, parts);
        }
    }

    /// Hands over the value whose blocks have come: no other representation of it will.
    pub fn close(&mut self, parts: &mut Vec<Part>) {
        if !self.bundle.is_empty() {
            parts.push(Part::Value(std::mem::take(&mut self.bundle)));
        }
    }

    /// Hands over everything, an unfinished block as text.
    pub fn finish(&mut self, parts: &mut Vec<Part>) {
        if let Some(mime_type) = self.block.take() {
            self.push_text(format!("{BEGIN}{mime_type}\n"), parts);
        }
        let held = std::mem::take(&mut self.held);
        self.push_text(held, parts);
        self.close(parts);
    }

    /// Takes one thing out of the held text; returns whether there may be more.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        if let Some(mime_type) = &self.block {
            let Some((content, rest)) = end_of_block(&self.held) else {
                return false;
            };
            let representation = (mime_type.clone(), content.to_owned());
            let rest = rest.to_owned();
            let is_known = |(known, _): &(String, String)| *known == representation.0;
            if self.bundle.iter().any(is_known) {
                self.close(parts);
            }
            self.bundle.push(representation);
            self.block = None;
            self.held = rest;
            return true;
        }
        let Some(start) = self.held.find(BEGIN) else {
            let keep = longest_beginning(&self.held, BEGIN);
            let kept = self.held.split_off(self.held.len() - keep);
            let text = std::mem::replace(&mut self.held, kept);
            self.push_text(text, parts);
            return false;
        };
        let text: String = self.held.drain(..start).collect();
        self.push_text(text, parts);
        let Some((line, rest)) = self.held.split_once('\n') else {
            return false;
        };
        self.block = Some(line[BEGIN.len()..].trim().to_owned());
        self.held = rest.to_owned();
        true
    }

    fn push_text(&mut self, text: String, parts: &mut Vec<Part>) {
        if !text.is_empty() {
            self.close(parts);
            parts.push(Part::Text(text));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        let mut blocks = Blocks::default();
        let mut parts = Vec::new();
        // In every way in which it can be cut into two.
        for middle in (0..=text.len()).filter(|middle| text.is_char_boundary(*middle)) {
            let mut again = Vec::new();
            blocks.write(&text[..middle], &mut again);
            blocks.write(&text[middle..], &mut again);
            blocks.finish(&mut again);
            let again = joined(again);
            assert!(parts.is_empty() || parts == again, "{again:?}");
            parts = again;
        }
        parts
    }

    fn joined(parts: Vec<Part>) -> Vec<Part> {
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
                (_, part) => joined.push(part),
            }
        }
        joined
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn value(representations: &[(&str, &str)]) -> Part {
        let owned =
            |(mime_type, content): &(&str, &str)| ((*mime_type).to_owned(), (*content).to_owned());
        Part::Value(representations.iter().map(owned).collect())
    }

    const HTML: &str = "EVCXR_BEGIN_CONTENT text/html\n<b>\nhi</b>\nEVCXR_END_CONTENT\n";
    const PLAIN: &str = "EVCXR_BEGIN_CONTENT text/plain\nhi\nEVCXR_END_CONTENT\n";

    #[test]
    fn a_block_is_a_value_between_texts() {
        assert_eq!(
            parts(&format!("a\n{HTML}b")),
            [
                text("a\n"),
                value(&[("text/html", "<b>\nhi</b>")]),
                text("b")
            ]
        );
    }

    #[test]
    fn blocks_of_different_types_are_one_value_and_of_the_same_several() {
        let html = ("text/html", "<b>\nhi</b>");
        assert_eq!(
            parts(&format!("{HTML}{PLAIN}{HTML}")),
            [value(&[html, ("text/plain", "hi")]), value(&[html])]
        );
    }

    #[test]
    fn what_is_no_whole_block_is_text() {
        for other in [
            "EVCXR_BEGIN_CONTENT text/html\nhi\n",
            "EVCXR_END_CONTENT\n",
            "EVCXR_BEGIN_C",
        ] {
            assert_eq!(parts(other), [text(other)]);
        }
    }
}
