//! A cell as the user wrote it, and what the parser makes of it. Pure.

use std::ops::Range;

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, Block, Macro, Pat, Stmt};

use crate::macros;

/// The user's code.
pub struct CellSource {
    code: String,
    /// Where the Rust code begins, in bytes.
    start: usize,
    /// None where it is not valid Rust.
    statements: Option<Vec<Stmt>>,
}

/// A variable that a cell's `let`s bind at its top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Whether it is bound as `mut`.
    pub mutable: bool,
    /// The number of the statement.
    pub statement: usize,
    /// Whether it is also the name of the field that it is taken from.
    pub shorthand: bool,
    /// Where its pattern stands, in bytes of the user's code.
    pub range: Range<usize>,
}

impl CellSource {
    /// Parses a cell.
    pub fn new(code: &str) -> CellSource {
        let start = start_of_code(code);
        CellSource {
            code: code.to_owned(),
            start,
            statements: parse(&code[start..]).ok(),
        }
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Where the Rust code begins, in bytes.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The statements, if it is valid Rust.
    pub fn statements(&self) -> Option<&[Stmt]> {
        self.statements.as_deref()
    }

    /// Where something stands, in bytes of the code.
    pub fn range(&self, what: &impl Spanned) -> Range<usize> {
        let range = what.span().byte_range();
        self.start + range.start..self.start + range.end
    }

    /// What stands there, as the user wrote it.
    pub fn text(&self, what: &impl Spanned) -> &str {
        &self.code[self.range(what)]
    }

    /// The same in one line and without comments.
    pub fn line(&self, what: &impl Spanned) -> String {
        let text = self.text(what);
        text.parse::<TokenStream>()
            .map_or_else(|_| text.replace('\n', " "), |tokens| tokens.to_string())
    }

    /// The variables that it binds, in the order in which it does. A later one of the same name
    /// stands for both.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = Vec::new();
        for binding in self.all_bindings() {
            bindings.retain(|earlier| earlier.name != binding.name);
            bindings.push(binding);
        }
        bindings
    }

    /// The same with those that a later one hides.
    pub fn all_bindings(&self) -> Vec<Binding> {
        let mut bindings = Bindings {
            cell: self,
            may_fail: false,
            shorthand: false,
            statement: 0,
            found: Vec::new(),
        };
        for (index, statement) in self.statements().into_iter().flatten().enumerate() {
            if let Stmt::Local(local) = statement {
                bindings.statement = index;
                let init = local.init.as_ref();
                bindings.may_fail = init.is_some_and(|init| init.diverge.is_some());
                bindings.add(&local.pat);
            }
        }
        bindings.found
    }
}

/// Makes the library forget the text of every cell that was parsed on this thread, which it would keep
/// for as long as the thread lives. Nothing that was parsed may be used any more.
pub fn forget_all() {
    proc_macro2::extra::invalidate_current_thread_spans();
}

struct Bindings<'a> {
    cell: &'a CellSource,
    /// Whether the `let` has an `else`.
    may_fail: bool,
    shorthand: bool,
    statement: usize,
    found: Vec<Binding>,
}

impl Bindings<'_> {
    fn add(&mut self, pat: &Pat) {
        match pat {
            Pat::Ident(pat) => {
                let name = pat.ident.to_string();
                // A constant or a variant without fields looks the same.
                if self.may_fail && name.starts_with(char::is_uppercase) {
                    return;
                }
                self.found.push(Binding {
                    name,
                    mutable: pat.mutability.is_some() && pat.by_ref.is_none(),
                    statement: self.statement,
                    shorthand: self.shorthand,
                    range: self.cell.range(pat),
                });
                if let Some((_, inner)) = &pat.subpat {
                    self.add(inner);
                }
            }
            Pat::Type(pat) => self.add(&pat.pat),
            Pat::Paren(pat) => self.add(&pat.pat),
            Pat::Reference(pat) => self.add(&pat.pat),
            Pat::Tuple(pat) => pat.elems.iter().for_each(|pat| self.add(pat)),
            Pat::TupleStruct(pat) => pat.elems.iter().for_each(|pat| self.add(pat)),
            Pat::Slice(pat) => pat.elems.iter().for_each(|pat| self.add(pat)),
            Pat::Struct(pat) => {
                for field in &pat.fields {
                    self.shorthand = field.colon_token.is_none();
                    self.add(&field.pat);
                    self.shorthand = false;
                }
            }
            Pat::Or(pat) => pat.cases.first().into_iter().for_each(|pat| self.add(pat)),
            _ => {}
        }
    }
}

/// Where the Rust code of a cell begins: behind evcxr's leading commands, comments and blank lines.
pub fn start_of_code(code: &str) -> usize {
    let mut start = 0;
    for line in code.split_inclusive('\n') {
        let command = line.trim_start_matches(' ').starts_with(':') || line.starts_with('!');
        if !command && !line.starts_with("//") && !line.trim().is_empty() {
            break;
        }
        start += line.len();
    }
    start
}

/// Parses the Rust code of a cell.
pub fn parse(code: &str) -> syn::Result<Vec<Stmt>> {
    let statements = |input: ParseStream<'_>| {
        input.call(Attribute::parse_inner)?;
        Block::parse_within(input)
    };
    statements.parse_str(code)
}

/// The macro that a statement calls, if it calls one that makes items which have to outlive the cell.
pub fn item_macro(statement: &Stmt) -> Option<&Macro> {
    match statement {
        Stmt::Macro(statement) => Some(&statement.mac),
        Stmt::Item(syn::Item::Macro(item)) => Some(&item.mac),
        _ => None,
    }
    .filter(|mac| macros::makes_statics(mac))
}

/// Whether a statement is not run, but says what something is.
pub fn is_item(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Item(_)) || item_macro(statement).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_found_in_every_pattern() {
        let cell = CellSource::new(
            ":dep x\nlet (a, mut b): (u8, u8) = c;\nlet P { x, y: [d, ..] } = e; let None = f else { return };",
        );
        let found: Vec<_> = cell
            .bindings()
            .into_iter()
            .map(|binding| (binding.name, binding.mutable, binding.statement))
            .collect();
        let expected = [
            ("a", false, 0),
            ("b", true, 0),
            ("x", false, 1),
            ("d", false, 1),
        ];
        let expected =
            expected.map(|(name, mutable, statement)| (name.to_owned(), mutable, statement));
        assert_eq!(found, expected);
        let b = cell.bindings().remove(1);
        assert_eq!(&cell.code()[b.range], "mut b");
    }

    #[test]
    fn the_last_binding_of_a_name_counts() {
        let cell = CellSource::new("let a = 1; let mut a: u8 = 2;");
        let bindings = cell.bindings();
        assert_eq!(
            (bindings.len(), bindings[0].statement, bindings[0].mutable),
            (1, 1, true)
        );
    }

    #[test]
    fn code_begins_behind_commands() {
        assert_eq!(start_of_code(":dep x\n\n// note\nlet a;"), 16);
    }
}
