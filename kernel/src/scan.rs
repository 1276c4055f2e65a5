//! What belongs to a cell's own level in one of its statements: what awaits, and `?`. Pure.

use std::ops::Range;

use syn::Macro;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::macros;
use crate::source_map::Edit;

/// Looks through one statement for what belongs to the cell's own level.
#[derive(Debug)]
pub struct Scan {
    /// Where the parsed text begins in the cell.
    start: usize,
    /// The variables that are handed over where the statement ends the cell.
    rescue: String,
    /// Whether what ends the cell is caught around the whole statement.
    caught_outside: bool,
    /// Whether it awaits.
    pub awaits: bool,
    edits: Vec<Edit>,
}

impl Scan {
    /// Of a statement of a cell whose parsed text begins at `start`; where it ends the cell, `rescue` is
    /// handed over, unless that is done around all of it.
    pub fn new(start: usize, rescue: String, caught_outside: bool) -> Scan {
        Scan {
            start,
            rescue,
            caught_outside,
            awaits: false,
            edits: Vec::new(),
        }
    }

    /// The edits, and around them what waits for the code in `range`, and what is put in with it.
    pub fn wrapped(mut self, range: Range<usize>, before: &str, behind: &str) -> Vec<Edit> {
        let (open, close) = match (self.awaits, &*self.rescue) {
            (false, _) => (String::new(), ""),
            (true, "") => ("morceaux::block_on(async { ".to_owned(), " })"),
            (true, rescue) => (
                format!("morceaux::or_keep!([{rescue}] morceaux::try_block_on(async {{ "),
                " }))",
            ),
        };
        let mut edits = vec![Edit::insert(
            self.start + range.start,
            format!("{open}{before}"),
        )];
        edits.append(&mut self.edits);
        edits.push(Edit::insert(
            self.start + range.end,
            format!("{behind}{close}"),
        ));
        edits.retain(|edit| edit.removed > 0 || !edit.inserted.is_empty());
        edits
    }
}

impl Visit<'_> for Scan {
    fn visit_expr_await(&mut self, expr: &syn::ExprAwait) {
        self.awaits = true;
        visit::visit_expr_await(self, expr);
    }

    fn visit_expr_try(&mut self, expr: &syn::ExprTry) {
        let operand = expr.expr.span().byte_range();
        let (before, behind) = if self.caught_outside {
            ("morceaux::question_mark(".to_owned(), ")")
        } else {
            let rescue = &self.rescue;
            (
                format!("morceaux::or_keep!([{rescue}] morceaux::try_question_mark("),
                "))",
            )
        };
        self.edits
            .push(Edit::insert(self.start + operand.start, before));
        visit::visit_expr_try(self, expr);
        self.edits.push(Edit {
            offset: self.start + expr.question_token.span().byte_range().start,
            removed: 1,
            inserted: behind.to_owned(),
        });
    }

    fn visit_macro(&mut self, mac: &Macro) {
        self.awaits |= macros::awaits_without_the_word(mac);
        if macros::quotes(mac) {
            return;
        }
        match macros::expressions(mac) {
            Some(exprs) => exprs.iter().for_each(|expr| self.visit_expr(expr)),
            None => self.awaits |= macros::mentions_await(mac.tokens.clone()),
        }
    }

    // What these hold runs in a function of its own.
    fn visit_expr_closure(&mut self, _: &syn::ExprClosure) {}
    fn visit_expr_async(&mut self, _: &syn::ExprAsync) {}
    fn visit_expr_const(&mut self, _: &syn::ExprConst) {}
    fn visit_expr_try_block(&mut self, _: &syn::ExprTryBlock) {}
    fn visit_item(&mut self, _: &syn::Item) {}
}
