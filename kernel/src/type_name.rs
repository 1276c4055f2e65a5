//! Types, as evcxr and rustc name them and as a cell can. Pure.

use syn::Type;
use syn::visit::{self, Visit};

/// Whether a type contains one that cannot be written down.
pub fn is_unnameable(type_name: &Type) -> bool {
    contains(type_name, |inner| matches!(inner, Type::ImplTrait(_)))
}

/// Whether a type contains one that is not known.
pub fn is_inferred(type_name: &Type) -> bool {
    // That of a future's output does not matter where it is in an `impl Trait`.
    !is_unnameable(type_name) && contains(type_name, |inner| matches!(inner, Type::Infer(_)))
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
/// `impl Trait`, `!` by its name in the runtime, literals by their default type.
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
    struct Never;
    impl syn::visit_mut::VisitMut for Never {
        fn visit_type_mut(&mut self, inner: &mut Type) {
            if matches!(inner, Type::Never(_)) {
                *inner = syn::parse_quote!(morceaux::Never);
            }
            syn::visit_mut::visit_type_mut(self, inner);
        }
    }
    syn::visit_mut::VisitMut::visit_type_mut(&mut Never, &mut parsed);
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;

    use super::*;

    #[test]
    fn types_are_put_as_they_can_be_written() {
        let text = |name: &str| writable(name).map(|found| found.to_token_stream().to_string());
        assert_eq!(
            text("JoinHandle<!>").unwrap(),
            "JoinHandle < morceaux :: Never >"
        );
        assert_eq!(text("Vec<{integer}>").unwrap(), "Vec < i32 >");
        assert_eq!(text("{unclosed"), None);
    }
}
