//! What has been compiled, to find the place in a cell that a line of generated source comes from.
//! Pure.

/// The cells of a session, as evcxr got them.
#[derive(Debug, Default)]
pub struct History {
    cells: Vec<(usize, String)>,
}

impl History {
    /// Adds a cell under the number that the user sees. It takes the place of an earlier version of
    /// the same text, as when a cell is run again.
    pub fn add(&mut self, count: usize, rewritten: &str) {
        self.cells
            .retain(|(_, earlier)| items_of(earlier) != items_of(rewritten));
        self.cells.push((count, rewritten.to_owned()));
    }

    /// The line of a cell that stands at a line of generated source, and the cell's number unless it
    /// is the last one; nothing where it can be in several places. Lines count from 1.
    pub fn place(&self, generated: &str, line: u32) -> Option<(usize, Option<usize>)> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let wanted = generated.lines().nth(index)?.trim();
        let mut cells = self.cells.iter().rev();
        let (_, present) = cells.next()?;
        if let Some(line) = only_line(present, wanted) {
            return Some((line, None));
        }
        cells.find_map(|(count, code)| Some((only_line(code, wanted)?, Some(*count))))
    }
}

/// A cell's text without the number in its guard.
fn items_of(code: &str) -> String {
    code.split("morceaux::enter(")
        .map(|part| part.split_once(')').map_or(part, |(_, rest)| rest))
        .collect()
}

/// The one line that a line of generated source comes from. evcxr puts its own text in front of none.
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

    fn history(cells: &[&str]) -> History {
        let mut history = History::default();
        for (index, cell) in cells.iter().enumerate() {
            history.add(index + 1, cell);
        }
        history
    }

    #[test]
    fn a_line_is_found_where_it_is_unambiguous() {
        let generated = "fn x() {\nlet a = 1;\na.b();\n}\n";
        let place = |cells: &[&str], line| history(cells).place(generated, line);
        assert_eq!(place(&["guard(); let a = 1;\na.b();"], 3), Some((2, None)));
        assert_eq!(place(&["guard(); let a = 1;\na.b();"], 2), Some((1, None)));
        assert_eq!(place(&["a.b();\na.b();"], 3), None);
        assert_eq!(place(&["a.b();"], 9), None);
    }

    #[test]
    fn a_line_of_an_earlier_cell_is_found_there() {
        let generated = "fn f() {\n    g();\n}\nf();";
        let history = history(&["fn f() {\n    g();\n}", "fn f() {\n    g();\n}", "f();"]);
        assert_eq!(history.place(generated, 2), Some((2, Some(2))));
        assert_eq!(history.place(generated, 4), Some((1, None)));
    }
}
