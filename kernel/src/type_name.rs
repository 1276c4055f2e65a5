//! Types, as evcxr and rustc name them and as a cell can. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Attribute, GenericParam, Generics, Ident, Path, Type, TypeParam};

/// With what the name of a type begins that no cell defines.
const LASTING: [&str; 27] = [
    "bool", "char", "str", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64",
    "u128", "usize", "f32", "f64", "String", "Vec", "Option", "Result", "Box", "std", "core",
    "alloc", "tokio", "morceaux",
];

/// Whether a type contains one that cannot be written down.
pub fn is_unnameable(type_name: &Type) -> bool {
    contains(type_name, |inner| matches!(inner, Type::ImplTrait(_)))
}

/// Whether a type contains one that is not known.
pub fn is_inferred(type_name: &Type) -> bool {
    // That of a future's output does not matter where it is in an `impl Trait`.
    !is_unnameable(type_name) && contains(type_name, |inner| matches!(inner, Type::Infer(_)))
}

/// Whether nothing of a type is left to be inferred.
pub fn is_complete(type_name: &Type) -> bool {
    let is_open = |inner: &Type| {
        matches!(
            inner,
            Type::Infer(_) | Type::ImplTrait(_) | Type::Macro(_) | Type::Never(_)
        )
    };
    !contains(type_name, is_open)
}

fn contains(type_name: &Type, wanted: fn(&Type) -> bool) -> bool {
    struct Search(fn(&Type) -> bool, bool);
    impl Visit<'_> for Search {
        fn visit_type(&mut self, inner: &Type) {
            self.1 |= (self.0)(inner);
            visit::visit_type(self, inner);
        }
    }
    let mut search = Search(wanted, false);
    search.visit_type(type_name);
    search.1
}

/// A type as evcxr or rustc names it, in a form that can be written in a cell: unnameable ones as
/// `impl Trait`, `!` by its name in the runtime, literals by their default type, crates in others by what
/// these call them.
pub fn writable(type_name: &str) -> Option<Type> {
    let mut text = String::with_capacity(type_name.len());
    let mut rest = type_name;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let close = open + rest[open..].find('}')?;
        text.push_str(match &rest[open + 1..close] {
            "integer" => "i32",
            "float" => "f64",
            future if future.starts_with("async block") || future.starts_with("async fn body") => {
                "impl std::future::Future<Output = _>"
            }
            closure if closure.starts_with("async closure body") => {
                "impl std::future::Future<Output = _>"
            }
            _ => "impl Sized",
        });
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    let mut parsed: Type = syn::parse_str(&text).ok()?;
    struct AsWritten;
    impl syn::visit_mut::VisitMut for AsWritten {
        fn visit_type_mut(&mut self, inner: &mut Type) {
            if matches!(inner, Type::Never(_)) {
                *inner = syn::parse_quote!(morceaux::Never);
            }
            syn::visit_mut::visit_type_mut(self, inner);
        }

        fn visit_path_mut(&mut self, path: &mut Path) {
            re_export(path);
            syn::visit_mut::visit_path_mut(self, path);
        }
    }
    syn::visit_mut::VisitMut::visit_type_mut(&mut AsWritten, &mut parsed);
    Some(parsed)
}

/// Crates that are made of others re-export them by what their names have of their own: `futures_channel`
/// is `futures::channel`. rustc calls it `futures::futures_channel`, by which nobody can reach it.
fn re_export(path: &mut Path) {
    let mut segments = path.segments.iter_mut();
    if let [Some(whole), Some(part), Some(_)] = [(); 3].map(|()| segments.next()) {
        let (name, of) = (part.ident.to_string(), format!("{}_", whole.ident));
        let own = name.strip_prefix(&of).map(syn::parse_str::<Ident>);
        if let Some(Ok(own)) = own {
            part.ident = own;
        }
    }
}

/// A type as people write it: without paths of what every module knows, and without blanks that nobody needs.
pub fn text(type_name: &Type) -> String {
    let mut text = type_name.to_token_stream().to_string();
    for (rustcs, peoples) in [
        ("\n", " "),
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        (" ;", ";"),
        ("& ", "&"),
        ("* ", "*"),
        ("! ", "!"),
        ("fn (", "fn("),
        ("Fn (", "Fn("),
        ("FnMut (", "FnMut("),
        ("FnOnce (", "FnOnce("),
        ("std::boxed::Box<", "Box<"),
        ("std::option::Option<", "Option<"),
        ("std::vec::Vec<", "Vec<"),
        ("std::string::String", "String"),
        ("std::iter::Iterator<", "Iterator<"),
        ("std::marker::Send", "Send"),
        ("std::marker::Sync", "Sync"),
        ("std::ops::Fn", "Fn"),
    ] {
        text = text.replace(rustcs, peoples);
    }
    text
}

/// What the runtime is told of a type that the notebook defines (see its `types!`), if that is always there and has no parameters but types.
pub fn naming(name: &Ident, generics: &Generics, attributes: &[Attribute]) -> Option<String> {
    if attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg"))
    {
        return None;
    }
    let mut naming = name.to_string();
    for (number, parameter) in generics.params.iter().enumerate() {
        let GenericParam::Type(TypeParam { ident, bounds, .. }) = parameter else {
            return None;
        };
        let bounds = bounds.to_token_stream();
        let _ = write!(naming, " [{ident} MorceauxKind{number} {bounds}]");
    }
    if !generics.params.is_empty() {
        let clause = generics.where_clause.as_ref();
        let predicates = clause.map(|clause| clause.predicates.to_token_stream().to_string());
        let _ = write!(naming, " where {}", predicates.unwrap_or_default());
    }
    // Some tokens are put into several lines.
    Some(naming.replace('\n', " "))
}

/// Whether a type is the same in all cells.
pub fn lasts(type_name: &str) -> bool {
    let parsed = syn::parse_str::<Type>(type_name);
    parsed.is_ok_and(|parsed| all_paths(&parsed, begins_with_lasting))
}

/// The types of other crates of which a type is made.
pub fn of_other_crates(type_name: &str) -> BTreeSet<String> {
    struct Search(BTreeSet<String>);
    impl Visit<'_> for Search {
        fn visit_type(&mut self, inner: &Type) {
            let is_of_other = |path: &Path| path.segments.len() > 1 && !begins_with_lasting(path);
            match inner {
                Type::Path(path) if is_of_other(&path.path) => {
                    let text = text(inner);
                    // What the notebook defines may be defined otherwise.
                    let is_known =
                        |path: &Path| path.segments.len() > 1 || begins_with_lasting(path);
                    if all_paths(inner, is_known) && !text.contains("'_") {
                        self.0.insert(text);
                    }
                }
                _ => visit::visit_type(self, inner),
            }
        }
    }
    let mut search = Search(BTreeSet::new());
    if let Ok(parsed) = syn::parse_str(type_name) {
        search.visit_type(&parsed);
    }
    search.0
}

fn begins_with_lasting(path: &Path) -> bool {
    let first = path.segments.first();
    first.is_some_and(|first| LASTING.iter().any(|name| first.ident == name))
}

fn all_paths(type_name: &Type, is_wanted: impl Fn(&Path) -> bool) -> bool {
    struct Paths<F>(F, bool);
    impl<F: Fn(&Path) -> bool> Visit<'_> for Paths<F> {
        fn visit_path(&mut self, path: &Path) {
            self.1 &= (self.0)(path);
            visit::visit_path(self, path);
        }
    }
    let mut paths = Paths(is_wanted, true);
    paths.visit_type(type_name);
    paths.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_people_do() {
        let boxed = "std::boxed::Box<dyn std::ops::FnMut(u8) + std::marker::Send>";
        assert_eq!(
            text(&syn::parse_str(boxed).unwrap()),
            "Box<dyn FnMut(u8) + Send>"
        );
        for name in [
            "Vec<(a::B, &'static str, [u8; 3])>",
            "Box<dyn Fn(&str) -> Option<u8> + Send + Sync>",
            "<A as b::C>::D",
            "dyn for<'a> FnOnce(&'a mut u8) -> *const fn(u8) -> !",
        ] {
            assert_eq!(text(&syn::parse_str(name).unwrap()), name);
        }
    }

    #[test]
    fn what_no_cell_defines_lasts() {
        assert!(lasts("Vec<std::string::String>") && lasts("(i32, &'static str)"));
        assert!(!lasts("Option<Mine>") && !lasts("serde_json::Value"));
    }

    #[test]
    fn types_are_named_with_what_their_parameters_have_to_be() {
        let named = |item: &str| {
            let item: syn::ItemStruct = syn::parse_str(item).unwrap();
            naming(&item.ident, &item.generics, &item.attrs)
        };
        assert_eq!(named("struct A;").unwrap(), "A");
        assert_eq!(
            named("struct B<T, U: C + ?Sized>(T, Box<U>) where T: D;").unwrap(),
            "B [T MorceauxKind0 ] [U MorceauxKind1 C + ? Sized] where T : D"
        );
        for unnamed in [
            "struct E<'a>(&'a u8);",
            "struct F<const N: u8>;",
            "#[cfg(test)] struct G;",
        ] {
            assert_eq!(named(unnamed), None);
        }
    }

    #[test]
    fn types_of_other_crates_are_found() {
        let found = |name: &str| Vec::from_iter(of_other_crates(name));
        assert_eq!(found("HashMap<String, a::b::C>"), ["a::b::C"]);
        assert_eq!(found("(a::B, Vec<c::D<u8>>)"), ["a::B", "c::D<u8>"]);
        assert!(found("Vec<a::B<Mine>>").is_empty() && found("std::a::B").is_empty());
        assert!(found("a::B<'_>").is_empty());
    }

    #[test]
    fn types_are_put_as_they_can_be_written() {
        let text = |name: &str| writable(name).map(|found| found.to_token_stream().to_string());
        assert_eq!(
            text("JoinHandle<!>").unwrap(),
            "JoinHandle < morceaux :: Never >"
        );
        assert_eq!(text("Vec<{integer}>").unwrap(), "Vec < i32 >");
        let channel = |by: &str| format!("Option<futures::{by}::mpsc::Sender<u8>>");
        assert_eq!(text(&channel("futures_channel")), text(&channel("channel")));
        assert_eq!(text("a::a_b").unwrap(), "a :: a_b");
        assert_eq!(text("a::a_2::c").unwrap(), "a :: a_2 :: c");
        assert_eq!(text("{unclosed"), None);
    }
}
