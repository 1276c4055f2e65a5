//! `while` loops that count: they end as surely as a `for` loop over a range does. Pure.

use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ExprBinary, ExprWhile, Lit, Stmt};

use crate::value::assigns;

/// What a loop adds to its counter in each turn, or takes off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A number that is not zero.
    Number,
    /// A variable, which the loop does not change.
    Variable(String),
}

/// How a loop counts: up to a limit that it does not change, or down to it, at the same place in each turn.
/// None where it may not.
pub fn step(expr: &ExprWhile) -> Option<Step> {
    let Expr::Binary(condition) = &*expr.cond else {
        return None;
    };
    let is_less = match condition.op {
        BinOp::Lt(_) | BinOp::Le(_) => true,
        BinOp::Gt(_) | BinOp::Ge(_) => false,
        _ => return None,
    };
    let changes = Changes::of(&expr.body);
    let (left, right) = (&*condition.left, &*condition.right);
    let sides = [(left, right, is_less), (right, left, !is_less)];
    let mut counting = sides.into_iter().filter_map(|(counter, limit, counts_up)| {
        let counter = name(counter).filter(|name| changes.names.contains(name))?;
        Some((counter, limit, counts_up))
    });
    let (counter, limit, counts_up) = counting.next()?;
    let times = changes.names.iter().filter(|name| **name == counter);
    if times.count() != 1 || changes.goes_on_early || changes.any_of(limit) {
        return None;
    }
    let step = expr.body.stmts.iter().find_map(|statement| {
        let Stmt::Expr(Expr::Binary(change), _) = statement else {
            return None;
        };
        let is_step = match change.op {
            BinOp::AddAssign(_) => counts_up,
            BinOp::SubAssign(_) => !counts_up,
            _ => false,
        };
        (is_step && name(&change.left).as_ref() == Some(&counter)).then_some(&*change.right)
    })?;
    match step {
        Expr::Lit(number) => match &number.lit {
            Lit::Int(number) => (number.base10_digits() != "0").then_some(Step::Number),
            _ => None,
        },
        step => name(step)
            .filter(|name| *name != counter && !changes.names.contains(name))
            .map(Step::Variable),
    }
}

/// The variable that an expression is.
fn name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}

/// What the code of a loop changes.
#[derive(Default)]
struct Changes {
    /// The variables, each as often as it is changed.
    names: Vec<String>,
    /// Whether a turn may end before its last statement, and the loop goes on.
    goes_on_early: bool,
}

impl Changes {
    fn of(block: &Block) -> Changes {
        let mut changes = Changes::default();
        changes.visit_block(block);
        changes
    }

    /// Whether any variable of an expression is among them.
    fn any_of(&self, expr: &Expr) -> bool {
        struct Names<'a>(&'a Changes, bool);
        impl Visit<'_> for Names<'_> {
            fn visit_ident(&mut self, ident: &syn::Ident) {
                self.1 |= self.0.names.iter().any(|name| ident == name);
            }
        }
        let mut names = Names(self, false);
        names.visit_expr(expr);
        names.1
    }

    /// What is assigned to is a variable, or a part of one.
    fn note(&mut self, place: &Expr) {
        match place {
            Expr::Index(index) => self.note(&index.expr),
            Expr::Field(field) => self.note(&field.base),
            Expr::Paren(paren) => self.note(&paren.expr),
            Expr::Unary(unary) => self.note(&unary.expr),
            Expr::Tuple(tuple) => tuple.elems.iter().for_each(|place| self.note(place)),
            place => self.names.extend(name(place)),
        }
    }
}

impl Visit<'_> for Changes {
    fn visit_expr_assign(&mut self, expr: &syn::ExprAssign) {
        self.note(&expr.left);
        visit::visit_expr_assign(self, expr);
    }

    fn visit_expr_binary(&mut self, expr: &ExprBinary) {
        if assigns(&expr.op) {
            self.note(&expr.left);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_reference(&mut self, expr: &syn::ExprReference) {
        if expr.mutability.is_some() {
            self.note(&expr.expr);
        }
        visit::visit_expr_reference(self, expr);
    }

    fn visit_pat_ident(&mut self, pat: &syn::PatIdent) {
        // Another variable of this name, or a place to write to.
        self.names.push(pat.ident.to_string());
    }

    fn visit_expr_continue(&mut self, _: &syn::ExprContinue) {
        self.goes_on_early = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_of(code: &str) -> Option<Step> {
        step(&syn::parse_str(code).unwrap())
    }

    #[test]
    fn loops_that_count_are_found() {
        for code in [
            "while i < n { a[i] = 0; i += 1; }",
            "while n >= i { i += 1 }",
            "while i > 0 { i -= 2; s += i; }",
            "while 0 < i { i -= 1; }",
            "while i < v.len() { if v[i] == x { break; } i += 1; }",
            "while i * 1 < j { s ^= j; j -= 1; }",
        ] {
            assert_eq!(step_of(code), Some(Step::Number), "{code}");
        }
        let code = "while multiple <= below { composite[multiple] = true; multiple += number; }";
        assert_eq!(step_of(code), Some(Step::Variable("number".to_owned())));
    }

    #[test]
    fn loops_that_may_not_end_are_not() {
        for code in [
            "while true { i += 1; }",
            "while i != n { i += 1; }",
            "while i < n { i -= 1; }",
            "while i < n { s += i; }",
            "while i < n { i += 0; }",
            "while i < n { i += i; }",
            "while i < n { i += 1; n += 1; }",
            "while i < n { i += d; d = 0; }",
            "while i < n { i += 1; i = 0; }",
            "while i < n { if x { i += 1; } }",
            "while i < n { if x { continue; } i += 1; }",
            "while i < n { let i = &mut n; i += 1; }",
            "while i < v.len() { i += 1; v = w; }",
            "while let Some(i) = n { i += 1; }",
        ] {
            assert_eq!(step_of(code), None, "{code}");
        }
    }
}
