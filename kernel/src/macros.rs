//! What stands in the macros that cells call, where it is code that runs where it stands. Pure.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::ParseStream;
use syn::{Expr, Macro, Pat, Token};

/// Macros of the `join!` family, which await without the word.
const AWAITING_MACROS: [&str; 4] = ["join", "try_join", "select", "select_biased"];

/// Macros whose tokens are not code that runs where they stand.
const QUOTING_MACROS: [&str; 4] = ["stringify", "quote", "quote_spanned", "macro_rules"];

/// Macros that only look at what they are given.
const LOOKING_MACROS: [&str; 16] = [
    "print",
    "println",
    "eprint",
    "eprintln",
    "format",
    "write",
    "writeln",
    "assert",
    "assert_eq",
    "assert_ne",
    "panic",
    "info",
    "debug",
    "warn",
    "error",
    "trace",
];

/// Whether a macro only looks at what it is given.
pub fn only_looks(mac: &Macro) -> bool {
    LOOKING_MACROS.contains(&&*name(mac))
}

/// Macros that make statics.
const STATICS_MACROS: [&str; 3] = ["thread_local", "task_local", "lazy_static"];

/// Whether a macro makes statics.
pub fn makes_statics(mac: &Macro) -> bool {
    STATICS_MACROS.contains(&&*name(mac))
}

/// Whether a macro of the `join!` family is called.
pub fn awaits_without_the_word(mac: &Macro) -> bool {
    AWAITING_MACROS.contains(&&*name(mac))
}

/// Whether a macro's tokens are only quoted.
pub fn quotes(mac: &Macro) -> bool {
    QUOTING_MACROS.contains(&&*name(mac))
}

/// The last segment of a macro's path.
pub fn name(mac: &Macro) -> String {
    let last = mac.path.segments.last();
    last.map(|segment| segment.ident.to_string())
        .unwrap_or_default()
}

/// The expressions that a macro is called with, if that is what its tokens are.
pub fn expressions(mac: &Macro) -> Option<Vec<Expr>> {
    if ["select", "select_biased"].contains(&&*name(mac)) {
        return mac.parse_body_with(select_branches).ok();
    }
    mac.parse_body_with(arguments).ok()
}

/// `a, b, c`, or `a; n` as in `vec!`.
fn arguments(input: ParseStream<'_>) -> syn::Result<Vec<Expr>> {
    let mut exprs = Vec::new();
    while !input.is_empty() {
        exprs.push(input.parse()?);
        if input.is_empty() {
            break;
        }
        if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
        } else {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(exprs)
}

/// The branches of tokio's and futures' `select!`, see
/// <https://docs.rs/tokio/1/tokio/macro.select.html>.
fn select_branches(input: ParseStream<'_>) -> syn::Result<Vec<Expr>> {
    let mut exprs = Vec::new();
    if input.peek(syn::Ident) && input.peek2(Token![;]) {
        input.parse::<syn::Ident>()?;
        input.parse::<Token![;]>()?;
    }
    while !input.is_empty() {
        let last = if input.peek(Token![else]) {
            input.parse::<Token![else]>()?;
            true
        } else if input.peek(syn::Ident) && input.peek2(Token![=>]) {
            // futures' `complete` and `default`.
            input.parse::<syn::Ident>()?;
            false
        } else {
            Pat::parse_multi_with_leading_vert(input)?;
            input.parse::<Token![=]>()?;
            exprs.push(input.parse()?);
            if input.peek(Token![,]) {
                input.parse::<Token![,]>()?;
                input.parse::<Token![if]>()?;
                exprs.push(input.parse()?);
            }
            false
        };
        input.parse::<Token![=>]>()?;
        exprs.push(handler(input)?);
        if last {
            break;
        }
    }
    Ok(exprs)
}

/// What stands behind a `=>`: a block ends by itself, everything else at a comma.
fn handler(input: ParseStream<'_>) -> syn::Result<Expr> {
    let handler = Expr::parse_with_earlier_boundary_rule(input)?;
    if input.peek(Token![,]) {
        input.parse::<Token![,]>()?;
    }
    Ok(handler)
}

/// Whether tokens that are not expressions await outside async blocks of their own.
pub fn mentions_await(tokens: TokenStream) -> bool {
    let mut after_async = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "async" => after_async = true,
            TokenTree::Ident(ident) if ident == "move" => {}
            TokenTree::Ident(ident) if ident == "await" => return true,
            TokenTree::Group(group) => {
                if !after_async && mentions_await(group.stream()) {
                    return true;
                }
                after_async = false;
            }
            _ => after_async = false,
        }
    }
    false
}
