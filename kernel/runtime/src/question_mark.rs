//! `?` at the top level of a cell.
//!
//! The rewriting of a cell turns `EXPR?` into `morceaux::question_mark(EXPR)`. The first failing
//! one ends the cell; nothing is returned through the code that evcxr generates, which would report
//! success.

use std::error::Error;

use crate::cell;
use crate::interrupt::Interrupted;
use crate::kept::End;
use crate::wire::Outcome;

/// What `?` may stand behind at the top level of a cell. `Kind` says how the error is understood, and
/// follows from its type.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "at a cell's top level, `?` needs a `Result` whose error turns into `Box<dyn Error>`, or an `Option`; this is `{Self}`",
    label = "`?` cannot be used on this"
)]
pub trait QuestionMark<Kind> {
    /// What stands behind a `?` that did not fail.
    type Output;

    /// Takes the value out, or says how the cell ends.
    ///
    /// # Errors
    /// The way in which the cell ends.
    fn branch(self) -> Result<Self::Output, Outcome>;
}

/// An error by which a `?` can end a cell.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "at a cell's top level, `?` needs an error that turns into `Box<dyn Error>`; this is `{Self}`",
    label = "`?` cannot be used on this"
)]
pub trait Raise<Kind> {
    /// Describes it.
    fn outcome(self) -> Outcome;
}

/// The kind of what turns into `Box<dyn Error>`.
#[doc(hidden)]
#[derive(Debug)]
pub struct AnError;

/// The kind of `Box<dyn Error + Send + Sync>`, which std does not turn into `Box<dyn Error>`.
#[doc(hidden)]
#[derive(Debug)]
pub struct ASendError;

impl<'a, E: Into<Box<dyn Error + 'a>>> Raise<AnError> for E {
    fn outcome(self) -> Outcome {
        if std::any::type_name::<E>() == std::any::type_name::<Interrupted>() {
            return Outcome::Interrupted;
        }
        let error: Box<dyn Error + 'a> = self.into();
        describe(&*error, short_name(std::any::type_name::<E>()))
    }
}

impl Raise<ASendError> for Box<dyn Error + Send + Sync> {
    fn outcome(self) -> Outcome {
        describe(&*self, "Error".to_owned())
    }
}

impl Raise<ASendError> for Box<dyn Error + Send> {
    fn outcome(self) -> Outcome {
        describe(&*self, "Error".to_owned())
    }
}

fn describe(error: &dyn Error, name: String) -> Outcome {
    let mut sources = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        sources.push(source.to_string());
        next = source.source();
    }
    Outcome::Failed {
        name,
        message: error.to_string(),
        debug: [format!("{error:?}"), format!("{error:#?}")],
        sources,
    }
}

impl<T, E: Raise<Kind>, Kind> QuestionMark<Kind> for Result<T, E> {
    type Output = T;

    fn branch(self) -> Result<T, Outcome> {
        self.map_err(Raise::outcome)
    }
}

impl<T> QuestionMark<()> for Option<T> {
    type Output = T;

    fn branch(self) -> Result<T, Outcome> {
        self.ok_or_else(|| Outcome::Failed {
            name: "None".to_owned(),
            message: "`?` met a `None`".to_owned(),
            debug: ["None".to_owned(), "None".to_owned()],
            sources: Vec::new(),
        })
    }
}

/// Takes the value out, or ends the cell.
#[doc(hidden)]
pub fn question_mark<T: QuestionMark<Kind>, Kind>(value: T) -> T::Output {
    value.branch().unwrap_or_else(|outcome| cell::end(outcome))
}

/// As [`question_mark`], but leaves it to the caller to end the cell.
///
/// # Errors
/// How the cell ends.
#[doc(hidden)]
pub fn try_question_mark<T: QuestionMark<Kind>, Kind>(value: T) -> Result<T::Output, End> {
    value.branch().map_err(End)
}

/// The last segment of a type's path. What has arguments or is no path is called an `Error`.
fn short_name(type_name: &str) -> String {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    match type_name.rsplit("::").next() {
        Some(name) if type_name.chars().all(is_path) => name.to_owned(),
        _ => "Error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_keeps_its_name_its_text_and_its_sources() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("no number")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let outcome = "x".parse::<i32>().map_err(Outer).branch().unwrap_err();
        assert_eq!(
            outcome,
            Outcome::Failed {
                name: "Outer".to_owned(),
                message: "no number".to_owned(),
                debug: [
                    "Outer(ParseIntError { kind: InvalidDigit })".to_owned(),
                    "Outer(\n    ParseIntError {\n        kind: InvalidDigit,\n    },\n)"
                        .to_owned(),
                ],
                sources: vec!["invalid digit found in string".to_owned()],
            }
        );
    }

    #[test]
    fn an_interrupt_stays_an_interrupt() {
        assert_eq!(
            Err::<(), _>(Interrupted).branch(),
            Err(Outcome::Interrupted)
        );
    }

    #[test]
    fn errors_without_a_type_of_their_own_are_errors() {
        let boxed: Result<(), Box<dyn Error>> = Err("lost".into());
        let Err(Outcome::Failed { name, message, .. }) = boxed.branch() else {
            panic!("it has not failed");
        };
        assert_eq!((name.as_str(), message.as_str()), ("Error", "lost"));
        let sent: Result<(), Box<dyn Error + Send + Sync>> = Err("lost".into());
        assert!(sent.branch().is_err());
    }

    #[test]
    fn the_value_comes_out() {
        assert_eq!(Some(3).branch(), Ok(3));
        assert!(None::<u8>.branch().is_err());
        let number: i32 = question_mark("12".parse());
        assert_eq!(number, 12);
    }
}
