//! Functions that only compute with numbers, and call nothing but themselves: there is nothing in them that would
//! have to be dropped. Pure.

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprPath, FnArg, ItemFn, Pat, ReturnType, Signature, Stmt, Type};

/// Methods that only compute, and that are compiled to a few instructions.
pub const COMPUTING_METHODS: [&str; 33] = [
    "abs",
    "ceil",
    "cos",
    "count_ones",
    "exp",
    "floor",
    "is_alphabetic",
    "is_alphanumeric",
    "is_ascii_alphabetic",
    "is_ascii_digit",
    "is_lowercase",
    "is_multiple_of",
    "is_none",
    "is_some",
    "is_uppercase",
    "is_whitespace",
    "iter",
    "iter_mut",
    "len",
    "ln",
    "max",
    "min",
    "mul_add",
    "pow",
    "powf",
    "powi",
    "rem_euclid",
    "round",
    "sin",
    "sqrt",
    "wrapping_add",
    "wrapping_mul",
    "wrapping_sub",
];

const PRIMITIVE_TYPES: [&str; 16] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32",
    "u64", "u128", "usize",
];

/// Whether a function is one of them, as far as its text says.
pub fn is_plain(function: &ItemFn) -> bool {
    let is_doc = |attribute: &Attribute| attribute.path().is_ident("doc");
    let signature = &function.sig;
    let mut only = Only {
        name: signature.ident.to_string(),
        plain: function.attrs.iter().all(is_doc) && has_plain_types(signature),
    };
    only.visit_block(&function.block);
    only.plain
}

fn has_plain_types(signature: &Signature) -> bool {
    let are_plain = |argument: &FnArg| match argument {
        FnArg::Typed(argument) => {
            matches!(*argument.pat, Pat::Ident(_)) && is_plain_type(&argument.ty)
        }
        FnArg::Receiver(_) => false,
    };
    let returns = match &signature.output {
        ReturnType::Default => true,
        ReturnType::Type(_, returned) => is_plain_type(returned),
    };
    signature.generics.params.is_empty()
        && signature.constness.is_none()
        && signature.asyncness.is_none()
        && signature.abi.is_none()
        && signature.inputs.iter().all(are_plain)
        && returns
}

fn is_plain_type(of: &Type) -> bool {
    match of {
        Type::Path(path) => PRIMITIVE_TYPES
            .iter()
            .any(|primitive| path.path.is_ident(primitive)),
        Type::Reference(reference) => is_plain_type(&reference.elem),
        Type::Slice(slice) => is_plain_type(&slice.elem),
        Type::Array(array) => is_plain_type(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_plain_type),
        _ => false,
    }
}

/// A variable, or a constant of a primitive type.
fn is_plain_value(path: &ExprPath) -> bool {
    let names: Vec<_> = path.path.segments.iter().map(|s| &s.ident).collect();
    match *names {
        [name] => name.to_string().starts_with(|c: char| c.is_lowercase()),
        [of, _] => PRIMITIVE_TYPES.iter().any(|primitive| of == primitive),
        _ => false,
    }
}

/// Whether there is only what is allowed.
struct Only {
    name: String,
    plain: bool,
}

impl Visit<'_> for Only {
    fn visit_expr(&mut self, expr: &Expr) {
        self.plain &= match expr {
            Expr::Array(_)
            | Expr::Assign(_)
            | Expr::Binary(_)
            | Expr::Block(_)
            | Expr::Break(_)
            | Expr::Cast(_)
            | Expr::Continue(_)
            | Expr::ForLoop(_)
            | Expr::If(_)
            | Expr::Index(_)
            | Expr::Lit(_)
            | Expr::Loop(_)
            | Expr::Match(_)
            | Expr::Paren(_)
            | Expr::Range(_)
            | Expr::Reference(_)
            | Expr::Return(_)
            | Expr::Tuple(_)
            | Expr::Unary(_)
            | Expr::While(_) => true,
            Expr::Path(path) => is_plain_value(path),
            Expr::Call(call) => {
                matches!(&*call.func, Expr::Path(path) if path.path.is_ident(&self.name))
            }
            Expr::MethodCall(call) => COMPUTING_METHODS.iter().any(|name| call.method == name),
            _ => false,
        };
        visit::visit_expr(self, expr);
    }

    fn visit_stmt(&mut self, statement: &Stmt) {
        self.plain &= matches!(statement, Stmt::Local(_) | Stmt::Expr(..));
        visit::visit_stmt(self, statement);
    }

    fn visit_type(&mut self, of: &Type) {
        self.plain &= is_plain_type(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(code: &str) -> bool {
        is_plain(&syn::parse_str(code).unwrap())
    }

    #[test]
    fn what_only_computes_with_numbers_is_plain() {
        for code in [
            "fn f(n: u32) -> u64 { if n < 2 { 1 } else { f(n - 1) + f(n - 2) } }",
            "fn f(n: u32, s: &mut u64) { if n == u32::MAX { return; } *s += n as u64; f(n - 1, s) }",
            "/// It says so.\npub fn f(v: &[i64], at: (usize, bool)) -> i64 { match at { (0, _) => v[0], (i, b) => { let mut a: i64 = 1; for x in v.iter() { a = a.max(-x); } a + f(&v[1..], (i - 1, !b)) } } }",
        ] {
            assert!(is(code), "{code}");
        }
    }

    #[test]
    fn what_may_have_something_to_drop_is_not() {
        for code in [
            "fn f(n: u32) -> u64 { g(n); f(n - 1) }",
            "fn f(n: Big) -> u64 { f(n - 1) }",
            "fn f(n: u32) -> Big { f(n - 1) }",
            "fn f<T>(n: T) { f(n) }",
            "#[inline(always)] fn f(n: u32) { f(n - 1) }",
            "async fn f(n: u32) { f(n - 1) }",
            "const fn f(n: u32) { f(n - 1) }",
            "extern \"C\" fn f(n: u32) { f(n - 1) }",
            "fn f(n: u32) { let s = vec![n]; f(n - 1) }",
            "fn f(n: u32) { println!(); f(n - 1) }",
            "fn f(n: u32) { let s = S { n }; f(n - 1) }",
            "fn f(n: u32) { let s = &START; f(n - 1) }",
            "fn f(n: u32) { let s: S = n.into(); f(n - 1) }",
            "fn f(n: u32) { struct S; f(n - 1) }",
            "fn f(n: u32) { (|| n)(); f(n - 1) }",
        ] {
            assert!(!is(code), "{code}");
        }
    }
}
