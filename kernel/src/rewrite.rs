//! From the cell as the user wrote it to the source that evcxr gets. Pure.
//!
//! evcxr goes on to see the cell's items as items. What changes is what stands in its statements, always
//! within their lines:
//!
//! - what a `let` binds is hidden from evcxr, and handed over behind the last statement, see `keep.rs`;
//! - a statement that awaits is waited for: `f().await` becomes `morceaux::block_on(async { f().await })`;
//! - `?` ends the cell instead of returning from evcxr's function: `f()?` becomes
//!   `morceaux::question_mark(f())`;
//! - the last expression becomes a statement that shows its value;
//! - `display(&x)` becomes a macro call, see `display_calls.rs`, in functions too;
//! - loops get places where they can be stopped, see `checkpoints.rs`, in functions too;
//! - waiting for tasks stands behind the last statement, where that is wished;
//! - a guard in front of the first statement tells the runtime which cell it is in.
//!
//! Apart from that, what stands in functions, closures and async blocks of the user's own stays as it is.

use std::collections::BTreeSet;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{LocalInit, Stmt};

use crate::cell_source::{Binding, CellSource, is_item};
use crate::commands::Formats;
use crate::items::ItemChanges;
use crate::keep::Plan;
use crate::scan::Scan;
use crate::source_map::{Edit, SourceMap};
use crate::value::{has_no_value, has_value};
use crate::wire::CellId;
use crate::{ask, checkpoints, display_calls, moves};

/// A cell that evcxr can run.
#[derive(Debug)]
pub struct Rewritten {
    /// Both versions of the code.
    pub map: SourceMap,
    /// Whether it enters the runtime, and will report its end.
    pub has_statements: bool,
    /// The variables that it binds.
    pub bindings: Vec<Binding>,
}

/// What is to be put into a cell, apart from what its own statements need.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'a> {
    /// What becomes of its items.
    pub items: &'a ItemChanges,
    /// How its variables are kept.
    pub plan: &'a Plan,
    /// How its result is shown.
    pub formats: &'a Formats,
    /// For what it waits at its end.
    pub drain: Option<Drain>,
    /// Whether loops can be stopped that do not await.
    pub checkpoints: bool,
    /// Whether the notebook has something of its own that is called `display`.
    pub own_display: bool,
    /// The types of other crates that variables are known to have.
    pub other_types: &'a BTreeSet<String>,
    /// The variables about whose type rustc is asked.
    pub asked: &'a [String],
}

/// A cell's waiting for tasks at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drain {
    /// Whether for its own tasks alone.
    pub of_cell: bool,
    /// For how many seconds at most.
    pub seconds: Option<f64>,
}

/// Rewrites a cell. Code that is not valid Rust is passed on, so that rustc explains what is wrong.
pub fn rewrite(cell: &CellSource, id: CellId, wishes: Wishes<'_>) -> Rewritten {
    let guard = format!("morceaux::enter_cell!({id}); ");
    let bindings = cell.bindings();
    let (edits, has_statements) = match cell.statements() {
        Some(statements) => {
            let rewriting = Rewriting {
                cell,
                id,
                statements,
                bindings: &bindings,
                wishes,
            };
            rewriting.edits(guard)
        }
        None => (vec![Edit::insert(cell.start(), guard)], true),
    };
    Rewritten {
        map: SourceMap::new(cell.code(), edits),
        has_statements,
        bindings,
    }
}

struct Rewriting<'a> {
    cell: &'a CellSource,
    id: CellId,
    statements: &'a [Stmt],
    bindings: &'a [Binding],
    wishes: Wishes<'a>,
}

impl Rewriting<'_> {
    /// The changes, and whether the cell has anything but items.
    fn edits(&self, guard: String) -> (Vec<Edit>, bool) {
        let mut edits = Vec::new();
        let first = self.statements.iter().find(|statement| !is_item(statement));
        let end = self.statements.last().map(|last| self.cell.range(last).end);
        let end = end.unwrap_or(self.cell.start());
        let drain = self.drain();
        let guarded = first.map(|first| self.cell.range(first).start);
        // Waiting is a statement, too.
        let guarded = guarded.or((!drain.is_empty()).then_some(end));
        if let Some(start) = guarded {
            edits.push(Edit::insert(start, guard));
        }
        edits.extend(self.wishes.items.edits.iter().cloned());
        for (index, statement) in self.statements.iter().enumerate() {
            edits.extend(self.statement_edits(index, statement));
        }
        if self.wishes.checkpoints {
            edits.extend(checkpoints::edits(self.cell));
        }
        if !self.wishes.own_display {
            edits.extend(display_calls::edits(self.cell));
        }
        let inferred = |binding: &Binding| self.wishes.plan.is_inferred(&binding.name);
        let bindings = self.cell.all_bindings().into_iter();
        for binding in bindings.filter(|binding| !inferred(binding)) {
            let field = if binding.shorthand {
                format!("{}: ", binding.name)
            } else {
                String::new()
            };
            let before = format!("{field}morceaux::local!(");
            edits.push(Edit::insert(binding.range.start, before));
            edits.push(Edit::insert(binding.range.end, ")".to_owned()));
        }
        let items = self.wishes.items;
        let last = if self.wishes.asked.is_empty() {
            let own = items.after.namings();
            let other = self.wishes.other_types.iter().map(|name| &**name);
            self.wishes.plan.last_statements(self.bindings, own, other)
        } else {
            self.wishes.plan.converted(self.wishes.asked) + &ask::questions(self.wishes.asked)
        };
        let added = format!("{last} {}{drain}", items.added);
        edits.push(Edit::insert(end, added.trim_end().to_owned()));
        edits.retain(|edit| edit.removed > 0 || !edit.inserted.is_empty());
        (edits, guarded.is_some())
    }

    /// The statement that waits for tasks, if there is one.
    fn drain(&self) -> String {
        let id = self.id;
        self.wishes.drain.map_or_else(String::new, |drain| {
            let of_cell = if drain.of_cell {
                format!("Some({id})")
            } else {
                "None".to_owned()
            };
            let seconds = drain.seconds;
            // The variables have been handed over by then.
            format!("morceaux::or_keep!([;] morceaux::__drain({of_cell}, {seconds:?}));")
        })
    }

    fn statement_edits(&self, index: usize, statement: &Stmt) -> Vec<Edit> {
        if is_item(statement) {
            return Vec::new();
        }
        let is_last = index + 1 == self.statements.len();
        match statement {
            Stmt::Item(_) => Vec::new(),
            Stmt::Local(local) => {
                let init = local.init.iter();
                init.flat_map(|init| self.let_edits(index, init)).collect()
            }
            Stmt::Expr(expr, semicolon) => {
                let scan = self.scan(index, |scan| scan.visit_expr(expr));
                let ends = semicolon.is_some();
                let shown = is_last && !ends && has_value(expr);
                let open_ended = !ends && (is_last || scan.awaits);
                self.expression_edits(scan, expr.span().byte_range(), shown, open_ended)
            }
            Stmt::Macro(stmt) => {
                let scan = self.scan(index, |scan| scan.visit_macro(&stmt.mac));
                let ends = stmt.semi_token.is_some();
                let shown = is_last && !ends && !has_no_value(&stmt.mac);
                let open_ended = !ends && (is_last || scan.awaits);
                self.expression_edits(scan, stmt.mac.span().byte_range(), shown, open_ended)
            }
        }
    }

    /// What becomes of `let … = INIT else { … }`.
    fn let_edits(&self, index: usize, init: &LocalInit) -> Vec<Edit> {
        let value = self.scan(index, |scan| scan.visit_expr(&init.expr));
        let mut edits = value.wrapped(init.expr.span().byte_range(), "", "");
        if let Some((_, diverge)) = &init.diverge {
            let block = diverge.span().byte_range();
            let diverge = self.scan(index, |scan| scan.visit_expr(diverge));
            edits.extend(diverge.wrapped(block.start + 1..block.end - 1, "", ""));
        }
        edits
    }

    /// Looks through what `visit` visits of a statement.
    fn scan(&self, index: usize, visit: impl Fn(&mut Scan)) -> Scan {
        let rescue = self.rescued(index);
        let scanned = |caught_outside| {
            let mut scan = Scan::new(self.cell.start(), rescue.clone(), caught_outside);
            visit(&mut scan);
            scan
        };
        let scan = scanned(rescue.is_empty());
        // In the block that is waited for, variables cannot be moved away.
        if scan.awaits { scanned(true) } else { scan }
    }

    /// The variables that are handed over where a statement ends the cell: those that exist by then.
    fn rescued(&self, index: usize) -> String {
        let plan = self.wishes.plan;
        let is_rescued = |binding: &&Binding| {
            let later = &self.statements[binding.statement + 1..=index];
            plan.is_kept_as_it_is(&binding.name)
                && !plan.not_rescued.contains(&binding.name)
                && !moves::may_move(later, &binding.name)
        };
        let earlier = self.bindings.iter();
        let earlier = earlier.filter(|binding| binding.statement < index);
        let (mut names, mut typed) = (Vec::new(), Vec::new());
        for Binding { name, .. } in earlier.filter(is_rescued) {
            match plan.type_name(name) {
                Some(type_name) => typed.push(format!("{name}: {type_name}")),
                None => names.push(name.clone()),
            }
        }
        if names.is_empty() && typed.is_empty() {
            return String::new();
        }
        format!("{}; {}", names.join(", "), typed.join(", "))
    }

    /// What becomes of an expression that is a statement. `open_ended` says that it lacks a
    /// semicolon: evcxr would show what ends a cell without one in its own way, which compiles the
    /// cell twice.
    fn expression_edits(
        &self,
        scan: Scan,
        range: Range<usize>,
        shown: bool,
        open_ended: bool,
    ) -> Vec<Edit> {
        let awaits = scan.awaits;
        let end = range.end;
        let formats = self.wishes.formats;
        let show = if *formats == Formats::default() {
            "morceaux::show!(".to_owned()
        } else {
            let output = formats.output.as_deref().unwrap_or("{:?}");
            format!("morceaux::show!(@{output:?} {}; ", formats.types)
        };
        let (before, behind) = match (shown, awaits) {
            // In the block, since what is shown may borrow from what was awaited.
            (true, _) => (&*show, if awaits { ");" } else { ")" }),
            // The semicolon gives the block a type where the expression never has a value.
            (false, true) => ("", ";"),
            (false, false) => ("", ""),
        };
        let mut edits = scan.wrapped(range, before, behind);
        if open_ended {
            edits.push(Edit::insert(self.cell.start() + end, ";".to_owned()));
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rewritten cell 1 without its guard and what is done with its variables.
    fn rewritten(code: &str) -> String {
        let rewritten = rewrite_with(code, &Plan::default());
        let text = rewritten.map.rewritten().to_owned();
        assert_eq!(text.lines().count(), code.lines().count(), "{text}");
        let guard = "morceaux::enter_cell!(1); ";
        assert_eq!(text.contains(guard), rewritten.has_statements, "{text}");
        let text = without(
            &text.replace(guard, ""),
            ["morceaux::local!(", ")"],
            |name| name,
        );
        let text = without(&text, [" morceaux::keep!(", ");"], |_| "");
        text.replace(" morceaux::types!(; );", "")
    }

    /// The text with something else for what is between two others.
    fn without(text: &str, [open, close]: [&str; 2], instead: fn(&str) -> &str) -> String {
        let mut parts = text.split(open);
        let mut replaced = parts.next().unwrap().to_owned();
        for part in parts {
            let (inside, rest) = part.split_once(close).unwrap();
            replaced.push_str(instead(inside));
            replaced.push_str(rest);
        }
        replaced
    }

    fn rewrite_with(code: &str, plan: &Plan) -> Rewritten {
        let wishes = Wishes {
            items: &ItemChanges::default(),
            plan,
            formats: &Formats::default(),
            drain: None,
            checkpoints: false,
            own_display: false,
            other_types: &BTreeSet::new(),
            asked: &[],
        };
        rewrite(&CellSource::new(code), 1, wishes)
    }

    #[test]
    fn waiting_for_tasks_stands_behind_everything() {
        let rewritten = |code: &str| {
            let wishes = Wishes {
                items: &ItemChanges::default(),
                plan: &Plan::default(),
                formats: &Formats::default(),
                drain: Some(Drain {
                    of_cell: true,
                    seconds: Some(2.0),
                }),
                checkpoints: false,
                own_display: false,
                other_types: &BTreeSet::new(),
                asked: &[],
            };
            let rewritten = rewrite(&CellSource::new(code), 1, wishes);
            assert!(rewritten.has_statements);
            rewritten.map.rewritten().to_owned()
        };
        let guard = "morceaux::enter_cell!(1);";
        let drain = "morceaux::or_keep!([;] morceaux::__drain(Some(1), Some(2.0)));";
        assert_eq!(
            rewritten("let a = 1;\n7 // said"),
            format!(
                "{guard} let morceaux::local!(a) = 1;\nmorceaux::show!(7); morceaux::types!(; ); morceaux::keep!(a, a); {} // said",
                drain
            )
        );
        assert_eq!(
            rewritten("fn f() {}"),
            format!("fn f() {{}}{guard}  {}", drain)
        );
        assert_eq!(rewritten(""), format!("{guard}  {}", drain));
    }

    #[test]
    fn a_let_that_awaits_stays_a_let() {
        assert_eq!(
            rewritten("let x: u8 = f(1).await;"),
            "let x: u8 = morceaux::block_on(async { f(1).await });"
        );
        assert_eq!(
            rewritten("let Some(x) = f().await else { panic!() };"),
            "let Some(x) = morceaux::block_on(async { f().await }) else { panic!() };"
        );
    }

    #[test]
    fn the_last_expression_is_shown() {
        assert_eq!(
            rewritten("let a = 1;\na + 1 // sum"),
            "let a = 1;\nmorceaux::show!(a + 1); // sum"
        );
        assert_eq!(
            rewritten("f().await"),
            "morceaux::block_on(async { morceaux::show!(f().await); });"
        );
        assert_eq!(rewritten("vec![1]"), "morceaux::show!(vec![1]);");
        assert_eq!(rewritten("f();"), "f();");
    }

    #[test]
    fn what_has_no_value_is_not_shown() {
        assert_eq!(rewritten("x += 1"), "x += 1;");
        assert_eq!(rewritten("println!()"), "println!();");
        assert_eq!(
            rewritten("while let Some(x) = r.recv().await { p(x) }"),
            "morceaux::block_on(async { while let Some(x) = r.recv().await { p(x) }; });"
        );
        assert_eq!(rewritten("if a { panic!() }"), "if a { panic!() };");
        assert_eq!(rewritten("loop { break; }"), "loop { break; };");
        assert_eq!(
            rewritten("loop { break 7 }"),
            "morceaux::show!(loop { break 7 });"
        );
    }

    #[test]
    fn statements_in_the_middle_are_left_alone_unless_they_await() {
        assert_eq!(rewritten("if a { b }\nc();"), "if a { b }\nc();");
        assert_eq!(
            rewritten("for x in y { x.await }\nc();"),
            "morceaux::block_on(async { for x in y { x.await }; });\nc();"
        );
    }

    #[test]
    fn awaits_are_found_in_macros() {
        assert_eq!(
            rewritten("println!(\"{}\", f().await);"),
            "morceaux::block_on(async { println!(\"{}\", f().await); });"
        );
        assert_eq!(
            rewritten("let (a, b) = tokio::join!(f(), g());"),
            "let (a, b) = morceaux::block_on(async { tokio::join!(f(), g()) });"
        );
        assert_eq!(
            rewritten("let v = vec![async { x.await }];"),
            "let v = vec![async { x.await }];"
        );
        assert_eq!(
            rewritten("own!(x => async { y.await });"),
            "own!(x => async { y.await });"
        );
        assert_eq!(
            rewritten("own!(x => y.await);"),
            "morceaux::block_on(async { own!(x => y.await); });"
        );
    }

    #[test]
    fn select_in_a_loop_is_one_statement() {
        let code = "loop { tokio::select! { biased; Some(x) = r.recv(), if x > 0 => { f(x)?; } _ = t.tick() => break, else => break } }";
        assert_eq!(
            rewritten(code),
            format!(
                "morceaux::block_on(async {{ {}; }});",
                code.replace("f(x)?", "morceaux::question_mark(f(x))")
            )
        );
        let with_value = "loop { tokio::select! { x = r.recv() => break x, _ = t.tick() => {} } }";
        let shown = rewritten(with_value);
        assert!(
            shown.starts_with("morceaux::block_on(async { morceaux::show!(loop"),
            "{shown}"
        );
    }

    #[test]
    fn what_runs_elsewhere_is_left_alone() {
        for code in [
            "let h = tokio::spawn(async { f().await?; Ok(()) });",
            "let c = |x: u8| f(x)?;",
            "let c = async |x: u8| f(x).await;",
            "async fn f() -> R { g().await? }",
        ] {
            assert_eq!(rewritten(code), code);
        }
    }

    #[test]
    fn a_question_mark_ends_the_cell() {
        assert_eq!(
            rewritten("let n = a()?.b(c?)?;"),
            "let n = morceaux::question_mark(morceaux::question_mark(a()).b(morceaux::question_mark(c)));"
        );
        assert_eq!(
            rewritten("let n = f().await?;"),
            "let n = morceaux::block_on(async { morceaux::question_mark(f().await) });"
        );
    }

    #[test]
    fn commands_and_items_need_no_guard() {
        let code = ":dep tokio-stream\n\n// note\nuse std::fmt;\nfn f() {}";
        assert!(!rewrite_with(code, &Plan::default()).has_statements);
        assert_eq!(rewritten(code), code);
        assert_eq!(rewritten(":vars"), ":vars");
        assert!(
            rewrite_with(":dep x\nlet a = 1;", &Plan::default())
                .map
                .rewritten()
                .starts_with(":dep x\nmorceaux::enter_cell!(1);")
        );
    }

    #[test]
    fn what_is_no_rust_is_passed_on() {
        assert_eq!(rewritten("let x = ;"), "let x = ;");
        assert_eq!(rewritten(""), "");
    }

    #[test]
    fn what_exists_where_a_cell_ends_is_handed_over() {
        assert_eq!(
            rewritten("let a = 1; let b = f(a)?; g(&b)?;"),
            "let a = 1; let b = morceaux::question_mark(f(a)); \
             morceaux::or_keep!([b; ] morceaux::try_question_mark(g(&b)));"
        );
        assert_eq!(
            rewritten("let mut a = f(); while let Some(x) = a.recv().await { x? }"),
            "let mut a = f(); morceaux::or_keep!([a; ] morceaux::try_block_on(async { \
             while let Some(x) = a.recv().await { morceaux::question_mark(x) }; }));"
        );
    }

    #[test]
    fn what_cannot_be_kept_is_hidden_and_dropped() {
        let mut plan = Plan::default();
        plan.set("g", crate::keep::Way::local(crate::keep::Reason::Borrows));
        let rewritten = rewrite_with("let mut g = m.lock();\n*g += 1; // note", &plan);
        assert!(
            rewritten.map.rewritten().ends_with(
                "let morceaux::local!(mut g) = m.lock();\n*g += 1; morceaux::types!(; ); std::mem::drop(g); // note"
            ),
            "{}",
            rewritten.map.rewritten()
        );
    }

    #[test]
    fn inner_attributes_are_accepted() {
        assert_eq!(
            rewritten("#![allow(unused)]\n1 + 1"),
            "#![allow(unused)]\nmorceaux::show!(1 + 1);"
        );
    }
}
