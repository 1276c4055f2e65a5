//! What can be done where a cell does not compile because of how its variables are kept. Pure.

use evcxr::{CompilationError, Error};
use serde_json::Value;

use crate::cell_source::CellSource;
use crate::conversion::{ClosureKind, Conversion};
use crate::keep::{Plan, Reason, Way};
use crate::rewrite::Rewritten;
use crate::type_name;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again with this plan.
    Retry(Plan),
    /// Ask rustc about these variables first.
    Ask(Plan, Vec<String>),
    /// It is not for the kernel to mend.
    None,
}

/// Errors that say that something does not live long enough.
const LIFETIME_ERRORS: [&str; 12] = [
    "E0373", "E0499", "E0502", "E0503", "E0505", "E0506", "E0515", "E0521", "E0597", "E0621",
    "E0716", "E0759",
];

/// Finds what to do about a failed attempt. `stream` is the path of the trait for streams.
pub fn remedy(
    plan: &Plan,
    failure: &Error,
    cell: &CellSource,
    rewritten: &Rewritten,
    stream: Option<&str>,
) -> Remedy {
    let mut search = Search {
        plan: plan.clone(),
        asked: Vec::new(),
        rewritten,
        cell,
        stream,
    };
    match failure {
        Error::Message(message) => search.refusal(message),
        Error::CompilationErrors(errors) => {
            let is_error = |error: &&CompilationError| error.level() == "error";
            for error in errors.iter().filter(is_error) {
                search.error(error);
            }
            if errors.iter().all(|error| !is_error(&error)) {
                // evcxr gives up on a cell that compiles where it cannot name a variable's type, and
                // shows rustc's warnings instead.
                search.ask_for_all();
            }
        }
        _ => {}
    }
    if !search.asked.is_empty() {
        Remedy::Ask(search.plan, search.asked)
    } else if search.plan == *plan {
        Remedy::None
    } else {
        Remedy::Retry(search.plan)
    }
}

struct Search<'a> {
    plan: Plan,
    asked: Vec<String>,
    rewritten: &'a Rewritten,
    cell: &'a CellSource,
    stream: Option<&'a str>,
}

impl Search<'_> {
    /// What evcxr says of a variable that it will not keep.
    fn refusal(&mut self, message: &str) {
        let Some((name, rest)) = quoted(message) else {
            return;
        };
        if message.starts_with("Couldn't automatically determine type")
            || rest.starts_with(" is a closure")
        {
            self.ask(name);
        } else if let Some((type_name, _)) =
            quoted(rest).filter(|_| rest.contains("cannot be persisted"))
        {
            let writable = type_name::writable(type_name);
            let conversion = writable
                .as_ref()
                .and_then(|name| Conversion::of(name, self.stream));
            match conversion {
                // Boxed already, and still not to be named.
                Some(_) if self.plan.way(name).is_some() => self.ask(name),
                Some(conversion) => self.plan.set(name, Way::boxed(conversion)),
                None => self.ask(name),
            }
        }
    }

    fn ask(&mut self, name: &str) {
        if self
            .rewritten
            .bindings
            .iter()
            .any(|binding| binding.name == name)
            && !self.asked.iter().any(|asked| asked == name)
        {
            self.asked.push(name.to_owned());
        }
    }

    /// Asks about every variable whose type nobody has said.
    fn ask_for_all(&mut self) {
        let bindings = &self.rewritten.bindings;
        let unknown: Vec<_> = bindings
            .iter()
            .filter(|binding| !binding.typed && self.plan.way(&binding.name).is_none())
            .map(|binding| binding.name.clone())
            .collect();
        unknown.iter().for_each(|name| self.ask(name));
    }

    fn error(&mut self, error: &CompilationError) {
        let message = error.message();
        let code = error.code().unwrap_or_default();
        if message.contains("contains a reference with a non-static lifetime") {
            if let Some((name, _)) = quoted(&message) {
                self.make_local(name);
            }
        } else if message.contains("between threads safely")
            || message.contains("does not implement `Fn`")
        {
            self.no_longer_send(&error.json);
        } else if code == "E0525" || message.contains("in a `Fn`") || message.contains("in an `Fn`")
        {
            self.weaken_closures(&message);
        } else if let Some((name, type_name)) = kept_variable(&error.json) {
            let stream = self.stream.map(|path| format!("dyn {path}<"));
            if code == "E0405"
                && let (Some(type_name), Some(stream)) = (&type_name, stream)
                && type_name.contains("dyn Stream<")
            {
                // rust-analyzer names the trait without its path.
                let type_name = type_name.replace("dyn Stream<", &stream);
                self.plan.learn(&name, Way::typed(type_name));
            } else if code == "E0658"
                && let Some(never) = type_name.and_then(|name| type_name::writable(&name))
            {
                // `!`, which only the kernel has another name for.
                self.plan
                    .set(&name, Way::typed(quote::quote!(#never).to_string()));
            } else if LIFETIME_ERRORS.contains(&code) {
                self.make_local(&name);
            } else if code != "E0382" && code != "E0425" {
                self.ask(&name);
            }
        } else if matches!(code, "E0382" | "E0505") {
            if let Some((_, rest)) = message.split_once('`')
                && let Some((name, _)) = rest.split_once('`')
            {
                self.moved(name);
            }
        } else if let Some(name) = self.bound_in(&error.json) {
            if LIFETIME_ERRORS.contains(&code) {
                self.make_local(&name);
            } else {
                self.plan.set(
                    &name,
                    Way::Local {
                        reason: Some(Reason::Unnameable),
                        dropped: false,
                    },
                );
            }
        } else if LIFETIME_ERRORS.contains(&code) {
            self.statement_that_borrows(error);
        }
    }

    /// A variable that borrows lives as long as the cell.
    fn make_local(&mut self, name: &str) {
        if !self.plan.is_local(name) {
            self.plan.set(name, Way::local(Reason::Borrows));
        }
    }

    /// A variable that the kernel's own code uses once more was moved away.
    fn moved(&mut self, name: &str) {
        match self.plan.way(name) {
            // There is nothing left to be kept, or to be said.
            Some(Way::Local { dropped: true, .. } | Way::Bound { .. }) => {
                self.plan.set(
                    name,
                    Way::Local {
                        reason: None,
                        dropped: false,
                    },
                );
            }
            _ if !self.plan.not_rescued.iter().any(|known| known == name)
                && self
                    .rewritten
                    .bindings
                    .iter()
                    .any(|binding| binding.name == name) =>
            {
                self.plan.not_rescued.push(name.to_owned());
            }
            _ => {}
        }
    }

    fn no_longer_send(&mut self, error: &Value) {
        let only = self.bound_in(error);
        for (name, way) in self.plan.ways_mut() {
            if let Way::Bound { send, .. } = way
                && only.as_ref().is_none_or(|only| only == name)
            {
                *send = false;
            }
        }
    }

    fn weaken_closures(&mut self, message: &str) {
        let only_once = message.contains("only implements `FnOnce`");
        for (_, way) in self.plan.ways_mut() {
            if let Way::Bound {
                conversion: Some(Conversion::Closure { kind, .. }),
                ..
            } = way
                && message.contains(&format!("`{}`", kind.name()))
            {
                *kind = if only_once {
                    ClosureKind::FnOnce
                } else {
                    kind.weaker().unwrap_or(*kind)
                };
            }
        }
    }

    /// The variable in whose second binding, or in whose conversion, an error lies.
    fn bound_in(&self, error: &Value) -> Option<String> {
        let texts = span_texts(error);
        self.rewritten
            .bindings
            .iter()
            .map(|binding| &binding.name)
            .find_map(|name| {
                let Some(Way::Bound { .. }) = self.plan.way(name) else {
                    return None;
                };
                let kept = self.plan.kept(name);
                texts
                    .iter()
                    .any(|(line, marked)| line.contains(&kept) && kept.contains(marked.as_str()))
                    .then(|| name.clone())
            })
    }

    /// What a `let` binds lives as long as the cell if what it is made of does.
    fn statement_that_borrows(&mut self, error: &CompilationError) {
        let Some(span) = error
            .primary_spanned_message()
            .and_then(|primary| primary.span)
        else {
            return;
        };
        let offset = self
            .rewritten
            .map
            .original_offset(span.start_line, span.start_column);
        let statements = self.cell.statements().into_iter().flatten();
        let ranges: Vec<_> = statements
            .map(|statement| self.cell.range(statement))
            .collect();
        let names: Vec<_> = self
            .rewritten
            .bindings
            .iter()
            .filter(|binding| ranges[binding.statement].contains(&offset))
            .map(|binding| binding.name.clone())
            .collect();
        names.iter().for_each(|name| self.make_local(name));
    }
}

/// The first thing in backticks, and what stands behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once('`')?;
    // A type may hold backticks only in its end.
    rest.split_once('`')
}

/// The lines to which an error points, and what of them is marked.
fn span_texts(error: &Value) -> Vec<(String, String)> {
    let children = error["children"].as_array().into_iter().flatten();
    std::iter::once(error)
        .chain(children)
        .filter_map(|part| part["spans"].as_array())
        .flatten()
        .filter_map(|span| {
            let text = &span["text"][0];
            let line = text["text"].as_str()?;
            let column = |name: &str| {
                Some(
                    usize::try_from(text[name].as_u64()?)
                        .ok()?
                        .saturating_sub(1),
                )
            };
            let (start, end) = (column("highlight_start")?, column("highlight_end")?);
            let marked: String = line
                .chars()
                .skip(start)
                .take(end.saturating_sub(start))
                .collect();
            Some((line.to_owned(), marked))
        })
        .collect()
}

/// The variable that evcxr's code was about to keep where an error lies, and as what.
fn kept_variable(error: &Value) -> Option<(String, Option<String>)> {
    span_texts(error).into_iter().find_map(|(line, _)| {
        if let Some((_, rest)) = line.split_once("evcxr_variable_store.put_variable::<") {
            let (type_name, rest) = rest.split_once(">(stringify!(")?;
            let (name, _) = rest.split_once(')')?;
            return Some((name.to_owned(), Some(type_name.to_owned())));
        }
        let (_, rest) = line.split_once("evcxr_variable_store(")?;
        let (name, _) = rest.split_once(')')?;
        Some((name.to_owned(), None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Formats;
    use crate::items::ItemChanges;
    use crate::rewrite::{Wishes, rewrite};

    fn refused(code: &str, message: &str) -> Remedy {
        let cell = CellSource::new(code);
        let plan = Plan::new(&cell);
        let wishes = Wishes {
            items: &ItemChanges::default(),
            plan: &plan,
            formats: &Formats::default(),
            drain: None,
            checkpoints: true,
            own_display: false,
            asked: &[],
        };
        let rewritten = rewrite(&cell, 1, wishes);
        let failure = Error::Message(message.to_owned());
        remedy(&plan, &failure, &cell, &rewritten, None)
    }

    #[test]
    fn a_future_is_boxed() {
        let remedy = refused(
            "let x = f();",
            "The variable `x` has type `impl Future<Output = u8>` which cannot be persisted.\nYou might",
        );
        let Remedy::Retry(plan) = remedy else {
            panic!("{remedy:?}");
        };
        assert_eq!(plan.way("x"), Some(&Way::boxed(Conversion::Future)));
    }

    #[test]
    fn what_evcxr_cannot_name_is_asked_for() {
        for message in [
            "Couldn't automatically determine type of variable `x`.\nPlease give it an explicit type.",
            "The variable `x` is a closure, which cannot be persisted.",
            "The variable `x` has type `Map<Range<i32>, impl FnMut(i32) -> i32>` which cannot be persisted.",
        ] {
            let asked = refused("let x = f();", message);
            assert!(
                matches!(asked, Remedy::Ask(_, ref names) if names == &["x"]),
                "{asked:?}"
            );
        }
    }

    #[test]
    fn other_refusals_are_not_mended() {
        assert_eq!(
            refused("let x = f();", "Unrecognised command :x"),
            Remedy::None
        );
    }

    #[test]
    fn the_variable_is_known_by_evcxrs_code() {
        let line = "evcxr_variable_store.put_variable::<JoinHandle<!>>(stringify!(h), h);";
        let error = serde_json::json!({"spans": [{"text": [{"text": line, "highlight_start": 1, "highlight_end": 2}]}]});
        let variable = ("h".to_owned(), Some("JoinHandle<!>".to_owned()));
        assert_eq!(kept_variable(&error), Some(variable));
    }
}
