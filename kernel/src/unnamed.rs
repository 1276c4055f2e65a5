//! Types that the runtime does not know how to write, in what rustc says of a cell: it is told of them, in the
//! cell itself. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Token, Type};

use crate::hand_over::{errors, length_of_group, place, quoted};
use crate::keep::BEHIND;
use crate::type_name;

/// What the errors speak of where the runtime does not know how a type is written: its trait.
pub const NAMED: &str = "Named";

/// A cell's source in which the runtime is told of more types, where `messages` (rustc's, as JSON, one in a
/// line, with full paths) say nothing else against it. None where it knows them already, too.
pub fn with_more_types(source: &str, messages: &[u8]) -> Option<String> {
    let group = told(source)?;
    let known = Punctuated::<Type, Token![,]>::parse_terminated;
    let known = known.parse_str(&source[group.clone()]).ok()?;
    let mut types: BTreeSet<String> = known.iter().map(type_name::text).collect();
    let known = types.clone();
    for (spans, error) in errors(messages) {
        let code = error["code"]["code"].as_str().unwrap_or_default();
        let message = error["message"].as_str()?;
        place(&spans, code, message).filter(|_| code == "E0277" && message.contains(NAMED))?;
        // Of a tuple, it has to know all parts by itself.
        let type_name = candidates(&error).find(|name| !known.contains(name))?;
        types.insert(type_name);
    }
    if types == known {
        return None;
    }
    let types = Vec::from_iter(types).join(", ");
    let [before, behind] = [&source[..group.start], &source[group.end..]];
    Some([before, &types, behind].concat())
}

/// Whether the cell cannot use one of the types of which the runtime is told.
pub fn are_types_refused(messages: &[u8]) -> bool {
    errors(messages)
        .flat_map(|(spans, _)| spans)
        .any(|span| span.is_in_types())
}

/// Where in a cell's source the types of other crates stand of which the runtime is told.
fn told(source: &str) -> Option<Range<usize>> {
    // evcxr puts each statement into lines of its own.
    let types = BEHIND.trim_start();
    let open = source.find(types)? + types.len();
    let end = open + length_of_group(&source[open..]);
    // Those of the notebook stand in brackets.
    let mut depth = 0;
    let own = source[open..end].find(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ';' && depth == 0
    });
    Some(open + own? + "; ".len()..end)
}

/// The types of which the runtime could be told because of an error, the innermost first, as far as they can be
/// written anywhere.
fn candidates(error: &Value) -> impl Iterator<Item = String> {
    let innermost = error["message"].as_str().and_then(quoted);
    let innermost = innermost.and_then(|bound| Some(bound.rsplit_once(": ")?.0));
    let notes = error["children"].as_array().into_iter().flatten();
    let outer = notes.filter_map(|note| {
        let note = note["message"].as_str()?.strip_prefix("required for ")?;
        quoted(note).filter(|_| note.contains(NAMED))
    });
    innermost.into_iter().chain(outer).map_while(|name| {
        let name = type_name::writable(name).filter(type_name::is_complete)?;
        let name = type_name::text(&name);
        let borrows = name.replace("'static", "").contains('\'');
        (!borrows).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "f(); morceaux::types!((Of [T K] where ) (S); ";
    const BEHIND: &str = "); morceaux::keep!(a, a);";

    fn source(types: &str) -> String {
        [BEFORE, types, BEHIND].concat()
    }

    /// An error that points to a word.
    fn error(code: &str, word: &str, message: &str, notes: &[&str]) -> String {
        let source = source("");
        let column = source.rfind(word).unwrap() + 1;
        let text = serde_json::json!([{"text": source, "highlight_start": column}]);
        let notes = notes
            .iter()
            .map(|note| serde_json::json!({"message": note}));
        serde_json::json!({
            "level": "error",
            "code": {"code": code},
            "message": message,
            "spans": [{"text": text, "is_primary": true}],
            "children": notes.collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// The types of which the runtime is told because of some errors, where it knows others.
    fn told(known: &str, errors: &[String]) -> Option<String> {
        let summary = serde_json::json!({"level": "error", "code": null, "spans": []});
        let messages = [errors, &[summary.to_string()]].concat().join("\n");
        let told = with_more_types(&source(known), messages.as_bytes())?;
        let types = told.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?;
        Some(types.to_owned())
    }

    #[test]
    fn the_innermost_type_is_told_that_is_not_yet() {
        let notes = [
            "required for `(x::Y, [u8; 3])` to implement `Named`",
            "required for `Box<(x::Y, [u8; 3])>` to implement `Named<_>`",
        ];
        let message = "the trait bound `x::Y: Named<_>` is not satisfied";
        let errors = [error("E0277", "a, a", message, &notes)];
        assert_eq!(told("", &errors).unwrap(), "x::Y");
        assert_eq!(told("a::B", &errors).unwrap(), "a::B, x::Y");
        assert_eq!(told("x::Y", &errors).unwrap(), "(x::Y, [u8; 3]), x::Y");
        let all = "Box<(x::Y, [u8; 3])>, (x::Y, [u8; 3]), x::Y";
        assert_eq!(told(all, &errors), None);
    }

    #[test]
    fn what_else_is_wrong_is_left_to_others() {
        let unnamed = |name: &str| {
            let message = format!("the trait bound `{name}: Named<_>` is not satisfied");
            error("E0277", "a, a", &message, &[])
        };
        assert_eq!(told("", &[unnamed("A"), unnamed("B")]).unwrap(), "A, B");
        assert_eq!(
            told("", &[unnamed("A"), error("E0382", "a)", "", &[])]),
            None
        );
        assert_eq!(
            told("", &[unnamed("A"), error("E0277", "f()", "", &[])]),
            None
        );
        for name in ["{closure@a.rs:1:2}", "A<'_>", "Vec<_>"] {
            assert_eq!(told("", &[unnamed(name)]), None, "{name}");
        }
        assert_eq!(told("", &[]), None);
    }

    #[test]
    fn types_that_do_not_go_into_the_cell_are_noticed() {
        let refused = |word| are_types_refused(error("E0433", word, "", &[]).as_bytes());
        assert_eq!(
            ["f()", "types!", "S)", "keep!"].map(refused),
            [false, true, true, false]
        );
    }
}
