//! Whether what ends a cell has a value that is worth showing. Pure.

use syn::visit::Visit;
use syn::{BinOp, Block, Expr, Macro, Stmt};

use crate::macros;

/// Macros that evaluate to nothing or never, or that cannot stand in an expression.
const STATEMENT_MACROS: [&str; 14] = [
    "print",
    "println",
    "eprint",
    "eprintln",
    "assert",
    "assert_eq",
    "assert_ne",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
    "thread_local",
    "lazy_static",
    "macro_rules",
];

/// Whether an expression at the end of a cell can have a value worth showing.
pub fn has_value(expr: &Expr) -> bool {
    match expr {
        Expr::Assign(_) | Expr::While(_) | Expr::ForLoop(_) | Expr::Return(_) => false,
        Expr::Loop(expr) => {
            let mut breaks = BreakWithValue(false);
            breaks.visit_block(&expr.body);
            breaks.0
        }
        Expr::Await(expr) => match &*expr.base {
            Expr::Async(expr) => block_has_value(&expr.block),
            _ => true,
        },
        Expr::Block(expr) => block_has_value(&expr.block),
        Expr::Unsafe(expr) => block_has_value(&expr.block),
        Expr::If(expr) => expr.else_branch.as_ref().is_some_and(|(_, otherwise)| {
            block_has_value(&expr.then_branch) || has_value(otherwise)
        }),
        Expr::Match(expr) => expr.arms.iter().any(|arm| has_value(&arm.body)),
        Expr::Binary(expr) => !assigns(&expr.op),
        Expr::Macro(expr) => !has_no_value(&expr.mac),
        _ => true,
    }
}

/// Whether an operator is one such as `+=`.
pub fn assigns(operator: &BinOp) -> bool {
    matches!(
        operator,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}

fn block_has_value(block: &Block) -> bool {
    match block.stmts.last() {
        Some(Stmt::Expr(expr, None)) => has_value(expr),
        Some(Stmt::Macro(stmt)) => stmt.semi_token.is_none() && !has_no_value(&stmt.mac),
        _ => false,
    }
}

/// Whether a macro's call has no value worth showing.
pub fn has_no_value(mac: &Macro) -> bool {
    STATEMENT_MACROS.contains(&&*macros::name(mac))
}

struct BreakWithValue(bool);

impl Visit<'_> for BreakWithValue {
    fn visit_expr_break(&mut self, expr: &syn::ExprBreak) {
        self.0 |= expr.expr.is_some();
    }
    fn visit_expr_closure(&mut self, _: &syn::ExprClosure) {}
    fn visit_expr_async(&mut self, _: &syn::ExprAsync) {}
    fn visit_item(&mut self, _: &syn::Item) {}
    fn visit_macro(&mut self, mac: &Macro) {
        // `select!` in a loop breaks with a value now and then; its handlers are expressions.
        if let Some(exprs) = macros::expressions(mac) {
            exprs.iter().for_each(|expr| self.visit_expr(expr));
        }
    }
}
