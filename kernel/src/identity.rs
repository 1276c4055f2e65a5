//! The identity of the user's own types.
//!
//! rustc derives it from the crate's metadata argument, and cargo derives that from all dependencies:
//! with every new one, each variable of a type of the user's would be of another type and lost. So
//! all cells get the same argument, until a dependency changes that was there before: what is made of
//! its types may look different then, and values of before must not be taken for it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::prebuilt::SHARED_CRATES;
use crate::rustc_wrapper::value_of;

/// The file, in the folder of the compiled dependencies, in which lie the number of times that one
/// has changed, and behind it the dependencies.
const FILE: &str = "morceaux-identity";

/// Gives the cell that these arguments compile the identity of the earlier ones.
///
/// # Errors
/// Where what is known of those cannot be stored.
pub fn keep(args: &mut [OsString]) -> anyhow::Result<()> {
    let Some(folder) = value_of(args, "--out-dir") else {
        return Ok(());
    };
    let file = Path::new(folder).join(FILE);
    let known = fs::read_to_string(&file).unwrap_or_default();
    let present = dependencies(args);
    let next = next(&known, &present);
    if next != known {
        fs::write(&file, &next).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let number = next.lines().next().unwrap_or_default();
    for arg in args {
        if arg.to_str().is_some_and(|arg| arg.starts_with("metadata=")) {
            *arg = format!("metadata=morceaux-{number}").into();
        }
    }
    Ok(())
}

/// The dependencies with their files, whose names differ where they were built differently. Those
/// that all cells share with the runtime never do.
fn dependencies(args: &[OsString]) -> Vec<(String, String)> {
    let externs = args.windows(2).filter(|pair| pair[0] == "--extern");
    externs
        .filter_map(|pair| {
            let (name, path) = pair[1].to_str()?.split_once('=')?;
            Some((name.to_owned(), path.to_owned()))
        })
        .filter(|(name, _)| !SHARED_CRATES.contains(&&**name))
        .collect()
}

/// What is to be known when these dependencies have been seen.
fn next(known: &str, present: &[(String, String)]) -> String {
    let mut lines = known.lines();
    let mut number: usize = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let mut all: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('=')).collect();
    for (name, path) in present {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if known == path => {}
            Some((_, known)) => {
                *known = path;
                number += 1;
            }
            None => all.push((name, path)),
        }
    }
    let lines = all.iter().map(|(name, path)| format!("{name}={path}\n"));
    format!("{number}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(known: &str, present: &[(&str, &str)]) -> (String, String) {
        let present: Vec<_> = present
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect();
        let next = next(known, &present);
        (next.lines().next().unwrap().to_owned(), next)
    }

    #[test]
    fn only_a_dependency_that_changes_makes_other_types() {
        let (first, known) = number("", &[("a", "liba-1.rlib")]);
        let (added, known) = number(&known, &[("a", "liba-1.rlib"), ("b", "libb-1.rlib")]);
        let (without, known) = number(&known, &[("b", "libb-1.rlib")]);
        assert_eq!((&*first, &*added, &*without), ("0", "0", "0"));
        let (changed, known) = number(&known, &[("a", "liba-2.rlib"), ("b", "libb-1.rlib")]);
        let (again, _) = number(&known, &[("a", "liba-2.rlib")]);
        assert_eq!((&*changed, &*again), ("1", "1"));
    }

    #[test]
    fn the_shared_crates_do_not_count() {
        let args: Vec<OsString> = [
            "--extern",
            "tokio=/d/libtokio-1.rlib",
            "--extern",
            "a=/d/liba-1.rlib",
        ]
        .map(OsString::from)
        .into();
        assert_eq!(
            dependencies(&args),
            [("a".to_owned(), "/d/liba-1.rlib".to_owned())]
        );
    }
}
