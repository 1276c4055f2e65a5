//! Calls of `display`: made macro calls, since only where a value's type is known can its own way to
//! show itself be found. Pure.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, Macro};

use crate::cell_source::CellSource;
use crate::macros;
use crate::source_map::Edit;

/// The name of the function, and of the macro.
pub const NAME: &str = "display";

/// The changes, wherever in a cell the call stands.
pub fn edits(cell: &CellSource) -> Vec<Edit> {
    let mut calls = Calls {
        start: cell.start(),
        edits: Vec::new(),
    };
    for statement in cell.statements().into_iter().flatten() {
        calls.visit_stmt(statement);
    }
    calls.edits
}

struct Calls {
    start: usize,
    edits: Vec<Edit>,
}

impl Visit<'_> for Calls {
    fn visit_expr_call(&mut self, call: &ExprCall) {
        if let Expr::Path(function) = &*call.func
            && call.args.len() == 1
            && function.qself.is_none()
        {
            let segments = &function.path.segments;
            let names: Vec<_> = segments.iter().map(|s| s.ident.to_string()).collect();
            let range = function.span().byte_range();
            let is_plain = segments.iter().all(|segment| segment.arguments.is_empty());
            let prefix = match &*names.iter().map(String::as_str).collect::<Vec<_>>() {
                [NAME] => Some("morceaux::"),
                ["morceaux", NAME] => Some(""),
                _ => None,
            };
            if let Some(prefix) = prefix.filter(|_| is_plain) {
                self.edits
                    .push(Edit::insert(self.start + range.start, prefix.to_owned()));
                self.edits
                    .push(Edit::insert(self.start + range.end, "!".to_owned()));
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, mac: &Macro) {
        if !macros::quotes(mac) {
            let expressions = macros::expressions(mac).unwrap_or_default();
            expressions.iter().for_each(|expr| self.visit_expr(expr));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::SourceMap;

    fn rewritten(code: &str) -> String {
        let edits = edits(&CellSource::new(code));
        SourceMap::new(code, edits).rewritten().to_owned()
    }

    #[test]
    fn calls_are_found_wherever_they_stand() {
        assert_eq!(
            rewritten(
                "let h = display(&x);\nfn f() { tokio::spawn(async { morceaux::display(&f(display(&y))); }); }"
            ),
            "let h = morceaux::display!(&x);\nfn f() { tokio::spawn(async { morceaux::display!(&f(morceaux::display!(&y))); }); }"
        );
        assert_eq!(
            rewritten("vec![display(&x)]"),
            "vec![morceaux::display!(&x)]"
        );
    }

    #[test]
    fn other_calls_are_left_alone() {
        for other in [
            "a.display(); path::display(x);",
            "display(&x, 1); display!(&x);",
            "stringify!(display(&x)); v.iter().for_each(display);",
            "fn display(x: u8) {}",
        ] {
            assert_eq!(rewritten(other), other);
        }
    }
}
