//! What has been compiled, to find the place in a cell that a line of generated source comes from.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::CallPlace;
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
            source: session_dir::cells(session).join("src/lib.rs"),
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

    /// Where a call of the user's is, seen from a cell.
    pub fn place(&self, seen_from: CellId, function: Option<String>, line: Line) -> CallPlace {
        CallPlace {
            function,
            place: self.line(seen_from, line),
        }
    }

    /// The line that stands at a line of what was compiled, and the number of the cell in which it is
    /// unless that is the one from which it is seen; nothing where it can be in several places. Lines
    /// count from 1.
    pub fn line(&self, seen_from: CellId, line: Line) -> Option<(usize, Option<usize>)> {
        self.lock().line(seen_from, line)
    }
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

    fn line(&self, seen_from: CellId, line: Line) -> Option<(usize, Option<usize>)> {
        let Line { cell, line } = line;
        let compiled_with = cell;
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
            Some((line, (cell.id != seen_from).then_some(cell.count)))
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
/// own, so that it may be the end of one.
fn only_line(code: &str, wanted: &str) -> Option<usize> {
    let mut places = code
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim().ends_with(wanted) && !wanted.is_empty());
    let (index, _) = places.next()?;
    places.next().is_none().then_some(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let line = |cell: &str, line| compiled(&[cell], generated).line(1, Line { cell: 1, line });
        assert_eq!(line("guard(); let a = 1;\na.b();", 3), Some((2, None)));
        assert_eq!(line("guard(); let a = 1;\na.b();", 2), Some((1, None)));
        assert_eq!(line("a.b();\na.b();", 3), None);
        assert_eq!(line("a.b();", 9), None);
    }

    #[test]
    fn a_line_of_another_cell_is_found_there() {
        let generated = "fn f() {\n    g();\n}\nf();";
        let f = "fn f() {\n    g();\n}";
        let compiled = compiled(&[f, f, "f();"], generated);
        let line = |seen_from, line| compiled.line(seen_from, Line { cell: 3, line });
        assert_eq!(line(3, 2), Some((2, Some(12))));
        assert_eq!(line(3, 4), Some((1, None)));
        assert_eq!(line(9, 4), Some((1, Some(13))), "of an earlier cell's task");
    }
}
