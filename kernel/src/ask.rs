//! Asking rustc for the types of variables that the runtime cannot name: those of other crates, for
//! instance. The question is a statement at the end of the cell that does not compile; the
//! error names the type. See the runtime's `ask.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use evcxr::{CommandContext, CompilationError, Error};
use serde_json::Value;
use syn::{GenericArgument, PathArguments, Type};

use crate::conversion::{ClosureKind, Conversion};
use crate::keep::{Reason, Way};
use crate::rustc_wrapper::FULL_PATHS;
use crate::type_name;

/// How types are named in the answers.
const PREFIX: &str = "morceaux_dylib::__ask::";

/// The statements that ask for the types of variables, in one line.
pub fn questions(names: &[String]) -> String {
    let mut questions = String::new();
    for (number, name) in names.iter().enumerate() {
        let _ = write!(
            questions,
            " let _: morceaux::__ask::Asked<{number}> = {{ use morceaux::__ask::{{ByFunction as _, ByFuture as _, ByIterator as _, ByType as _}}; \
             (&&&&&morceaux::__ask::Of(&{name})).answer() }};"
        );
    }
    questions
}

/// What rustc says to code with questions in it, asked in evcxr's folder.
///
/// # Errors
/// evcxr's own.
pub fn ask(
    context: &mut CommandContext,
    folder: &Path,
    code: &str,
) -> Result<Vec<CompilationError>, Error> {
    let mark = folder.join(FULL_PATHS);
    std::fs::write(&mark, "")?;
    let errors = context.check(code);
    // A mark that stays only makes error messages longer.
    let _ = std::fs::remove_file(mark);
    errors
}

/// How the variables are to be kept about which something was found out.
pub fn answers(errors: &[Value], names: &[String], stream: Option<&str>) -> BTreeMap<String, Way> {
    let mut ways = BTreeMap::new();
    for error in errors {
        let children = error["children"].as_array();
        for text in children
            .into_iter()
            .flatten()
            .filter_map(|child| child["message"].as_str())
        {
            let Some((number, answer)) = answer(text) else {
                continue;
            };
            if let (Some(name), Some(way)) = (names.get(number), way(answer, stream)) {
                ways.insert(name.clone(), way);
            }
        }
    }
    ways
}

/// Whether an error is about a question itself.
pub fn is_of_question(error: &Value) -> bool {
    error.to_string().contains("__ask::")
}

/// The number of the question and what was found, in the note that goes with "mismatched types".
fn answer(text: &str) -> Option<(usize, &str)> {
    let (expected, found) = text.split_once('\n')?;
    let between = |text, from: &str| {
        let (_, rest): (&str, &str) = str::split_once(text, from)?;
        rest.rsplit_once('`').map(|(inner, _)| inner)
    };
    let number = between(expected, "Asked<")?
        .strip_suffix('>')?
        .parse()
        .ok()?;
    let found = between(found, "`")?;
    let path = found.find("__ask::")? + "__ask::".len();
    Some((number, &found[path..]))
}

/// How a variable is kept of which rustc says `Answer<KIND, TYPE>`.
fn way(answer: &str, stream: Option<&str>) -> Option<Way> {
    let answer = type_name::writable(&answer.replace(PREFIX, ""))?;
    let [kind, type_name] = arguments(&answer)?;
    if type_name::is_inferred(type_name) {
        // rustc itself does not know it at that point.
        return None;
    }
    if !type_name::is_unnameable(type_name) {
        return Some(Way::typed(type_name::text(type_name)));
    }
    let Type::Path(kind_path) = kind else {
        return None;
    };
    let conversion = match &*kind_path.path.segments.last()?.ident.to_string() {
        "AFuture" => Some(Conversion::Future),
        "AnIterator" => Some(Conversion::Iterator),
        "AFunction" => {
            let [arguments, output] = self::arguments(kind)?;
            Some(function(arguments, output))
        }
        // What holds closures of others and is no future and no iterator is mostly a stream.
        _ => Conversion::of(type_name, stream)
            .or_else(|| Some(Conversion::Stream(stream?.to_owned()))),
    };
    Some(conversion.map_or(Way::local(Reason::Unnameable), Way::boxed))
}

/// The two arguments of a type.
fn arguments(type_name: &Type) -> Option<[&Type; 2]> {
    let Type::Path(path) = type_name else {
        return None;
    };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    match (arguments.args.first()?, arguments.args.last()?) {
        (GenericArgument::Type(first), GenericArgument::Type(last)) => Some([first, last]),
        _ => None,
    }
}

/// A closure, by its arguments and what it returns.
fn function(arguments: &Type, output: &Type) -> Conversion {
    let count = match arguments {
        Type::Tuple(arguments) => arguments.elems.len(),
        _ => 0,
    };
    if Conversion::of(output, None) == Some(Conversion::Future) {
        return Conversion::AsyncClosure(count);
    }
    Conversion::Closure {
        kind: ClosureKind::Fn,
        arguments: vec!["_".to_owned(); count],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_of(found: &str) -> Option<Way> {
        let text = format!(
            "expected struct `morceaux_dylib::__ask::Asked<1>`\n   found struct `morceaux_dylib::__ask::{found}`"
        );
        let error = serde_json::json!({"children": [{"message": text}]});
        let names = ["a".to_owned(), "b".to_owned()];
        let mut ways = answers(&[error], &names, Some("futures::Stream"));
        assert!(!ways.contains_key("a"));
        ways.remove("b")
    }

    #[test]
    fn a_type_that_can_be_written_down_is() {
        assert_eq!(
            way_of("Answer<morceaux_dylib::__ask::Other, std::vec::Vec<{integer}>>"),
            Some(Way::typed("Vec<i32>".to_owned()))
        );
    }

    #[test]
    fn a_future_whose_type_can_be_written_down_stays_what_it_is() {
        assert_eq!(
            way_of("Answer<AFuture, tokio::task::JoinHandle<!>>"),
            Some(Way::typed(
                "tokio::task::JoinHandle<morceaux::Never>".to_owned()
            ))
        );
    }

    #[test]
    fn what_cannot_be_written_down_is_boxed_as_what_it_is() {
        assert_eq!(
            way_of("Answer<AFuture, {async block@a.rs:1:2: 3:4}>"),
            Some(Way::boxed(Conversion::Future))
        );
        assert_eq!(
            way_of("Answer<AnIterator, Map<Range<i32>, {closure@a.rs:1:2: 3:4}>>"),
            Some(Way::boxed(Conversion::Iterator))
        );
        let closure = way_of("Answer<AFunction<(i32, u8), bool>, {closure@a.rs:1:2: 3:4}>");
        let arguments = vec!["_".to_owned(); 2];
        let kind = ClosureKind::Fn;
        assert_eq!(
            closure,
            Some(Way::boxed(Conversion::Closure { kind, arguments }))
        );
        let stream = Conversion::Stream("futures::Stream".to_owned());
        assert_eq!(
            way_of("Answer<Other, Map<Iter<u8>, {closure@a.rs:1:2: 3:4}>>"),
            Some(Way::boxed(stream))
        );
    }

    #[test]
    fn other_errors_are_no_answers() {
        let error = serde_json::json!({"children": [{"message": "expected `u8`\nfound `u16`"}]});
        assert!(answers(&[error], &["a".to_owned()], None).is_empty());
    }
}
