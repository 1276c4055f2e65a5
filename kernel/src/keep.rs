//! How the variables of a cell are kept for later cells. Pure.
//!
//! evcxr keeps a variable if it can write down its type. For the others, the cell binds them once
//! more at its end, to something that can be kept: with the type that rustc knows, or boxed. What can
//! only live as long as the cell (what borrows from other variables, mostly) is hidden from evcxr.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use syn::{Pat, Stmt};

use crate::cell_source::{Binding, CellSource};
use crate::conversion::Conversion;

/// What is done with the variables that need something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    ways: BTreeMap<String, Way>,
    /// The variables that are not handed over where the cell ends early.
    pub not_rescued: Vec<String>,
}

/// What is done with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is bound again.
    Bound {
        /// Its type, where that has to be said.
        type_name: Option<String>,
        /// What becomes of the value, if anything.
        conversion: Option<Conversion>,
        /// Whether the value has to be fit for other threads.
        send: bool,
    },
    /// It ends with the cell.
    Local {
        /// Why, for the user; nothing where it was moved away.
        reason: Option<Reason>,
        /// Whether it is dropped at the end of the cell. It cannot be if it was moved away.
        dropped: bool,
    },
}

/// Why a variable ends with its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It borrows from what the cell or an earlier one owns.
    Borrows,
    /// Nothing that can be written down fits it.
    Unnameable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Borrows => {
                "it borrows from another value, and only lives as long as the cell. Keep what it \
                 borrows from and borrow again there, keep a clone, or use a closure with `move`"
            }
            Reason::Unnameable => {
                "its type cannot be written down, and it is no future, iterator, stream or closure \
                 that could be boxed. Box it as a `dyn` of a trait that it has"
            }
        })
    }
}

impl Plan {
    /// What can be told before anything was compiled: a closure has to be boxed.
    pub fn new(cell: &CellSource) -> Plan {
        let mut plan = Plan::default();
        for statement in cell.statements().into_iter().flatten() {
            if let Stmt::Local(local) = statement
                && let Pat::Ident(pat) = &local.pat
                && let Some(init) = &local.init
                && let Some(conversion) = Conversion::of_closure(cell, &init.expr)
            {
                plan.set(&pat.ident.to_string(), Way::boxed(conversion));
            }
        }
        plan
    }

    /// What is done with a variable.
    pub fn way(&self, name: &str) -> Option<&Way> {
        self.ways.get(name)
    }

    /// Changes what is done with a variable.
    pub fn set(&mut self, name: &str, way: Way) {
        self.ways.insert(name.to_owned(), way);
    }

    /// Takes what was found out about a variable. What is known to be converted stays so; only what it
    /// becomes is known then.
    pub fn learn(&mut self, name: &str, learnt: Way) {
        match (self.ways.get_mut(name), learnt) {
            (
                Some(Way::Bound {
                    type_name,
                    conversion: Some(_),
                    ..
                }),
                Way::Bound {
                    type_name: Some(learnt),
                    conversion: None,
                    ..
                },
            ) => *type_name = Some(learnt),
            (_, learnt) => self.set(name, learnt),
        }
    }

    /// What is done with the variables that need something, to be changed.
    pub fn ways_mut(&mut self) -> impl Iterator<Item = (&String, &mut Way)> {
        self.ways.iter_mut()
    }

    /// Whether a variable is hidden from evcxr.
    pub fn is_local(&self, name: &str) -> bool {
        matches!(self.way(name), Some(Way::Local { .. }))
    }

    /// The statements at the end of the cell, in one line.
    pub fn last_statements(&self, bindings: &[Binding]) -> String {
        let mut statements = String::new();
        // What borrows goes first.
        for binding in bindings.iter().rev() {
            if let Some(Way::Local { dropped: true, .. }) = self.way(&binding.name) {
                let _ = write!(statements, " std::mem::drop({});", binding.name);
            }
        }
        for binding in bindings {
            let Some(Way::Bound { type_name, .. }) = self.way(&binding.name) else {
                continue;
            };
            let mutable = if binding.mutable { "mut " } else { "" };
            let type_name = type_name.as_ref().map(|name| format!(": {name}"));
            let type_name = type_name.unwrap_or_default();
            let value = self.kept(&binding.name);
            let _ = write!(
                statements,
                " let {mutable}{}{type_name} = {value};",
                binding.name
            );
        }
        statements
    }

    /// The expression by which a variable is kept.
    pub fn kept(&self, name: &str) -> String {
        match self.way(name) {
            Some(Way::Bound {
                conversion: Some(conversion),
                send,
                ..
            }) => conversion.expression(name, *send),
            _ => name.to_owned(),
        }
    }

    /// What the user is told of the variables that are not kept.
    pub fn notes(&self) -> String {
        let mut notes = String::new();
        for (name, way) in &self.ways {
            if let Way::Local {
                reason: Some(reason),
                ..
            } = way
            {
                let _ = writeln!(
                    notes,
                    "note: `{name}` is not kept for later cells: {reason}"
                );
            }
        }
        notes
    }
}

impl Way {
    /// Boxed in this way, so that other threads can have it.
    pub fn boxed(conversion: Conversion) -> Way {
        Way::Bound {
            type_name: None,
            conversion: Some(conversion),
            send: true,
        }
    }

    /// As it is, with this type.
    pub fn typed(type_name: String) -> Way {
        Way::Bound {
            type_name: Some(type_name),
            conversion: None,
            send: false,
        }
    }

    /// Hidden from evcxr.
    pub fn local(reason: Reason) -> Way {
        Way::Local {
            reason: Some(reason),
            dropped: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_are_known_by_their_looks() {
        let cell =
            CellSource::new("let mut add = |a: &str, b| a.len() + b; let f = (async |x| x);");
        let plan = Plan::new(&cell);
        assert_eq!(
            plan.last_statements(&cell.bindings()),
            " let mut add = Box::new(add) as Box<dyn Fn(& str, _) -> _ + Send + Sync>; \
             let f = morceaux::__keep::async_closure_1(f);"
        );
    }

    #[test]
    fn what_borrows_is_dropped_first_and_said() {
        let cell = CellSource::new("let a = b.lock(); let c = &a;");
        let mut plan = Plan::default();
        plan.set("a", Way::local(Reason::Borrows));
        plan.set("c", Way::local(Reason::Borrows));
        assert_eq!(
            plan.last_statements(&cell.bindings()),
            " std::mem::drop(c); std::mem::drop(a);"
        );
        assert!(
            plan.notes()
                .starts_with("note: `a` is not kept for later cells: it borrows")
        );
    }
}
