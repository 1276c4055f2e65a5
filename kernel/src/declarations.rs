//! Source that is only read for its types, without what no type comes from. Pure.
//!
//! Left out are the bodies of functions, apart from `const fn`s, whose values may stand in types, and what
//! is derived for people. Macros are expanded for each of a dozen types, so what they define is cut
//! further: all bodies, and of the documentation all but the first paragraph. Attributes stay: without
//! `#[stable]`, `#[inline]` and their like, the first inference was measured to take a quarter longer.

use std::iter::Peekable;
use std::ops::Range;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::cell_source;

/// The trait that everything derives and on which no method or type depends.
const FOR_PEOPLE: &str = "Debug";

/// The source without what is said above. Where it is not made of tokens, it stays as it is.
pub fn only(source: &str) -> String {
    let Ok(tokens) = source.parse::<TokenStream>() else {
        return source.to_owned();
    };
    let mut cuts = Cuts::default();
    cuts.look_through(tokens, false);
    cell_source::forget_all();
    let mut left = String::with_capacity(source.len());
    let mut end = 0;
    for cut in cuts.found {
        // A mark at the beginning of a file is no token, but counts.
        let Some(kept) = source.get(end..cut.start) else {
            return source.to_owned();
        };
        left.push_str(kept);
        end = cut.end;
    }
    left.push_str(&source[end..]);
    left
}

/// What is to be cut out, in bytes, in order.
#[derive(Default)]
struct Cuts {
    found: Vec<Range<usize>>,
}

impl Cuts {
    /// Finds it in tokens, which may be what a macro is defined as.
    fn look_through(&mut self, tokens: TokenStream, in_macro: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let mut documented = Documented::No;
        let mut is_const = false;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    let start = punct.span().byte_range().start;
                    if let Some(attribute) = next_group(&mut tokens, Delimiter::Bracket) {
                        let range = start..attribute.span().byte_range().end;
                        self.attribute(&attribute, range, &mut documented, in_macro);
                        continue;
                    }
                }
                TokenTree::Ident(word) if word == "const" => {
                    is_const = true;
                    continue;
                }
                TokenTree::Ident(word) if word == "macro_rules" => {
                    self.macro_definition(&mut tokens);
                }
                // Before a bracket, it is a type.
                TokenTree::Ident(word)
                    if word == "fn" && !matches!(tokens.peek(), Some(TokenTree::Group(_))) =>
                {
                    self.function(&mut tokens, in_macro || !is_const);
                }
                // Between `const` and `fn`.
                TokenTree::Ident(word) if word == "unsafe" || word == "extern" => continue,
                TokenTree::Group(group) => self.look_through(group.stream(), in_macro),
                _ => {}
            }
            documented = Documented::No;
            is_const = false;
        }
    }

    fn macro_definition(&mut self, tokens: &mut Peekable<IntoIter>) {
        for token in tokens {
            match token {
                TokenTree::Group(definition) => {
                    return self.look_through(definition.stream(), true);
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => return,
                _ => {}
            }
        }
    }

    fn function(&mut self, tokens: &mut Peekable<IntoIter>, cuts_body: bool) {
        while let Some(token) = tokens.peek() {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    if cuts_body {
                        let open = group.span_open().byte_range();
                        self.found
                            .push(open.end..group.span_close().byte_range().start);
                        tokens.next();
                    }
                    return;
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => return,
                _ => tokens.next(),
            };
        }
    }

    fn attribute(
        &mut self,
        attribute: &Group,
        range: Range<usize>,
        documented: &mut Documented,
        in_macro: bool,
    ) {
        let mut tokens = attribute.stream().into_iter().peekable();
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return;
        };
        let name = name.to_string();
        if name == "derive" {
            if let Some(derived) = next_group(&mut tokens, Delimiter::Parenthesis) {
                self.derived(&derived);
            }
        } else if name == "doc" && in_macro {
            let text = tokens
                .nth(1)
                .map(|text| text.to_string())
                .unwrap_or_default();
            let is_empty = text.trim_matches(['"', ' ']).is_empty();
            *documented = match documented {
                Documented::No if !is_empty => Documented::FirstParagraph,
                Documented::FirstParagraph if !is_empty => Documented::FirstParagraph,
                Documented::No => Documented::No,
                _ => Documented::Enough,
            };
            if matches!(documented, Documented::Enough) {
                self.found.push(range);
            }
        }
    }

    fn derived(&mut self, derived: &Group) {
        let mut tokens = derived.stream().into_iter().peekable();
        while let Some(token) = tokens.next() {
            if matches!(&token, TokenTree::Ident(name) if name == FOR_PEOPLE) {
                let own = token.span().byte_range();
                let comma = tokens.peek().map(|comma| comma.span().byte_range().end);
                self.found.push(own.start..comma.unwrap_or(own.end));
            }
        }
    }
}

/// How much of the documentation of the next item has been seen.
enum Documented {
    No,
    FirstParagraph,
    Enough,
}

/// The next token, if it is a group of this kind.
fn next_group(tokens: &mut Peekable<IntoIter>, delimiter: Delimiter) -> Option<Group> {
    match tokens.peek() {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => {
            let group = group.clone();
            tokens.next();
            Some(group)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_left_out_and_types_are_not() {
        assert_eq!(
            only(
                "/// é\n///\n/// b\npub fn f<T>(t: T) -> impl Fn() { move || { drop(t) } }\n\
                 impl const A for fn(u8) { async fn g() {} pub const unsafe fn h() -> u8 { 1 } }\n\
                 trait B { const C: u8 = { 2 }; fn d(&self) -> u8 { 3 } fn e(); }\n\
                 cfg! { mod m { fn i() { 4 } } }"
            ),
            "/// é\n///\n/// b\npub fn f<T>(t: T) -> impl Fn() {}\n\
             impl const A for fn(u8) { async fn g() {} pub const unsafe fn h() -> u8 { 1 } }\n\
             trait B { const C: u8 = { 2 }; fn d(&self) -> u8 {} fn e(); }\n\
             cfg! { mod m { fn i() {} } }"
        );
    }

    #[test]
    fn what_macros_define_is_cut_further() {
        assert_eq!(
            only(
                "macro_rules! m { ($t:ty) => { #[doc = concat!(1)]\n/// first\n///\n/// more\n\
                 #[doc = concat!(2)]\npub const fn f(self) -> $t { 1 }\n/// other\nfn $g() { 2 } } }"
            ),
            "macro_rules! m { ($t:ty) => { #[doc = concat!(1)]\n/// first\n\n\n\n\
             pub const fn f(self) -> $t {}\n/// other\nfn $g() {} } }"
        );
    }

    #[test]
    fn what_is_derived_for_people_is_left_out() {
        let cases = [
            ("#[derive(Debug)] struct A;", "#[derive()] struct A;"),
            (
                "#[derive(Debug, Clone)] enum A {}",
                "#[derive( Clone)] enum A {}",
            ),
            (
                "#[derive(Clone, Debug)] struct A;",
                "#[derive(Clone, )] struct A;",
            ),
        ];
        for (source, left) in cases {
            assert_eq!(only(source), left);
        }
    }

    #[test]
    fn what_has_no_tokens_stays() {
        assert_eq!(only("fn f( { 1 }"), "fn f( { 1 }");
    }
}
