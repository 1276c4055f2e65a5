//! What can be done where a cell does not compile because of how its variables are kept. Pure.

use evcxr::{CompilationError, Error};

use crate::cell_source::CellSource;
use crate::conversion::{ClosureKind, Conversion};
use crate::hand_over::{Place, Span, place, quoted, spans};
use crate::keep::{Plan, Reason, Way};
use crate::rewrite::Rewritten;
use crate::unnamed::NAMED;

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

/// What evcxr says of a variable that borrows.
const BORROWS: &str = "contains a reference with a non-static lifetime";

/// Errors that say that something does not live long enough.
const LIFETIME_ERRORS: [&str; 12] = [
    "E0373", "E0499", "E0502", "E0503", "E0505", "E0506", "E0515", "E0521", "E0597", "E0621",
    "E0716", "E0759",
];

/// Finds what to do about a failed attempt.
pub fn remedy(plan: &Plan, failure: &Error, cell: &CellSource, rewritten: &Rewritten) -> Remedy {
    let mut search = Search {
        plan: plan.clone(),
        asked: Vec::new(),
        rewritten,
        cell,
    };
    match failure {
        Error::Message(message) => search.refusal(message),
        Error::CompilationErrors(errors) => {
            let is_error = |error: &&CompilationError| error.level() == "error";
            errors
                .iter()
                .filter(is_error)
                .for_each(|error| search.error(error));
            if errors.iter().all(|error| !is_error(&error)) {
                // evcxr gives up on a cell that compiles where it cannot name a variable's type, and
                // shows rustc's warnings instead.
                let inferred = plan.inferred().iter();
                inferred.for_each(|name| search.make_unnameable(name));
            }
        }
        _ => {}
    }
    // Where one is not to be handed over early any more, the other errors about it may be gone.
    let not_rescued = search.plan.not_rescued.clone();
    for name in not_rescued
        .iter()
        .filter(|name| !plan.not_rescued.contains(name))
    {
        search.plan.restore(name, plan);
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
}

impl Search<'_> {
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

    fn error(&mut self, error: &CompilationError) {
        let message = error.message();
        let code = error.code().unwrap_or_default();
        let spans = spans(&error.json);
        if spans.iter().any(Span::is_in_types) {
            self.plan.without_types = true;
        } else if message.contains("between threads safely")
            || message.contains("does not implement `Fn`")
        {
            self.no_longer_send(&spans);
        } else if code == "E0525" || message.contains("in a `Fn`") || message.contains("in an `Fn`")
        {
            self.weaken_closures(&message);
        } else if let Some(place) = place(&spans, code, &message) {
            self.not_kept(place, code, &message);
        } else if let Some(name) = self.dropped_in(code, &message) {
            self.make_moved(&name);
        } else if let Some(name) = self.inferred_in(&spans, &message) {
            // Of what was moved away, evcxr knows what to do.
            if LIFETIME_ERRORS.contains(&code) || message.contains(BORROWS) {
                self.make_local(&name);
            } else if code != "E0382" && code != "E0425" {
                self.make_unnameable(&name);
            }
        } else if LIFETIME_ERRORS.contains(&code) {
            self.statement_that_borrows(error);
        }
    }

    /// A variable cannot be handed over.
    fn not_kept(&mut self, place: Place<'_>, code: &str, message: &str) {
        match (place, code) {
            (Place::AtEnd(name), "E0382") => self.make_moved(name),
            (Place::Early(name), "E0382" | "E0505") => {
                if !self.plan.not_rescued.iter().any(|known| known == name) {
                    self.plan.not_rescued.push(name.to_owned());
                }
            }
            (Place::AtEnd(name) | Place::Early(name), code) => {
                let is_unnamed = message.contains(NAMED) || self.plan.way(name).is_none();
                if LIFETIME_ERRORS.contains(&code) {
                    self.make_local(name);
                } else if is_unnamed {
                    self.ask(name);
                } else if !self.plan.infer(name) {
                    self.make_unnameable(name);
                }
            }
        }
    }

    /// There is nothing left to be kept, or to be said.
    fn make_moved(&mut self, name: &str) {
        let (reason, dropped) = (None, false);
        self.plan.set(name, Way::Local { reason, dropped });
    }

    /// The variable that has been moved away before it is dropped at the end of the cell.
    fn dropped_in(&self, code: &str, message: &str) -> Option<String> {
        let name = quoted(message).filter(|_| matches!(code, "E0382" | "E0505"))?;
        let is_dropped = matches!(self.plan.way(name), Some(Way::Local { dropped: true, .. }));
        is_dropped.then(|| name.to_owned())
    }

    /// What evcxr says of a variable that was left to it.
    fn refusal(&mut self, message: &str) {
        if let Some(name) = quoted(message).filter(|name| self.plan.is_inferred(name)) {
            self.make_unnameable(name);
        }
    }

    /// The variable that was left to evcxr whose line an error is about.
    fn inferred_in(&self, spans: &[Span], message: &str) -> Option<String> {
        let names = self.plan.inferred().iter();
        let mut inferred = names.filter(|name| {
            let is_named = message.contains(BORROWS) && quoted(message) == Some(name);
            is_named || spans.iter().any(|span| span.puts(name))
        });
        inferred.next().cloned()
    }

    fn make_unnameable(&mut self, name: &str) {
        let reason = Some(Reason::Unnameable);
        let dropped = false;
        self.plan.set(name, Way::Local { reason, dropped });
    }

    /// A variable that borrows lives as long as the cell.
    fn make_local(&mut self, name: &str) {
        if !self.plan.is_local(name) {
            self.plan.set(name, Way::local(Reason::Borrows));
        }
    }

    fn no_longer_send(&mut self, spans: &[Span]) {
        let only = spans.iter().find_map(Span::place).map(Place::name);
        for (name, way) in self.plan.ways_mut() {
            if let Way::Kept { send, .. } = way
                && only.is_none_or(|only| only == name)
            {
                *send = false;
            }
        }
    }

    fn weaken_closures(&mut self, message: &str) {
        let only_once = message.contains("only implements `FnOnce`");
        for (_, way) in self.plan.ways_mut() {
            if let Way::Kept {
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
