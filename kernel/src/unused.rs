//! The functions of a notebook that a cell does not call, which would be checked again with every cell. Pure.

use std::collections::HashSet;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::{Attribute, Item, ItemFn};

use crate::words::{is_of_word, words};

/// Attributes without which a function is the same to those who do not call it.
const HARMLESS: [&str; 5] = ["doc", "allow", "inline", "must_use", "track_caller"];

/// The source of a cell without the functions that nothing in it names. Everything else stays where it is, in
/// lines and in bytes. None where there are no such functions, or it is no valid Rust.
pub fn without_unused_functions(source: &str) -> Option<String> {
    let file = syn::parse_file(source).ok()?;
    let mut unused: Vec<(String, Range<usize>)> = file.items.iter().filter_map(function).collect();
    let mut kept = Vec::new();
    let mut start = 0;
    for (_, range) in &unused {
        kept.push(start..range.start);
        start = range.end;
    }
    kept.push(start..source.len());
    // What is named by a function that is named is named, too.
    let mut named: HashSet<&str> = HashSet::new();
    while let Some(range) = kept.pop() {
        named.extend(words(&source[range]));
        unused.retain(|(name, range)| {
            let is_named = named.contains(&**name);
            kept.extend(is_named.then(|| range.clone()));
            !is_named
        });
    }
    if unused.is_empty() {
        return None;
    }
    let mut shorter = source.to_owned();
    for (_, range) in unused {
        let blank = source[range.clone()].bytes();
        let blank = blank.map(|byte| if byte == b'\n' { '\n' } else { ' ' });
        shorter.replace_range(range, &blank.collect::<String>());
    }
    Some(shorter)
}

/// Whether a source has a function of this name.
pub fn defines(source: &str, name: &str) -> bool {
    let start = format!("fn {name}");
    let mut after = source.split(&start).skip(1);
    after.any(|rest| !rest.starts_with(is_of_word))
}

/// The name of a function that can be left out, and where it stands.
fn function(item: &Item) -> Option<(String, Range<usize>)> {
    let Item::Fn(ItemFn { attrs, sig, .. }) = item else {
        return None;
    };
    let harmless = attrs.iter().all(is_harmless);
    (harmless && sig.abi.is_none()).then(|| (sig.ident.to_string(), item.span().byte_range()))
}

fn is_harmless(attribute: &Attribute) -> bool {
    HARMLESS.iter().any(|name| attribute.path().is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the functions that are left.
    fn left(source: &str) -> Vec<String> {
        let shorter = without_unused_functions(source).unwrap_or(source.to_owned());
        assert_eq!(shorter.len(), source.len());
        assert_eq!(shorter.lines().count(), source.lines().count());
        let parsed = syn::parse_file(&shorter).unwrap();
        let functions = parsed.items.iter().filter_map(|item| match item {
            Item::Fn(item) => Some(item.sig.ident.to_string()),
            _ => None,
        });
        functions.collect()
    }

    #[test]
    fn what_the_cell_names_stays_with_what_that_names() {
        let source = "/// Words: c.\nfn a() {}\nfn b<T>(t: T)\n{\n c()\n}\nasync fn c() { \"é\"; }\n\
                      fn c1() { d() }\nfn d() { c1() }\n\
                      #[unsafe(no_mangle)]\npub extern \"C\" fn run() { b(1); }\n";
        assert_eq!(left(source), ["b", "c", "run"]);
    }

    #[test]
    fn what_may_be_meant_by_others_stays() {
        let source = "#[unsafe(no_mangle)]\nfn a() {}\n#[test]\nfn b() {}\nextern \"C\" fn c() {}\n\
                      #[serde(default = \"d\")]\nstruct S;\nfn d() {}\nm!(e);\nfn e() {}\n";
        assert_eq!(left(source), ["a", "b", "c", "d", "e"]);
        assert_eq!(without_unused_functions(source), None);
        assert_eq!(without_unused_functions("fn a( {"), None);
    }

    #[test]
    fn functions_are_known_by_their_whole_names() {
        let source = "fn ab() {} async fn c<T>() {}";
        let defined = ["ab", "a", "c", "T"].map(|name| defines(source, name));
        assert_eq!(defined, [true, false, true, false]);
    }
}
