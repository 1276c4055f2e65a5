//! How the variables of a cell are kept for later cells. Pure.
//!
//! evcxr would keep every variable that it sees bound, if rust-analyzer can tell it the type. So all are
//! hidden from it, and handed over to the runtime at the end of the cell: as they are where the runtime
//! knows how their type is written (its `named.rs`), with the type that the user has said or rustc has named,
//! or boxed. evcxr is told of them when the cell has ended, see `declare.rs`. What can only live as long as
//! the cell (what borrows from other variables, mostly) is not handed over. rustc may name a type by a path
//! that the cell cannot use; that variable is left to evcxr and rust-analyzer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use syn::{Pat, PatIdent, Stmt};

use crate::cell_source::{Binding, CellSource};
use crate::conversion::Conversion;
use crate::type_name;

/// How what stands behind the last statement of a cell with variables begins.
pub const BEHIND: &str = " morceaux::types!(";

/// How a statement begins that hands a variable over, before the variable's name.
pub const KEEP: &str = "morceaux::keep!(";

/// What names the variables that are handed over where a statement ends the cell.
pub const OR_KEEP: &str = "or_keep!([";

/// What is done with the variables that need something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    ways: BTreeMap<String, Way>,
    /// The variables that are not handed over where the cell ends early.
    pub not_rescued: Vec<String>,
    /// Whether the runtime is told of no types: one of them does not go into a cell.
    pub without_types: bool,
    /// The variables whose type the user has said.
    annotated: BTreeSet<String>,
    /// The variables that are left to evcxr.
    inferred: BTreeSet<String>,
}

/// What is done with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is kept, but not as it is.
    Kept {
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
    /// What can be told before anything was compiled: a closure has to be boxed, and the user may have
    /// said a type.
    pub fn new(cell: &CellSource) -> Plan {
        let mut plan = Plan::default();
        for statement in cell.statements().into_iter().flatten() {
            let Stmt::Local(local) = statement else {
                continue;
            };
            match &local.pat {
                Pat::Ident(pat) => {
                    let init = local.init.as_ref();
                    let conversion = init.and_then(|init| Conversion::of_closure(cell, &init.expr));
                    let way = conversion.map(Way::boxed);
                    plan.set_anew(pat, way);
                }
                Pat::Type(pat) if type_name::is_complete(&pat.ty) => {
                    if let Pat::Ident(name) = &*pat.pat {
                        plan.set_anew(name, Some(Way::typed(type_name::text(&pat.ty))));
                        plan.annotated.insert(name.ident.to_string());
                    }
                }
                _ => {}
            }
        }
        plan
    }

    /// A variable of this name takes the place of an earlier one.
    fn set_anew(&mut self, name: &PatIdent, way: Option<Way>) {
        let name = name.ident.to_string();
        self.annotated.remove(&name);
        self.ways.remove(&name);
        self.ways.extend(way.map(|way| (name, way)));
    }

    /// What is done with a variable.
    pub fn way(&self, name: &str) -> Option<&Way> {
        self.ways.get(name)
    }

    /// Changes what is done with a variable.
    pub fn set(&mut self, name: &str, way: Way) {
        self.inferred.remove(name);
        self.ways.insert(name.to_owned(), way);
    }

    /// Does with a variable what another plan does.
    pub fn restore(&mut self, name: &str, other: &Plan) {
        self.ways.remove(name);
        let way = other.way(name).cloned();
        self.ways.extend(way.map(|way| (name.to_owned(), way)));
    }

    /// Leaves a variable to evcxr, of which rustc has named a type that the cell cannot use. It is still
    /// converted. Returns false where that is not the reason.
    pub fn infer(&mut self, name: &str) -> bool {
        let is_asked = !self.annotated.contains(name) && !self.inferred.contains(name);
        match self.ways.get_mut(name) {
            Some(Way::Kept { type_name, .. }) if is_asked && type_name.is_some() => {
                *type_name = None;
                self.inferred.insert(name.to_owned())
            }
            _ => false,
        }
    }

    /// Whether a variable is left to evcxr.
    pub fn is_inferred(&self, name: &str) -> bool {
        self.inferred.contains(name)
    }

    /// The variables that are left to evcxr.
    pub fn inferred(&self) -> &BTreeSet<String> {
        &self.inferred
    }

    /// Whether the user has said of what type a variable is.
    pub fn is_annotated(&self, name: &str) -> bool {
        self.annotated.contains(name)
    }

    /// Takes what was found out about a variable. What is known to be converted stays so; only what it
    /// becomes is known then.
    pub fn learn(&mut self, name: &str, learnt: Way) {
        match (self.ways.get_mut(name), learnt) {
            (
                Some(Way::Kept {
                    type_name,
                    conversion: Some(_),
                    ..
                }),
                Way::Kept {
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

    /// Whether a variable ends with its cell.
    pub fn is_local(&self, name: &str) -> bool {
        matches!(self.way(name), Some(Way::Local { .. }))
    }

    /// The statements at the end of the cell, in one line. `own_types` and `other_types` are those of the
    /// notebook and of other crates that the runtime is told of.
    pub fn last_statements<'a>(
        &self,
        bindings: &[Binding],
        own_types: impl Iterator<Item = &'a str>,
        other_types: impl Iterator<Item = &'a str>,
    ) -> String {
        if bindings.is_empty() {
            return String::new();
        }
        let is_told = |_: &&str| !self.without_types;
        let own = own_types.filter(is_told).map(|own| format!("({own})"));
        let own: Vec<String> = own.collect();
        let other: Vec<&str> = other_types.filter(is_told).collect();
        let mut statements = format!("{BEHIND}{}; {});", own.join(" "), other.join(", "));
        // What borrows goes first.
        for binding in bindings.iter().rev() {
            if let Some(Way::Local { dropped: true, .. }) = self.way(&binding.name) {
                let _ = write!(statements, " std::mem::drop({});", binding.name);
            }
        }
        let is_kept = |binding: &&Binding| !self.is_local(&binding.name);
        for binding in bindings.iter().filter(is_kept) {
            let name = &binding.name;
            let value = self.kept(name);
            let type_name = self.type_name(name).map(|name| format!(", {name}"));
            let type_name = type_name.unwrap_or_default();
            let _ = if !self.is_inferred(name) {
                write!(statements, " {KEEP}{name}, {value}{type_name});")
            } else if value != *name {
                let mutable = if binding.mutable { "mut " } else { "" };
                write!(statements, " let {mutable}{name} = {value};")
            } else {
                Ok(())
            };
        }
        statements
    }

    /// The statements in front of a question about variables: of those that are converted, it is about
    /// what they become.
    pub fn converted(&self, names: &[String]) -> String {
        let converted = names.iter().filter(|name| !self.is_kept_as_it_is(name));
        let statements =
            converted.map(|name| format!(" let morceaux::local!({name}) = {};", self.kept(name)));
        statements.collect()
    }

    /// The type of a variable, where that has to be said.
    pub fn type_name(&self, name: &str) -> Option<&str> {
        match self.way(name) {
            Some(Way::Kept { type_name, .. }) => type_name.as_deref(),
            _ => None,
        }
    }

    /// Whether a variable is kept as it is.
    pub fn is_kept_as_it_is(&self, name: &str) -> bool {
        let converted = |way: &Way| match way {
            Way::Kept { conversion, .. } => conversion.is_some(),
            Way::Local { .. } => true,
        };
        !self.is_inferred(name) && !self.way(name).is_some_and(converted)
    }

    /// The expression by which a variable is kept.
    pub fn kept(&self, name: &str) -> String {
        match self.way(name) {
            Some(Way::Kept {
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
        Way::Kept {
            type_name: None,
            conversion: Some(conversion),
            send: true,
        }
    }

    /// As it is, with this type.
    pub fn typed(type_name: String) -> Way {
        Way::Kept {
            type_name: Some(type_name),
            conversion: None,
            send: false,
        }
    }

    /// Until the end of the cell.
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
            plan.last_statements(&cell.bindings(), std::iter::empty(), std::iter::empty()),
            " morceaux::types!(; ); morceaux::keep!(add, { let boxed: Box<dyn Fn(& str, _) -> _ + Send + Sync> = Box::new(add); boxed }); \
             morceaux::keep!(f, morceaux::__keep::async_closure_1(f));"
        );
    }

    #[test]
    fn variables_are_handed_over_with_what_has_to_be_said_of_their_types() {
        let cell = CellSource::new("let mut a = f(); let b = g();");
        let mut plan = Plan::default();
        plan.set("b", Way::typed("Map<T>".to_owned()));
        assert_eq!(
            plan.last_statements(
                &cell.bindings(),
                ["S", "T"].into_iter(),
                ["d::U"].into_iter()
            ),
            " morceaux::types!((S) (T); d::U); morceaux::keep!(a, a); morceaux::keep!(b, b, Map<T>);"
        );
    }

    #[test]
    fn what_the_user_says_is_not_asked() {
        let cell = CellSource::new("let a: u8 = 1; let b: Vec<_> = c; let d: X = e; let d = f;");
        let mut plan = Plan::new(&cell);
        assert_eq!(plan.type_name("a"), Some("u8"));
        assert_eq!((plan.way("b"), plan.way("d")), (None, None));
        assert!(plan.is_annotated("a") && !plan.infer("a"));
    }

    #[test]
    fn what_the_cell_cannot_write_is_left_to_evcxr() {
        let cell = CellSource::new("let mut a = f(); let b = g();");
        let mut plan = Plan::default();
        plan.set("a", Way::boxed(Conversion::Iterator));
        plan.learn("a", Way::typed("x::y::A".to_owned()));
        plan.set("b", Way::typed("x::y::B".to_owned()));
        assert!(plan.infer("a") && plan.infer("b") && !plan.infer("b"));
        assert_eq!(
            plan.last_statements(&cell.bindings(), std::iter::empty(), std::iter::empty()),
            " morceaux::types!(; ); let mut a = morceaux::__keep::iterator(a);"
        );
    }

    #[test]
    fn what_borrows_is_dropped_first_and_said() {
        let cell = CellSource::new("let a = b.lock(); let c = &a;");
        let mut plan = Plan::default();
        plan.set("a", Way::local(Reason::Borrows));
        plan.set("c", Way::local(Reason::Borrows));
        assert_eq!(
            plan.last_statements(&cell.bindings(), ["T"].into_iter(), std::iter::empty()),
            " morceaux::types!((T); ); std::mem::drop(c); std::mem::drop(a);"
        );
        assert!(
            plan.notes()
                .starts_with("note: `a` is not kept for later cells: it borrows")
        );
    }
}
