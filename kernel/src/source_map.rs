//! What the rewriting of a cell changed, and the way back from its columns to the user's. Pure.

use std::ops::Range;

/// One change: `removed` bytes at `offset` of the user's code give way to `inserted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where, in bytes of the user's code.
    pub offset: usize,
    /// How many bytes of the user's code are left out.
    pub removed: usize,
    /// What stands there instead; never a line break.
    pub inserted: String,
}

impl Edit {
    /// Puts text in front of a byte.
    pub fn insert(offset: usize, inserted: String) -> Edit {
        Edit {
            offset,
            removed: 0,
            inserted,
        }
    }

    /// Leaves out a part of a line.
    pub fn remove(range: Range<usize>) -> Edit {
        Edit {
            offset: range.start,
            removed: range.len(),
            inserted: String::new(),
        }
    }
}

/// The user's code, the rewritten code, and how they correspond. Both have the same lines.
#[derive(Debug, Clone)]
pub struct SourceMap {
    original: String,
    rewritten: String,
    /// Ordered by offset; at the same offset, in the order in which they were inserted.
    edits: Vec<Edit>,
}

impl SourceMap {
    /// Applies edits, which need not be ordered. Edits at the same offset keep their order.
    pub fn new(original: &str, mut edits: Vec<Edit>) -> SourceMap {
        edits.sort_by_key(|edit| edit.offset);
        let mut rewritten = String::with_capacity(original.len() + 64 * edits.len());
        let mut copied = 0;
        for edit in &edits {
            rewritten.push_str(&original[copied..edit.offset]);
            rewritten.push_str(&edit.inserted);
            copied = edit.offset + edit.removed;
        }
        rewritten.push_str(&original[copied..]);
        SourceMap {
            original: original.to_owned(),
            rewritten,
            edits,
        }
    }

    /// The code as the user wrote it.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The code as evcxr gets it.
    pub fn rewritten(&self) -> &str {
        &self.rewritten
    }

    /// The byte of the user's code that stands at a line and column (both from 1, the column in
    /// characters) of the rewritten code. What was inserted belongs to where it was inserted.
    pub fn original_offset(&self, line: usize, column: usize) -> usize {
        let target = byte_offset(&self.rewritten, line, column);
        let (mut in_original, mut in_rewritten) = (0, 0);
        for edit in &self.edits {
            let unchanged = edit.offset - in_original;
            if target <= in_rewritten + unchanged {
                break;
            }
            in_rewritten += unchanged + edit.inserted.len();
            in_original = edit.offset + edit.removed;
            if target < in_rewritten {
                return edit.offset;
            }
        }
        (in_original + target.saturating_sub(in_rewritten)).min(self.original.len())
    }
}

/// The byte at a line and column, both from 1; the end of the line where it is shorter.
fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            let content = content.trim_end_matches('\n');
            let within = content.char_indices().nth(column.saturating_sub(1));
            return start + within.map_or(content.len(), |(offset, _)| offset);
        }
        start += content.len();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(offset: usize, removed: usize, inserted: &str) -> Edit {
        let inserted = inserted.to_owned();
        Edit {
            offset,
            removed,
            inserted,
        }
    }

    #[test]
    fn edits_at_one_place_keep_their_order() {
        let map = SourceMap::new(
            "f()?",
            vec![edit(3, 1, ")"), edit(0, 0, "a("), edit(0, 0, "b(")],
        );
        assert_eq!(map.rewritten(), "a(b(f())");
    }

    #[test]
    fn columns_lead_back_to_the_users_code() {
        let map = SourceMap::new(
            "é = x;\ny",
            vec![edit(5, 0, "wrap("), edit(6, 0, ")"), edit(8, 0, "(")],
        );
        assert_eq!(map.rewritten(), "é = wrap(x);\n(y");
        assert_eq!(map.original_offset(1, 1), 0, "é");
        assert_eq!(
            map.original_offset(1, 6),
            5,
            "inside what was inserted before x"
        );
        assert_eq!(map.original_offset(1, 10), 5, "x");
        assert_eq!(map.original_offset(1, 11), 6, "behind x");
        assert_eq!(map.original_offset(1, 12), 6, "the semicolon");
        assert_eq!(map.original_offset(2, 2), 8, "y");
        assert_eq!(map.original_offset(9, 9), 9, "beyond the end");
    }
}
