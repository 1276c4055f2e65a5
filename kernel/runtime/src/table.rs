//! Tables of what is `Debug`: a row for each element, a column for each field.
//!
//! What a derived `Debug` writes is read back: `[P { x: 1, y: 2 }, …]`, `{"a": P { … }, …}`. So it
//! works for slices, vectors, sets and maps of whatever the user has made, without a trait for them.

use std::fmt::{Debug, Write};

use crate::mime::{MimeBundle, Show, Shown};
use crate::shorten::grouped;

/// Rows beyond these are only counted.
const MAX_ROWS: usize = 100;

/// Shows a collection as a table: a row for each element or entry, a column for each field. Of more
/// than a hundred rows the first are shown, and the number of the others.
///
/// ```no_run
/// use morceaux::prelude::*;
///
/// #[derive(Debug)]
/// struct Planet { name: &'static str, moons: u8 }
///
/// let planets = [Planet { name: "Earth", moons: 1 }, Planet { name: "Mars", moons: 2 }];
/// display(&Table(&planets));
/// ```
#[derive(Clone, Copy)]
pub struct Table<T>(pub T);

impl<T: Debug> Show for Table<T> {
    fn show(&self) -> MimeBundle {
        let mut elements = Elements::default();
        // Only an implementation of `Debug` fails, and what it wrote until then is worth showing.
        let _ = write!(elements, "{:?}", self.0);
        let grid = Grid::of(elements);
        MimeBundle::new()
            .with("text/html", grid.html())
            .with("text/plain", grid.plain())
    }
}

impl<T: Debug> Shown for Table<T> {
    fn shown(&self) -> MimeBundle {
        self.show()
    }
}

/// Cuts what `Debug` writes for a collection into its elements, while it is written.
#[derive(Default)]
struct Elements {
    scanner: Scanner,
    /// Whether it is a collection, and no single value.
    opened: bool,
    current: String,
    first: Vec<String>,
    count: usize,
}

impl Elements {
    fn end_element(&mut self) {
        let element = std::mem::take(&mut self.current);
        let element = element.trim();
        if element.is_empty() {
            return;
        }
        self.count += 1;
        if self.first.len() < MAX_ROWS {
            self.first.push(element.to_owned());
        }
    }
}

impl Write for Elements {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            let depth = self.scanner.depth;
            let is_structure = self.scanner.take(character);
            let opens = depth == 0 && self.scanner.depth == 1;
            let closes = self.opened && depth == 1 && self.scanner.depth == 0;
            if is_structure && opens && self.current.trim().is_empty() && self.count == 0 {
                self.opened = true;
            } else if is_structure && (closes || self.opened && depth == 1 && character == ',') {
                self.end_element();
            } else if self.first.len() < MAX_ROWS || self.current.trim().is_empty() {
                self.current.push(character);
            }
        }
        Ok(())
    }
}

/// Tells the structure of `Debug` text from what stands in quotes.
#[derive(Default)]
struct Scanner {
    depth: usize,
    /// In which quotes, and how many characters have come since.
    quoted: Option<(char, usize)>,
    escaped: bool,
    previous: char,
}

/// The longest character in quotes is `'\u{10ffff}'`. Somebody's own `Debug` may write an apostrophe
/// that quotes nothing.
const MAX_QUOTED_CHARACTER: usize = 12;

impl Scanner {
    /// Takes the next character; returns whether it is structure: a bracket, a comma or a colon.
    fn take(&mut self, character: char) -> bool {
        let previous = std::mem::replace(&mut self.previous, character);
        if let Some((quote, length)) = self.quoted {
            let ends = character == quote && !self.escaped
                || quote == '\'' && length > MAX_QUOTED_CHARACTER;
            self.escaped = !self.escaped && character == '\\';
            self.quoted = (!ends).then_some((quote, length + 1));
            return false;
        }
        match character {
            '"' => self.quoted = Some((character, 0)),
            '\'' if !previous.is_alphanumeric() => self.quoted = Some((character, 0)),
            '[' | '(' | '{' => self.depth += 1,
            ']' | ')' | '}' => self.depth = self.depth.saturating_sub(1),
            ',' | ':' => {}
            _ => return false,
        }
        self.quoted.is_none()
    }
}

/// Where a character of the structure stands outside of all brackets.
fn outside(text: &str, wanted: char) -> Vec<usize> {
    let mut scanner = Scanner::default();
    let mut found = Vec::new();
    for (index, character) in text.char_indices() {
        if scanner.take(character) && scanner.depth == 0 && character == wanted {
            found.push(index);
        }
    }
    found
}

/// `key: value`, where what follows the colon is no second one, as in a path.
fn entry(text: &str) -> Option<(&str, &str)> {
    let colons = outside(text, ':');
    let colon = colons
        .iter()
        .find(|colon| text[**colon + 1..].starts_with(' '))?;
    Some((text[..*colon].trim(), text[*colon + 1..].trim()))
}

/// What stands in the brackets that end a text, and in which ones.
fn in_brackets(text: &str) -> Option<(char, &str)> {
    let start = text.find(['[', '(', '{'])?;
    let name = text[..start].trim_end();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let inner = text[start + 1..].strip_suffix([']', ')', '}'])?;
    let open = text[start..].chars().next()?;
    name.chars().all(is_name).then_some((open, inner))
}

/// The parts of a value, with the names of their columns.
fn columns(value: &str) -> Vec<(String, String)> {
    let alone = || vec![("value".to_owned(), cell(value))];
    let Some((open, inner)) = in_brackets(value) else {
        return alone();
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for end in outside(inner, ',').into_iter().chain([inner.len()]) {
        parts.push(inner[start..end].trim());
        start = (end + 1).min(inner.len());
    }
    parts.retain(|part| !part.is_empty());
    if open == '{' {
        let fields: Option<Vec<_>> = parts.iter().map(|part| entry(part)).collect();
        let fields = fields.filter(|fields| !fields.is_empty());
        return fields.map_or_else(alone, |fields| {
            let field = |(name, value): (&str, &str)| (cell(name), cell(value));
            fields.into_iter().map(field).collect()
        });
    }
    let numbered = |(index, part): (usize, &&str)| (index.to_string(), cell(part));
    parts.iter().enumerate().map(numbered).collect()
}

/// A string without its quotes, everything else as it is.
fn cell(value: &str) -> String {
    match value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(text) => text.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// How many rows are not there.
    left_out: usize,
}

impl Grid {
    fn of(mut elements: Elements) -> Grid {
        elements.end_element();
        let mut grid = Grid {
            head: Vec::new(),
            rows: Vec::new(),
            left_out: elements.count - elements.first.len(),
        };
        for element in &elements.first {
            let mut cells = Vec::new();
            let in_map = elements.opened.then(|| entry(element)).flatten();
            if let Some((key, value)) = in_map {
                cells.push(("key".to_owned(), cell(key)));
                cells.extend(columns(value));
            } else {
                cells.extend(columns(element));
            }
            grid.push(cells);
        }
        grid
    }

    fn push(&mut self, cells: Vec<(String, String)>) {
        let mut row = vec![String::new(); self.head.len()];
        for (name, value) in cells {
            match self.head.iter().position(|known| *known == name) {
                Some(column) => row[column] = value,
                None => {
                    self.head.push(name);
                    row.push(value);
                }
            }
        }
        self.rows.push(row);
    }

    fn note(&self) -> Option<String> {
        let rows = if self.left_out == 1 { "row" } else { "rows" };
        (self.left_out > 0).then(|| format!("… and {} more {rows}", grouped(self.left_out)))
    }

    fn html(&self) -> String {
        let line = |tag: &str, cells: &[String]| {
            let mut cells = cells.to_vec();
            // A row that came before a column was known.
            cells.resize(self.head.len(), String::new());
            let cell = |text: String| format!("<{tag}>{}</{tag}>", escaped(&text));
            format!(
                "<tr>{}</tr>",
                cells.into_iter().map(cell).collect::<String>()
            )
        };
        let head = line("th", &self.head);
        let rows: String = self.rows.iter().map(|row| line("td", row)).collect();
        let note = self
            .note()
            .map_or_else(String::new, |note| format!("<p>{note}</p>"));
        format!("<table><thead>{head}</thead><tbody>{rows}</tbody></table>{note}")
    }

    fn plain(&self) -> String {
        let lines: Vec<&Vec<String>> = std::iter::once(&self.head).chain(&self.rows).collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text: Vec<String> = lines
            .iter()
            .map(|line| {
                let cells = line.iter().zip(&widths);
                let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
                cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
            })
            .collect();
        text.extend(self.note());
        text.join("\n")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only their Debug is read")]
    struct Row {
        name: &'static str,
        at: (u8, char),
    }

    fn plain(value: impl Debug) -> Vec<String> {
        let bundle = Table(value).show().into_bundle();
        bundle[1].1.lines().map(str::to_owned).collect()
    }

    const ROWS: [Row; 2] = [
        Row {
            name: "a, \"b\" {",
            at: (1, ','),
        },
        Row {
            name: "c",
            at: (22, '"'),
        },
    ];

    #[test]
    fn fields_are_columns() {
        let expected = [
            "name      at",
            "a, \"b\" {  (1, ',')",
            "c         (22, '\"')",
        ];
        assert_eq!(plain(ROWS), expected);
        let html = Table(&ROWS[1..]).show().into_bundle()[0].1.clone();
        let row = "<tr><td>c</td><td>(22, '\"')</td></tr>";
        assert!(
            html.contains(row) && html.contains("<th>name</th>"),
            "{html}"
        );
    }

    #[test]
    fn entries_of_maps_are_rows() {
        let numbers = BTreeMap::from([("one: 1", 1), ("two", 2)]);
        assert_eq!(plain(numbers), ["key     value", "one: 1  1", "two     2"]);
        let rows = BTreeMap::from([(std::any::type_name::<Row>(), &ROWS[1])]);
        assert!(plain(rows)[0].ends_with("  name  at"));
    }

    #[test]
    fn what_has_no_fields_has_one_column() {
        assert_eq!(plain([Some(1), None]), ["0  value", "1", "   None"]);
        assert_eq!(plain(["a", "b"]), ["value", "a", "b"]);
        assert_eq!(plain(&ROWS[1]), ["name  at", "c     (22, '\"')"]);
    }

    #[test]
    fn many_rows_are_counted() {
        let table = plain((0..1234).collect::<Vec<_>>());
        assert_eq!(table.len(), 1 + MAX_ROWS + 1);
        assert_eq!(table[MAX_ROWS + 1], "… and 1,134 more rows");
    }
}
