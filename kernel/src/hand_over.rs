//! Where a cell hands its variables over, in what rustc says of it. Pure.

use serde_json::Value;

use crate::keep::{BEHIND, KEEP, OR_KEEP};
use crate::warnings;

/// A cell's source without the statements that hand over variables which have been moved away, where
/// `messages` (rustc's, as JSON, one in a line) say nothing else against it. There is nothing left of these
/// to be kept.
pub fn without_moved(source: &str, messages: &[u8]) -> Option<String> {
    let mut source = source.to_owned();
    let mut is_shorter = false;
    for (spans, error) in errors(messages) {
        let code = error["code"]["code"].as_str().unwrap_or_default();
        let Some(Place::AtEnd(name)) = place(&spans, code, "").filter(|_| code == "E0382") else {
            return None;
        };
        let statement = format!("{KEEP}{name},");
        if let Some(start) = source.find(&statement) {
            let open = start + KEEP.len();
            let end = open + length_of_group(&source[open..]) + ");".len();
            let blanks = " ".repeat(end - start);
            source.replace_range(start..end, &blanks);
            is_shorter = true;
        }
    }
    is_shorter.then_some(source)
}

/// The errors in rustc's messages (as JSON, one in a line) and the places to which they point.
pub fn errors(messages: &[u8]) -> impl Iterator<Item = (Vec<Span>, Value)> {
    let errors = warnings::messages(messages).filter(|message| message["level"] == "error");
    let errors = errors.map(|message| (spans(&message), message));
    // That there were errors is one, too.
    errors.filter(|(spans, _)| !spans.is_empty())
}

/// Where the kernel's own code in a cell hands a variable over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// Behind the last statement.
    AtEnd(&'a str),
    /// Where a statement ends the cell.
    Early(&'a str),
}

impl<'a> Place<'a> {
    /// The variable.
    pub fn name(self) -> &'a str {
        match self {
            Place::AtEnd(name) | Place::Early(name) => name,
        }
    }
}

/// The place because of which there is an error of this code and this message. Where a variable cannot be
/// moved because another one borrows from it, that is the other one's.
pub fn place<'a>(spans: &'a [Span], code: &str, message: &'a str) -> Option<Place<'a>> {
    let places = |primary| {
        let spans = spans.iter().filter(move |span| span.is_primary == primary);
        spans.filter_map(Span::place)
    };
    let moved = places(true).next();
    let borrower = places(false).find(|place| Some(*place) != moved);
    let found = match code {
        "E0382" => moved,
        _ => borrower.or(moved),
    };
    found.or_else(|| {
        // Of what is done early, the compiler only says that it is somewhere in there.
        let name = quoted(message).filter(|_| matches!(code, "E0382" | "E0505"))?;
        let is_there = spans.iter().any(|span| span.keeps_early(name));
        is_there.then_some(Place::Early(name))
    })
}

/// The first thing in backticks.
pub fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// A place in the code to which an error points.
#[derive(Debug)]
pub struct Span {
    /// Its first line.
    line: String,
    /// Where in the line it begins, in bytes.
    start: usize,
    is_primary: bool,
}

impl Span {
    /// Where in the kernel's own code it lies, if it does.
    pub fn place(&self) -> Option<Place<'_>> {
        let end_of_name =
            |rest: &str| rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#'));
        let behind = |word: &str| {
            let open = self.line[..self.start].rfind(word)? + word.len();
            let inside = self.start - open < length_of_group(&self.line[open..]);
            inside.then_some(open)
        };
        // Some errors are about all of the statement.
        let is_all = self.line[self.start..].starts_with(KEEP);
        let all = is_all.then_some(self.start + KEEP.len());
        if let Some(open) = all.or_else(|| behind(KEEP)) {
            let rest = &self.line[open..];
            return Some(Place::AtEnd(&rest[..end_of_name(rest)?]));
        }
        behind(OR_KEEP)?;
        let rest = &self.line[self.start..];
        Some(Place::Early(&rest[..end_of_name(rest)?]))
    }

    /// Whether it is all of what hands over this variable, with others, before the cell ends.
    fn keeps_early(&self, name: &str) -> bool {
        let here = &self.line[self.start..];
        let names = here.find(OR_KEEP).map(|at| &here[at + OR_KEEP.len()..]);
        names.is_some_and(|names| {
            let names = &names[..length_of_group(names)];
            let mut words = names.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#'));
            words.any(|word| word == name)
        })
    }

    /// Whether it lies where the runtime is told of types, and something is wrong there.
    pub fn is_in_types(&self) -> bool {
        let types = BEHIND.trim_start();
        let open = self.line.find(types).map(|at| (at, at + types.len()));
        open.is_some_and(|(start, open)| {
            let end = open + length_of_group(&self.line[open..]);
            self.is_primary && (start..end).contains(&self.start)
        })
    }

    /// Whether it lies in the line by which evcxr keeps a variable.
    pub fn puts(&self, name: &str) -> bool {
        let puts = self.line.contains("evcxr_variable_store.put_variable::<");
        puts && self.line.contains(&format!(">(stringify!({name}),"))
    }
}

/// How far it is to the bracket that closes what is open where the text begins.
pub fn length_of_group(text: &str) -> usize {
    let mut depth = 0;
    let closing = text.find(|c| {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    closing.unwrap_or(text.len())
}

/// The places in the code to which one of rustc's messages points.
pub fn spans(message: &Value) -> Vec<Span> {
    let children = message["children"].as_array().into_iter().flatten();
    let parts = std::iter::once(message).chain(children);
    let spans = parts.filter_map(|part| part["spans"].as_array()).flatten();
    // What lies in a macro of the runtime lies where the cell calls it.
    fn call(inner: &Value) -> Option<&Value> {
        Some(&inner["expansion"]["span"]).filter(|outer| outer.is_object())
    }
    let spans = spans.flat_map(|span| std::iter::successors(Some(span), |inner| call(inner)));
    let span = |span: &Value| {
        let text = &span["text"][0];
        let line = text["text"].as_str()?.to_owned();
        let column = usize::try_from(text["highlight_start"].as_u64()?).ok()?;
        let start = line.char_indices().nth(column.saturating_sub(1));
        Some(Span {
            start: start.map_or(line.len(), |(start, _)| start),
            line,
            is_primary: span["is_primary"] == true,
        })
    };
    spans.filter_map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_not_handed_over() {
        let line = "f(a); morceaux::keep!(a, g(a)); morceaux::keep!(ab, ab);";
        let error = |code: &str, word: &str| {
            let column = line.find(word).unwrap() + 1;
            let text = serde_json::json!([{"text": line, "highlight_start": column}]);
            let span = serde_json::json!({"text": text, "is_primary": true});
            serde_json::json!({"level": "error", "code": {"code": code}, "spans": [span]})
        };
        let without = |errors: &[Value]| {
            let summary = serde_json::json!({"level": "error", "code": null, "spans": []});
            let messages: Vec<_> = errors
                .iter()
                .chain([&summary])
                .map(Value::to_string)
                .collect();
            without_moved(line, messages.join("\n").as_bytes())
        };
        let moved = error("E0382", "a));");
        assert_eq!(
            without(std::slice::from_ref(&moved)).unwrap(),
            format!("f(a); {:25} morceaux::keep!(ab, ab);", "")
        );
        assert_eq!(without(&[moved, error("E0308", "f(a)")]), None);
        assert_eq!(without(&[error("E0382", "f(a)")]), None);
        assert_eq!(without(&[]), None);
    }

    const LINE: &str = "let x = or_keep!([é; b: [u8; 3]] f(c)); morceaux::keep!(a, g(a), A); b;";

    /// The place of a word in the line, of which this is the nth.
    fn place_of(word: &str, nth: usize) -> Option<(bool, String)> {
        let (start, _) = LINE.match_indices(word).nth(nth).unwrap();
        let column = LINE[..start].chars().count() + 1;
        let span = serde_json::json!({"text": [{"text": LINE, "highlight_start": column}], "is_primary": true});
        let spans = spans(&serde_json::json!({"spans": [span]}));
        let place = spans[0].place()?;
        Some((matches!(place, Place::AtEnd(_)), place.name().to_owned()))
    }

    #[test]
    fn the_variable_is_known_by_the_code_that_hands_it_over() {
        assert_eq!(place_of("a, g", 0), Some((true, "a".to_owned())));
        assert_eq!(place_of("a)", 0), Some((true, "a".to_owned())));
        assert_eq!(place_of("morceaux", 0), Some((true, "a".to_owned())));
        assert_eq!(place_of("é", 0), Some((false, "é".to_owned())));
        assert_eq!(place_of("b", 0), Some((false, "b".to_owned())));
        assert_eq!(place_of("c", 0), None);
        assert_eq!(place_of("b;", 0), None);
    }

    #[test]
    fn types_that_do_not_go_into_a_cell_are_noticed() {
        let is_in_types = |start| {
            let line = "let a = S; morceaux::types!((S); ); morceaux::keep!(a, a);".to_owned();
            let is_primary = true;
            Span {
                line,
                start,
                is_primary,
            }
            .is_in_types()
        };
        assert_eq!([8, 11, 29, 40].map(is_in_types), [false, true, true, false]);
    }

    #[test]
    fn what_was_moved_before_the_cell_may_end_is_known_by_the_message() {
        let spans = [Span {
            line: "morceaux::or_keep!([a; b: u8] f(c))".to_owned(),
            start: 0,
            is_primary: true,
        }];
        let place = |message| place(&spans, "E0382", message);
        assert_eq!(place("use of moved value: `b`"), Some(Place::Early("b")));
        assert_eq!(place("use of moved value: `c`"), None);
    }

    #[test]
    fn the_borrower_is_to_blame() {
        let span = |word: &str, is_primary| Span {
            line: "keep(a) morceaux::keep!(a, a); morceaux::keep!(b, b);".to_owned(),
            start: "keep(a) morceaux::keep!(a, a); morceaux::keep!(b, b);"
                .find(word)
                .unwrap(),
            is_primary,
        };
        let spans = [span("a);", true), span("b);", false)];
        assert_eq!(place(&spans, "E0505", ""), Some(Place::AtEnd("b")));
        assert_eq!(place(&spans, "E0382", ""), Some(Place::AtEnd("a")));
        assert_eq!(place(&spans[..1], "E0277", ""), Some(Place::AtEnd("a")));
    }
}
