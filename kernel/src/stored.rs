//! The lines by which every cell takes all variables of the notebook out of their store and puts them back
//! at its end: in a long notebook, most of what rustc has to compile. Pinned to what evcxr 0.22.0 generates
//! (its `code_to_compile`). Pure.

use std::collections::HashSet;

use crate::type_name::lasts;
use crate::words::{is_of_word, words};

/// What stands before the variables are checked, and before they are taken.
const CHECKS: &str = "\n{let mut vars_ok = true;\n";
const TAKES: &str = "\nif !vars_ok {return evcxr_variable_store;}}\n";
/// What stands behind the lines that put them back.
const END: &str = "\nevcxr_variable_store\n}";

/// What stands around the cell's own code, where that is to be run.
const RUN: &str = "\nmatch std::panic::catch_unwind(\n";

/// What stands in such lines before the name of the variable's type.
const CHECK: &str = "vars_ok &= evcxr_variable_store.check_variable::<";
const TAKE: &str = " = evcxr_variable_store.take_variable::<";
const PUT: &str = "evcxr_variable_store.put_variable::<";
/// What stands in all of them between the type and the variable, and behind that.
const NAME: &str = ">(stringify!(";
const NAMED: char = ')';

/// The source of a cell without the lines that only serve variables that it does not name. Everything
/// else stays where it is, in lines and in bytes. None where there are no such lines.
///
/// Where a cell may define a variable's type anew, it is still checked that it is the same: whoever
/// defines it is told what is lost.
pub fn left_in_store(source: &str) -> Option<String> {
    let checks = source.find(CHECKS)? + CHECKS.len();
    let takes = checks + source[checks..].find(TAKES)? + TAKES.len();
    let end = source.rfind(END)? + 1;
    let lines = source.get(takes..end)?.split_inclusive('\n');
    let cell = takes + length_while(lines, |line| taken(line).is_some());
    let lines = source[cell..end].split_inclusive('\n').rev();
    let puts = end - length_while(lines, |line| put(line).is_some());

    let named: HashSet<&str> = words(&source[cell..puts]).collect();
    let put_back: HashSet<&str> = source[puts..end].lines().filter_map(put).collect();
    let left: HashSet<&str> = source[takes..cell]
        .lines()
        .filter_map(taken)
        .filter(|name| name.chars().all(is_of_word) && !named.contains(name))
        .filter(|name| put_back.contains(name))
        .collect();
    let is_left = |name: Option<&str>| name.is_some_and(|name| left.contains(name));
    let needs_no_check = |line: &str| {
        let (type_name, name) = type_and_name(line, CHECK).unzip();
        is_left(name) && type_name.is_some_and(lasts)
    };
    (!left.is_empty()).then(|| {
        [
            &source[..checks],
            &blank(&source[checks..takes], needs_no_check),
            &blank(&source[takes..cell], |line| is_left(taken(line))),
            &source[cell..puts],
            &blank(&source[puts..end], |line| is_left(put(line))),
            &source[end..],
        ]
        .concat()
    })
}

/// Whether a cell takes this variable out of the store.
pub fn takes(source: &str, name: &str) -> bool {
    ["", "mut "]
        .iter()
        .any(|mutable| source.contains(&format!("\nlet {mutable}{name}{TAKE}")))
}

/// The source of a cell that is not to be run, without the lines that put variables back: evcxr compiles a
/// cell with errors once more for better messages, and a variable that the cell binds anew would be in
/// place of the old one there. None of a cell that is to be run.
pub fn left_alone(source: &str) -> Option<String> {
    let end = source.rfind(END)? + 1;
    if source.contains(RUN) {
        return None;
    }
    let lines = source[..end].split_inclusive('\n').rev();
    // Some may have been taken out already.
    let is_put = |line: &str| put(line).is_some() || line.trim().is_empty();
    let puts = end - length_while(lines, is_put);
    Some(
        [
            &source[..puts],
            &blank(&source[puts..end], |_| true),
            &source[end..],
        ]
        .concat(),
    )
}

/// The text with blanks for some of its lines.
fn blank(text: &str, is_needless: impl Fn(&str) -> bool) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        if is_needless(line) {
            format!("{:>1$}", "\n", line.len())
        } else {
            line.to_owned()
        }
    });
    lines.collect()
}

/// The length of the first lines of which this is true, in bytes.
fn length_while<'a>(
    lines: impl Iterator<Item = &'a str>,
    is_wanted: impl Fn(&str) -> bool,
) -> usize {
    lines.take_while(|line| is_wanted(line)).map(str::len).sum()
}

/// The variable that a line takes.
fn taken(line: &str) -> Option<&str> {
    let variable = line.strip_prefix("let ")?.find(TAKE)? + "let ".len();
    Some(type_and_name(&line[variable..], TAKE)?.1)
}

/// The variable that a line puts back.
fn put(line: &str) -> Option<&str> {
    Some(type_and_name(line, PUT)?.1)
}

fn type_and_name<'a>(line: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    let (type_name, rest) = line.strip_prefix(before)?.rsplit_once(NAME)?;
    Some((type_name, rest.split_once(NAMED)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cell with the variables `a`, `b`, `ab` and `mine`, which no cell but this one defines.
    fn cell(code: &str) -> String {
        let variables = [
            ("a", "i32"),
            ("b", "Vec<u8>"),
            ("ab", "Vec<Mine>"),
            ("mine", "Mine"),
        ];
        let lines = |line: fn(&str, &str) -> String| -> String {
            variables
                .map(|(name, type_name)| line(name, type_name))
                .concat()
        };
        let checks = lines(|name, type_name| format!("{CHECK}{type_name}{NAME}{name}));\n"));
        let takes =
            lines(|name, type_name| format!("let mut {name}{TAKE}{type_name}{NAME}{name}));\n"));
        let puts = lines(|name, type_name| format!("{PUT}{type_name}{NAME}{name}), {name});\n"));
        format!(
            "fn cell() {{{CHECKS}{checks}{}{takes}{code}\n{puts}{}}}\n",
            &TAKES[1..],
            &END[1..END.len() - 1]
        )
    }

    fn lines_with<'a>(source: &'a str, word: &str) -> Vec<&'a str> {
        source.lines().filter(|line| line.contains(word)).collect()
    }

    #[test]
    fn what_is_not_named_is_left_and_nothing_moves() {
        let source = cell("f(a);");
        let shorter = left_in_store(&source).unwrap();
        assert_eq!(
            lines_with(&shorter, "stringify!(a)"),
            lines_with(&source, "stringify!(a)")
        );
        assert!(lines_with(&shorter, "stringify!(b)").is_empty());
        assert_eq!(shorter.find("f(a);"), source.find("f(a);"));
        assert!(takes(&source, "b") && takes(&shorter, "a") && !takes(&shorter, "b"));
        assert_eq!(shorter.len(), source.len());
        assert_eq!(shorter.lines().count(), source.lines().count());
    }

    #[test]
    fn a_type_that_a_cell_may_define_is_still_checked() {
        let shorter = left_in_store(&cell("")).unwrap();
        for name in ["stringify!(ab)", "stringify!(mine)"] {
            let [line] = lines_with(&shorter, name)[..] else {
                panic!("{shorter}")
            };
            assert!(line.starts_with(CHECK));
        }
    }

    #[test]
    fn a_name_counts_wherever_it_stands() {
        for code in [
            "f(a)",
            "// a",
            "println!(\"{a}\")",
            "m!(a)",
            "or_keep!([a; ] r)",
        ] {
            let shorter = left_in_store(&cell(code)).unwrap();
            assert_eq!(lines_with(&shorter, "stringify!(a)").len(), 3, "{code}");
        }
    }

    #[test]
    fn what_is_taken_for_good_is_taken() {
        let source = cell("").replace(
            "evcxr_variable_store.put_variable::<i32>(stringify!(a), a);\n",
            "",
        );
        assert_eq!(
            lines_with(&left_in_store(&source).unwrap(), "stringify!(a)").len(),
            2
        );
    }

    #[test]
    fn what_is_not_run_puts_nothing_back() {
        let source = cell("f(a);");
        let alone = left_alone(&source).unwrap();
        assert_eq!(alone.matches(PUT).count(), 0);
        assert_eq!(
            (alone.len(), alone.matches(TAKE).count()),
            (source.len(), 4)
        );
        let shorter = left_in_store(&source).unwrap();
        assert_eq!(left_alone(&shorter).unwrap().matches(PUT).count(), 0);
        assert_eq!(left_alone(&cell(RUN)), None);
    }

    #[test]
    fn what_is_not_known_or_names_all_is_left_alone() {
        assert_eq!(left_in_store("fn cell() {}\n"), None);
        assert_eq!(left_in_store(&cell("(a, b, ab, mine)")), None);
    }
}
