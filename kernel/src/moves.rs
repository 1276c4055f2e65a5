//! Whether statements of a cell can have moved a variable away. Pure, and only a guess: it errs where
//! a variable is copied, and where a method or an operator takes it by value.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, Macro, Stmt};

use crate::macros;

/// Methods that take what they are called on by value, though their name does not say so.
const CONSUMING: [&str; 12] = [
    "unwrap",
    "expect",
    "unwrap_or",
    "unwrap_or_default",
    "unwrap_or_else",
    "join",
    "ok",
    "err",
    "collect",
    "fuse",
    "split",
    "finish",
];

/// Whether one of the statements can have moved the variable.
pub fn may_move(statements: &[Stmt], name: &str) -> bool {
    let mut moves = Moves { name, found: false };
    statements
        .iter()
        .for_each(|statement| moves.visit_stmt(statement));
    moves.found
}

struct Moves<'a> {
    name: &'a str,
    found: bool,
}

impl Moves<'_> {
    fn is_variable(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Path(path) => path.path.is_ident(self.name),
            Expr::Paren(paren) => self.is_variable(&paren.expr),
            _ => false,
        }
    }

    /// Looks at an expression that is only looked at by what is around it.
    fn visit_place(&mut self, expr: &Expr) {
        match expr {
            _ if self.is_variable(expr) => {}
            Expr::Field(field) => self.visit_place(&field.base),
            Expr::Index(index) => {
                self.visit_place(&index.expr);
                self.visit_expr(&index.index);
            }
            _ => self.visit_expr(expr),
        }
    }
}

impl Visit<'_> for Moves<'_> {
    fn visit_expr(&mut self, expr: &Expr) {
        match expr {
            _ if self.is_variable(expr) => self.found = true,
            Expr::Reference(reference) => self.visit_place(&reference.expr),
            Expr::Field(_) | Expr::Index(_) => self.visit_place(expr),
            Expr::Unary(unary) => self.visit_place(&unary.expr),
            Expr::Binary(binary) => {
                self.visit_place(&binary.left);
                self.visit_place(&binary.right);
            }
            Expr::Assign(assign) => {
                self.visit_place(&assign.left);
                self.visit_expr(&assign.right);
            }
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                if CONSUMING.contains(&&*method) || method.starts_with("into_") {
                    self.visit_expr(&call.receiver);
                } else {
                    self.visit_place(&call.receiver);
                }
                call.args
                    .iter()
                    .for_each(|argument| self.visit_expr(argument));
            }
            Expr::Closure(closure) if closure.capture.is_some() => {
                self.found |= mentions(&quote::quote!(#closure), self.name);
            }
            Expr::Async(block) if block.capture.is_some() => {
                self.found |= mentions(&quote::quote!(#block), self.name);
            }
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_macro(&mut self, mac: &Macro) {
        if macros::only_looks(mac) {
            let arguments = macros::expressions(mac);
            arguments
                .iter()
                .flatten()
                .for_each(|argument| self.visit_place(argument));
        } else {
            self.found |= mentions(&mac.tokens, self.name);
        }
    }

    // A function sees none of the cell's variables.
    fn visit_item(&mut self, _: &syn::Item) {}
}

fn mentions(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_source::parse;

    fn moved(code: &str) -> bool {
        may_move(&parse(code).unwrap(), "x")
    }

    #[test]
    fn what_is_looked_at_stays() {
        for code in [
            "f(&x); f(&mut x.y[z]);",
            "x.push(1); x.y.push(2);",
            "println!(\"{} {}\", x, x.len());",
            "assert_eq!(x, y);",
            "if x == y { x += 1; } x = z;",
            "while let Some(y) = x.recv().await { f(y); }",
            "let y = x + 1; let z = -x;",
            "let y = || x.len();",
            "struct x; let y = S { x: 1 };",
        ] {
            assert!(!moved(code), "{code}");
        }
    }

    #[test]
    fn what_is_handed_on_goes() {
        for code in [
            "f(x);",
            "let y = x;",
            "let y = x.into_iter();",
            "x.await;",
            "tokio::spawn(async move { x.send(1) });",
            "let y = move || x.len();",
            "let y = vec![x];",
            "let y = S { x };",
            "match x { _ => {} }",
            "for y in x {}",
            "select!(y = x => {});",
            "h.unwrap().f(x);",
        ] {
            assert!(moved(code), "{code}");
        }
    }
}
