//! What has been compiled, to find the place in a cell that a line of generated source comes from.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::cell_source;
use crate::error::CallPlace;
use crate::keep::BEHIND;
use crate::rustc_wrapper::SOURCE;
use crate::session_dir;
use crate::wire::{CellId, Line};

/// Of so many cells the generated source is kept. A task of an older one that panics is said to have
/// done so without its line.
const KEPT: usize = 200;

/// The cells of a session. Clones are the same.
#[derive(Debug, Clone)]
pub struct History {
    /// Where evcxr writes what it compiles.
    source: PathBuf,
    compiled: Arc<Mutex<Compiled>>,
}

#[derive(Debug, Default)]
struct Compiled {
    cells: Vec<Cell>,
    generated: VecDeque<(CellId, String)>,
}

#[derive(Debug)]
struct Cell {
    id: CellId,
    /// The number that the user sees.
    count: usize,
    /// As evcxr got it.
    code: String,
}

impl History {
    /// Of a session that is in this folder.
    pub fn new(session: &Path) -> History {
        History {
            source: session_dir::cells(session).join(SOURCE),
            compiled: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Compiled> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cell is about to be compiled.
    pub fn compiles(&self, id: CellId, count: usize, code: &str) {
        let code = code.to_owned();
        self.lock().add(Cell { id, count, code });
    }

    /// A cell has been compiled, and runs.
    pub fn runs(&self, id: CellId) {
        // Without it, panics have no lines.
        if let Ok(generated) = std::fs::read_to_string(&self.source) {
            self.lock().add_generated(id, generated);
        }
    }

    /// Where a call of the user's is, seen from a cell. What has no name of its own (a closure, an
    /// async block, the body of an `async fn`) is called by the function around it.
    pub fn place(&self, seen_from: CellId, function: Option<String>, line: Line) -> CallPlace {
        let compiled = self.lock();
        let found = compiled.find(line);
        CallPlace {
            function: function.or_else(|| {
                let (cell, line) = found?;
                function_around(&cell.code, line)
            }),
            place: found.map(|(cell, line)| seen(seen_from, cell, line)),
        }
    }

    /// The line that stands at a line of what was compiled, and the number of the cell in which it is
    /// unless that is the one from which it is seen; nothing where it can be in several places. Lines
    /// count from 1.
    pub fn line(&self, seen_from: CellId, line: Line) -> Option<(usize, Option<usize>)> {
        let compiled = self.lock();
        let (cell, line) = compiled.find(line)?;
        Some(seen(seen_from, cell, line))
    }
}

/// A line of a cell, with the cell's number unless it is seen from there.
fn seen(seen_from: CellId, cell: &Cell, line: usize) -> (usize, Option<usize>) {
    (line, (cell.id != seen_from).then_some(cell.count))
}

impl Compiled {
    /// It takes the place of an earlier version of the same text, as when a cell is run again.
    fn add(&mut self, new: Cell) {
        let is_other = |cell: &Cell| {
            cell.id != new.id && without_number(&cell.code) != without_number(&new.code)
        };
        self.cells.retain(is_other);
        self.cells.push(new);
    }

    fn add_generated(&mut self, id: CellId, generated: String) {
        if self.generated.len() >= KEPT {
            self.generated.pop_front();
        }
        self.generated.push_back((id, generated));
    }

    /// The cell and its line that stand at a line of what was compiled.
    fn find(&self, line: Line) -> Option<(&Cell, usize)> {
        let Line {
            cell: compiled_with,
            line,
        } = line;
        let (_, generated) = self
            .generated
            .iter()
            .rev()
            .find(|(id, _)| *id == compiled_with)?;
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let wanted = generated.lines().nth(index)?.trim();
        let own = self.cells.iter().filter(|cell| cell.id == compiled_with);
        let others = self
            .cells
            .iter()
            .rev()
            .filter(|cell| cell.id != compiled_with);
        own.chain(others).find_map(|cell| {
            let line = only_line(&cell.code, wanted)?;
            Some((cell, line))
        })
    }
}

/// A cell's text without the number in its guard.
fn without_number(code: &str) -> String {
    let parts = code.split("morceaux::enter(");
    parts
        .map(|part| part.split_once(')').map_or(part, |(_, rest)| rest))
        .collect()
}

/// The one line that a line of generated source comes from. evcxr puts a statement in lines of its
/// own, so that it may be the end of one, but for what the kernel has put behind it.
fn only_line(code: &str, wanted: &str) -> Option<usize> {
    let is_wanted = |line: &str| {
        let of_user = line.split(BEHIND).next().unwrap_or_default();
        of_user.trim().ends_with(wanted) && !wanted.is_empty()
    };
    let mut places = code.lines().enumerate().filter(|(_, line)| is_wanted(line));
    let (index, _) = places.next()?;
    places.next().is_none().then_some(index + 1)
}

/// The innermost function in which a line of a cell is.
fn function_around(code: &str, line: usize) -> Option<String> {
    struct Around {
        line: usize,
        name: Option<String>,
    }
    impl Around {
        fn look(&mut self, function: &impl Spanned, name: &syn::Ident) {
            let span = function.span();
            if (span.start().line..=span.end().line).contains(&self.line) {
                self.name = Some(name.to_string());
            }
        }
    }
    impl Visit<'_> for Around {
        fn visit_item_fn(&mut self, item: &syn::ItemFn) {
            self.look(item, &item.sig.ident);
            visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
            self.look(item, &item.sig.ident);
            visit::visit_impl_item_fn(self, item);
        }
        fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
            self.look(item, &item.sig.ident);
            visit::visit_trait_item_fn(self, item);
        }
    }
    let start = cell_source::start_of_code(code);
    let lines_before = code[..start].lines().count();
    let mut around = Around {
        line: line.checked_sub(lines_before)?,
        name: None,
    };
    let statements = cell_source::parse(&code[start..]).ok()?;
    statements
        .iter()
        .for_each(|statement| around.visit_stmt(statement));
    around.name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_the_innermost_function_around_it() {
        let code = ":dep x\nimpl P {\n    async fn f() {\n        g();\n    }\n}\nf();";
        assert_eq!(function_around(code, 4).as_deref(), Some("f"));
        assert_eq!(function_around(code, 7), None);
    }

    /// Cells 1, 2 … under the numbers 11, 12 …; the last one was compiled to `generated`.
    fn compiled(cells: &[&str], generated: &str) -> Compiled {
        let mut compiled = Compiled::default();
        for (id, cell) in (1..).zip(cells) {
            let code = (*cell).to_owned();
            let count = 10 + usize::try_from(id).unwrap();
            compiled.add(Cell { id, count, code });
        }
        let last = CellId::try_from(cells.len()).unwrap();
        compiled.add_generated(last, generated.to_owned());
        compiled
    }

    #[test]
    fn a_line_is_found_where_it_is_unambiguous() {
        let generated = "fn x() {\nlet a = 1;\na.b();\n}\n";
        let line = |cell: &str, line| {
            let compiled = compiled(&[cell], generated);
            let (cell, line) = compiled.find(Line { cell: 1, line })?;
            Some(seen(1, cell, line))
        };
        assert_eq!(line("guard(); let a = 1;\na.b();", 3), Some((2, None)));
        assert_eq!(line("guard(); let a = 1;\na.b();", 2), Some((1, None)));
        assert_eq!(line("a.b();\na.b();", 3), None);
        let followed = format!("b.c();\na.b();{BEHIND}); keep();");
        assert_eq!(line(&followed, 3), Some((2, None)));
        assert_eq!(line("a.b();", 9), None);
    }

    #[test]
    fn a_line_of_another_cell_is_found_there() {
        let generated = "fn f() {\n    g();\n}\nf();";
        let f = "fn f() {\n    g();\n}";
        let compiled = compiled(&[f, f, "f();"], generated);
        let line = |seen_from, line| {
            let (cell, line) = compiled.find(Line { cell: 3, line })?;
            Some(seen(seen_from, cell, line))
        };
        assert_eq!(line(3, 2), Some((2, Some(12))));
        assert_eq!(line(3, 4), Some((1, None)));
        assert_eq!(line(9, 4), Some((1, Some(13))), "of an earlier cell's task");
    }
}
