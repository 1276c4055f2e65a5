//! Completion and inspection, as evcxr's rust-analyzer answers them.

use evcxr::CommandContext;

/// What may stand at a place of the code. Offsets are bytes of the code.
#[derive(Debug)]
pub struct Completions {
    /// The candidates.
    pub matches: Vec<String>,
    /// Where what they replace begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// What is known of a name.
#[derive(Debug)]
pub struct Inspection {
    /// As text.
    pub plain: String,
    /// As HTML.
    pub html: String,
}

/// Completes code at a byte.
pub fn complete(context: &mut CommandContext, code: &str, offset: usize) -> Option<Completions> {
    let found = context.completions(code, offset).ok()?;
    let mut matches: Vec<String> = found
        .completions
        .into_iter()
        .map(|found| found.code)
        .collect();
    matches.sort();
    matches.dedup();
    Some(Completions {
        matches,
        start: found.start_offset,
        end: found.end_offset,
    })
}

/// Explains the name at a byte.
pub fn inspect(context: &mut CommandContext, code: &str, offset: usize) -> Option<Inspection> {
    let end = end_of_name(code, offset);
    let (plain, html) = context.hover_at(code, end).ok()?;
    let known = plain != "No documentation found";
    known.then_some(Inspection { plain, html })
}

/// The end of the name in or behind which a byte lies.
fn end_of_name(code: &str, offset: usize) -> usize {
    let rest = code.get(offset..).unwrap_or_default();
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    offset + rest.find(|c: char| !in_name(c)).unwrap_or(rest.len())
}

/// The byte of an offset that the protocol gives in characters.
pub fn byte_offset(code: &str, characters: usize) -> usize {
    code.char_indices()
        .nth(characters)
        .map_or(code.len(), |(byte, _)| byte)
}

/// The offset in characters, which the protocol wants, of a byte.
pub fn character_offset(code: &str, byte: usize) -> usize {
    code.get(..byte).map_or(0, |before| before.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_characters_outside_and_bytes_inside() {
        assert_eq!(byte_offset("é𝔸b", 2), 6);
        assert_eq!(byte_offset("é𝔸b", 9), 7);
        assert_eq!(character_offset("é𝔸b", 6), 2);
    }

    #[test]
    fn the_whole_name_is_asked_for() {
        assert_eq!(end_of_name("String::new()", 2), 6);
        assert_eq!(end_of_name("x", 1), 1);
    }
}
