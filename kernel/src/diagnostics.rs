//! Compile errors and panics in terms of what the user wrote. Pure.

use std::collections::HashSet;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use evcxr::CompilationError;

use crate::error::CellError;
use crate::hints;
use crate::prebuilt::SHARED_CRATES;
use crate::rewrite::Rewritten;
use crate::source_map::SourceMap;

/// The errors of a cell that does not compile, as rustc shows them, at the user's own places.
pub fn compile_error(errors: &[CompilationError], cell: &Rewritten) -> CellError {
    let map = &cell.map;
    // Warnings come along, of earlier cells too.
    let is_error = |error: &&CompilationError| error.level() == "error";
    let mut known = HashSet::new();
    let only_errors: Vec<_> = errors
        .iter()
        .filter(is_error)
        // What stands behind one `?` is wrong in several ways that mean the same.
        .filter(|error| {
            let is_primary = |place: &Place| matches!(place.0, AnnotationKind::Primary);
            let place = places(error, map).into_iter().find(is_primary);
            place.is_none_or(|(_, range, _)| known.insert((error.code(), range.start)))
        })
        .collect();
    let Some(first) = only_errors.first() else {
        // evcxr gives up on a cell that compiles only where it cannot name a variable's type.
        return CellError::Refused {
            message:
                "the type of one of this cell's variables cannot be determined; give it, as in \
                      `let name: Type = …`"
                    .to_owned(),
        };
    };
    let summary = first.message();
    let rendered: Vec<String> = only_errors.iter().map(|error| render(error, map)).collect();
    CellError::Compile {
        summary,
        rendered: rendered.join("\n\n"),
    }
}

fn render(error: &CompilationError, map: &SourceMap) -> String {
    let message = without_places(&error.message());
    let mut title = Level::ERROR.primary_title(&message);
    if let Some(code) = error.code() {
        title = title.id(code);
    }
    let places = places(error, map);
    let mut group = Group::with_title(title);
    if !places.is_empty() {
        let annotations = places
            .iter()
            .map(|(kind, range, label)| kind.span(range.clone()).label(label.as_deref()));
        let snippet = Snippet::source(map.original())
            .path("cell")
            .annotations(annotations);
        group = group.element(snippet);
    }
    let mut notes = notes(error);
    if let Some(hint) = hints::for_error(&message, error.code(), &error.json) {
        notes.push((Level::HELP.with_name("hint"), hint.to_owned()));
    }
    for (level, text) in &notes {
        group = group.element(level.clone().message(text));
    }
    let mut rendered = Renderer::styled()
        .decor_style(DecorStyle::Ascii)
        .render(&[group]);
    if let Some(code) = error.code().filter(|code| code.starts_with('E')) {
        rendered.push_str(&format!(
            "\nMore about this error: https://doc.rust-lang.org/error_codes/{code}.html"
        ));
    }
    rendered
}

/// A place in the user's code, and what is said of it.
type Place = (AnnotationKind, Range<usize>, Option<String>);

/// The places that an error is about.
fn places(error: &CompilationError, map: &SourceMap) -> Vec<Place> {
    let of_error = error.spanned_messages().iter();
    let of_helps = error.help_spanned().iter();
    let places: Vec<_> = of_error
        .map(|spanned| (spanned, spanned.is_primary))
        .chain(of_helps.map(|spanned| (spanned, false)))
        .filter_map(|(spanned, is_primary)| {
            let span = spanned.span?;
            let start = map.original_offset(span.start_line, span.start_column);
            let end = map.original_offset(span.end_line, span.end_column);
            let kind = if is_primary {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            // A span without words of its own carries the message again.
            let label = in_users_terms(spanned.label.trim_start_matches("error: "));
            let label = label.filter(|label| *label != error.message());
            Some((kind, start..end.max(start), label))
        })
        .collect();
    if places.is_empty() {
        return place_of_moved_code(error, map).into_iter().collect();
    }
    places
}

/// evcxr loses the place of a `use`, which it takes apart. What it is about is still in the code.
fn place_of_moved_code(error: &CompilationError, map: &SourceMap) -> Option<Place> {
    let spans = error.json["spans"].as_array()?;
    let span = spans.iter().find(|span| span["is_primary"] == true)?;
    let text = &span["text"][0];
    let column = |name: &str| usize::try_from(text[name].as_u64()?).ok()?.checked_sub(1);
    let start = column("highlight_start")?;
    let length = column("highlight_end")?.checked_sub(start)?;
    let about: String = text["text"]
        .as_str()?
        .chars()
        .skip(start)
        .take(length)
        .collect();
    let found = map.original().find(&about).filter(|_| !about.is_empty())?;
    let label = span["label"].as_str().and_then(in_users_terms);
    Some((AnnotationKind::Primary, found..found + about.len(), label))
}

/// What rustc says, unless it speaks of what the user has not written.
fn in_users_terms(text: &str) -> Option<String> {
    let text = text.replace("`evcxr_variable_store`", "<end of input>");
    // The second pair is about files and options of the kernel's own call of rustc.
    let foreign = [
        "morceaux::",
        "evcxr",
        "full name for the type",
        "using `--verbose`",
    ]
    .iter()
    .any(|word| text.contains(word));
    (!foreign).then(|| without_places(&text))
}

/// `{async block@src/lib.rs:1:2: 3:4}` as `{async block}`: the place is one in the generated source.
fn without_places(text: &str) -> String {
    let mut parts = text.split("@src/lib.rs:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let place = |c: char| c.is_ascii_digit() || c == ':' || c == ' ';
        text + part.trim_start_matches(place)
    })
}

/// Notes and helps that belong to no place in the code.
fn notes(error: &CompilationError) -> Vec<(Level<'static>, String)> {
    let children = error.json["children"].as_array();
    let note = |child: &serde_json::Value| {
        let level = match child["level"].as_str()? {
            "help" => Level::HELP,
            "note" => Level::NOTE,
            _ => return None,
        };
        let placeless = child["spans"].as_array().is_none_or(Vec::is_empty);
        let text = child["message"].as_str().filter(|_| placeless)?;
        Some((level, in_users_terms(text)?))
    };
    let mut notes: Vec<_> = children.into_iter().flatten().filter_map(note).collect();
    if let Some(hint) = error.evcxr_extra_hint() {
        notes.push((Level::HELP, hint.to_owned()));
    }
    notes
}

/// What evcxr says when it refuses a cell, without its wrapping of what cargo said; where cargo has
/// found no version of a crate that the cells share, what that means.
pub fn refusal(message: &str) -> String {
    let cargos = message
        .split_once("STDERR:\n")
        .map(|(_, rest)| rest.split("\nSTDOUT:").next().unwrap_or(rest).trim_end());
    let message = cargos.unwrap_or(message);
    let wanted =
        |package: &&&str| message.contains(&format!("failed to select a version for `{package}`"));
    let Some(package) = SHARED_CRATES.iter().find(wanted) else {
        return message.to_owned();
    };
    format!(
        "all cells share the kernel's own {package}, and something asks for a version that it does \
         not satisfy. Ask for one that it does (such as `:dep {package} = \"1\"`), or use another \
         version of the crate that asks.\n{message}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_cannot_be_had_is_explained() {
        let cargos = "error: failed to select a version for `tokio`.\n    ... required by";
        let evcxrs = format!("Compilation failed. STDERR:\n{cargos}\n\nSTDOUT:\n");
        let refusal = refusal(&evcxrs);
        assert!(
            refusal.starts_with("all cells share the kernel's own tokio"),
            "{refusal}"
        );
        assert!(refusal.ends_with(cargos), "{refusal}");
    }

    #[test]
    fn places_in_generated_source_are_not_shown() {
        assert_eq!(
            in_users_terms("within `{async block@src/lib.rs:1:2: 3:40}`, the trait").as_deref(),
            Some("within `{async block}`, the trait")
        );
    }

    #[test]
    fn other_refusals_are_passed_on() {
        assert_eq!(
            refusal("Unrecognised command :x"),
            "Unrecognised command :x"
        );
    }
}
