//! Where code that does not await can be stopped: at the head of each turn of a loop, and where a function
//! calls itself. Pure.
//!
//! A checkpoint is one instruction, but it keeps the compiler from vectorizing a loop. So there is none in
//! the innermost loops that only compute and end in any case: `for` loops, and such as count. Loops
//! around them have theirs in front of the inner ones. `:checkpoints 0` leaves all out.
//! Calls that would block without an end in sight are exchanged for such that can be stopped:
//! `std::thread::sleep`, and what a `block_on` of another runtime waits for.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    BinOp, Block, Expr, ExprCall, ExprForLoop, ExprLoop, ExprMethodCall, ExprPath, ExprWhile,
    ImplItemFn, ItemFn, ItemImpl, Macro, Signature, Stmt,
};

use crate::cell_source::CellSource;
use crate::counting::{self, Step};
use crate::macros;
use crate::plain::{self, COMPUTING_METHODS};
use crate::source_map::Edit;

/// A checkpoint, one in a function in which nothing has to be dropped, and the flag that all of a library's
/// look at.
const CHECKPOINT: &str = "morceaux::checkpoint!();";
const PLAIN_CHECKPOINT: &str = "morceaux::checkpoint!(plain);";
const STOP_FLAG: &str = "\nmorceaux::stop_flag!();\n";

/// The changes, in functions too.
pub fn edits(cell: &CellSource) -> Vec<Edit> {
    let mut insertion = Insertion {
        start: cell.start(),
        checkpoint: CHECKPOINT,
        edits: Vec::new(),
    };
    for statement in cell.statements().into_iter().flatten() {
        insertion.visit_stmt(statement);
    }
    insertion.edits
}

/// What the source of a library needs behind its end for the checkpoints in it.
pub fn stop_flag(source: &str) -> Option<&'static str> {
    (are_in(source) && !source.ends_with(STOP_FLAG)).then_some(STOP_FLAG)
}

/// Whether there are checkpoints in a source.
pub fn are_in(source: &str) -> bool {
    source.contains(CHECKPOINT) || source.contains(PLAIN_CHECKPOINT)
}

struct Insertion {
    start: usize,
    /// What a checkpoint is written as in this function.
    checkpoint: &'static str,
    edits: Vec<Edit>,
}

impl Insertion {
    fn checkpoint(&mut self, block: &Block) {
        self.insert_at_head(block, self.checkpoint);
    }

    fn insert_at_head(&mut self, block: &Block, code: &str) {
        let brace = block.brace_token.span.open().byte_range();
        let edit = Edit::insert(self.start + brace.end, format!(" {code}"));
        self.edits.push(edit);
    }

    /// The checkpoints of a loop that ends if its turns do.
    fn loop_that_ends(&mut self, body: &Block) {
        let mut work = Work::default();
        work.visit_block(body);
        if work.calls || work.loops > work.starts_of_loops.len() {
            self.checkpoint(body);
        } else {
            for start in work.starts_of_loops {
                let edit = Edit::insert(self.start + start, format!("{} ", self.checkpoint));
                self.edits.push(edit);
            }
        }
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        // What runs while the program is compiled, and what must not unwind.
        if signature.constness.is_some() || signature.abi.is_some() {
            return;
        }
        self.before_calls(&signature.ident.to_string(), block);
        self.visit_block(block);
    }

    /// The checkpoints in front of the places where a function calls itself: on the shortest way to its end,
    /// which half of its calls take where it branches, there is none.
    fn before_calls(&mut self, name: &str, block: &Block) {
        for statement in &block.stmts {
            if !Calls::are_there(name, |calls| calls.visit_stmt(statement)) {
                continue;
            }
            let mut branches = Vec::new();
            let is_branch = match statement {
                Stmt::Expr(expr @ (Expr::If(_) | Expr::Match(_)), _) => {
                    collect_branches(name, expr, &mut branches)
                }
                _ => false,
            };
            if !is_branch {
                let start = self.start + statement.span().byte_range().start;
                self.edits
                    .push(Edit::insert(start, format!("{} ", self.checkpoint)));
                return;
            }
            for branch in branches {
                match branch {
                    Branch::Block(block) => self.before_calls(name, block),
                    Branch::Call(function) => {
                        self.surround(function, &format!("({{ {} ", self.checkpoint), " })");
                    }
                }
            }
        }
    }

    fn wrap(&mut self, argument: &Expr) {
        self.surround(argument, "morceaux::stoppable(", ")");
    }

    fn surround(&mut self, what: &impl Spanned, before: &str, behind: &str) {
        let range = what.span().byte_range();
        for (offset, inserted) in [(range.start, before), (range.end, behind)] {
            self.edits
                .push(Edit::insert(self.start + offset, inserted.to_owned()));
        }
    }
}

/// Where a function calls itself in one of several ways that it can take.
enum Branch<'a> {
    /// In the statements of a block.
    Block(&'a Block),
    /// In an expression, of which this is the first thing that is evaluated of a call.
    Call(&'a ExprPath),
}

/// Whether an expression only calls the function in its branches, which are collected.
fn collect_branches<'a>(name: &str, expr: &'a Expr, branches: &mut Vec<Branch<'a>>) -> bool {
    let calls = |expr: &Expr| Calls::are_there(name, |calls| calls.visit_expr(expr));
    match expr {
        Expr::If(branch) if !calls(&branch.cond) => {
            branches.push(Branch::Block(&branch.then_branch));
            let other = branch.else_branch.as_ref();
            other.is_none_or(|(_, other)| collect_branches(name, other, branches))
        }
        Expr::Match(choice) if !calls(&choice.expr) => choice.arms.iter().all(|arm| {
            let guard = arm.guard.as_ref();
            guard.is_none_or(|(_, guard)| !calls(guard))
                && collect_branches(name, &arm.body, branches)
        }),
        Expr::Block(block) => {
            branches.push(Branch::Block(&block.block));
            true
        }
        expr if calls(expr) => {
            let first = first_call(name, expr);
            first.is_some_and(|function| {
                branches.push(Branch::Call(function));
                true
            })
        }
        _ => true,
    }
}

/// What is called by the call of a function that is evaluated in any case and before all others in an expression.
fn first_call<'a>(name: &str, expr: &'a Expr) -> Option<&'a ExprPath> {
    match expr {
        Expr::Call(call) => match &*call.func {
            Expr::Path(function) if is_named(function, name) => Some(function),
            _ => None,
        },
        Expr::Binary(binary) if !matches!(binary.op, BinOp::And(_) | BinOp::Or(_)) => {
            first_call(name, &binary.left).or_else(|| {
                let calls = Calls::are_there(name, |calls| calls.visit_expr(&binary.left));
                first_call(name, &binary.right).filter(|_| !calls)
            })
        }
        _ => None,
    }
}

fn is_named(function: &ExprPath, name: &str) -> bool {
    names(function).last().is_some_and(|last| last == name)
}

impl Visit<'_> for Insertion {
    fn visit_expr_for_loop(&mut self, expr: &ExprForLoop) {
        self.loop_that_ends(&expr.body);
        visit::visit_expr_for_loop(self, expr);
    }

    fn visit_expr_while(&mut self, expr: &ExprWhile) {
        let mut condition = Work::default();
        condition.visit_expr(&expr.cond);
        match counting::step(expr) {
            Some(step) if !condition.calls => {
                if let Step::Variable(step) = step {
                    let checkpoint = self.checkpoint;
                    let code = format!("if !morceaux::advances!({step}) {{ {checkpoint} }}");
                    self.insert_at_head(&expr.body, &code);
                }
                self.loop_that_ends(&expr.body);
            }
            _ => self.checkpoint(&expr.body),
        }
        visit::visit_expr_while(self, expr);
    }

    fn visit_expr_loop(&mut self, expr: &ExprLoop) {
        self.checkpoint(&expr.body);
        visit::visit_expr_loop(self, expr);
    }

    fn visit_item_fn(&mut self, item: &ItemFn) {
        let name = item.sig.ident.to_string();
        let calls_itself = Calls::are_there(&name, |calls| calls.visit_block(&item.block));
        if !calls_itself || !plain::is_plain(item) {
            return self.function(&item.sig, &item.block);
        }
        // Where it would be compiled into another function, there may be something to be dropped.
        let start = self.start + item.span().byte_range().start;
        self.edits
            .push(Edit::insert(start, "#[inline(never)] ".to_owned()));
        self.checkpoint = PLAIN_CHECKPOINT;
        self.function(&item.sig, &item.block);
        self.checkpoint = CHECKPOINT;
    }

    fn visit_impl_item_fn(&mut self, item: &ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_item_impl(&mut self, item: &ItemImpl) {
        // A destructor runs to its end.
        let of_trait = item
            .trait_
            .as_ref()
            .and_then(|(_, path, _)| path.segments.last());
        if of_trait.is_none_or(|name| name.ident != "Drop") {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_expr_call(&mut self, call: &ExprCall) {
        if let Expr::Path(function) = &*call.func {
            let names = names(function);
            match &*names.iter().map(String::as_str).collect::<Vec<_>>() {
                ["std", "thread", "sleep"] | ["thread", "sleep"] => {
                    let range = function.span().byte_range();
                    self.edits.push(Edit {
                        offset: self.start + range.start,
                        removed: range.len(),
                        inserted: "morceaux::sleep".to_owned(),
                    });
                }
                ["morceaux", ..] => {}
                [.., "block_on"] => call
                    .args
                    .iter()
                    .next_back()
                    .into_iter()
                    .for_each(|a| self.wrap(a)),
                _ => {}
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
        if call.method == "block_on"
            && let Some(last) = call.args.last()
        {
            self.wrap(last);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, mac: &Macro) {
        if !macros::quotes(mac) {
            let expressions = macros::expressions(mac).unwrap_or_default();
            expressions.iter().for_each(|expr| self.visit_expr(expr));
        }
    }

    // What is computed while the program is compiled.
    fn visit_item_const(&mut self, _: &syn::ItemConst) {}
    fn visit_item_static(&mut self, item: &syn::ItemStatic) {
        Closures(self).visit_item_static(item);
    }
    fn visit_expr_const(&mut self, _: &syn::ExprConst) {}
    fn visit_impl_item_const(&mut self, _: &syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &syn::TraitItemConst) {}
    fn visit_type(&mut self, _: &syn::Type) {}
    fn visit_generic_argument(&mut self, _: &syn::GenericArgument) {}
    fn visit_expr_repeat(&mut self, expr: &syn::ExprRepeat) {
        self.visit_expr(&expr.expr);
    }
    fn visit_variant(&mut self, _: &syn::Variant) {}
}

fn names(path: &ExprPath) -> Vec<String> {
    let segments = path.path.segments.iter();
    segments.map(|segment| segment.ident.to_string()).collect()
}

/// The closures in what is computed while the program is compiled: they are called later.
struct Closures<'a>(&'a mut Insertion);

impl Visit<'_> for Closures<'_> {
    fn visit_expr_closure(&mut self, closure: &syn::ExprClosure) {
        self.0.visit_expr(&closure.body);
    }
}

/// Whether a function of a name is called.
struct Calls<'a> {
    name: &'a str,
    found: bool,
}

impl<'a> Calls<'a> {
    fn are_there(name: &'a str, visit: impl FnOnce(&mut Calls<'a>)) -> bool {
        let mut calls = Calls { name, found: false };
        visit(&mut calls);
        calls.found
    }
}

impl Visit<'_> for Calls<'_> {
    fn visit_expr_call(&mut self, call: &ExprCall) {
        if let Expr::Path(function) = &*call.func {
            self.found |= is_named(function, self.name);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
        self.found |= call.method == self.name;
        visit::visit_expr_method_call(self, call);
    }
}

/// What there is to a loop apart from computing.
#[derive(Default)]
struct Work {
    /// Whether there are calls and the like, whose duration nobody knows.
    calls: bool,
    /// How many loops there are, not counting those in other loops.
    loops: usize,
    /// Where those of them begin that are statements.
    starts_of_loops: Vec<usize>,
}

impl Visit<'_> for Work {
    fn visit_stmt(&mut self, statement: &Stmt) {
        if let Stmt::Expr(Expr::ForLoop(_) | Expr::While(_) | Expr::Loop(_), _) = statement {
            self.starts_of_loops
                .push(statement.span().byte_range().start);
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_call(&mut self, _: &ExprCall) {
        self.calls = true;
    }

    fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
        self.calls |= !COMPUTING_METHODS.contains(&&*call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, _: &Macro) {
        self.calls = true;
    }

    fn visit_expr_await(&mut self, _: &syn::ExprAwait) {
        self.calls = true;
    }

    fn visit_expr_for_loop(&mut self, _: &ExprForLoop) {
        self.loops += 1;
    }

    fn visit_expr_while(&mut self, _: &ExprWhile) {
        self.loops += 1;
    }

    fn visit_expr_loop(&mut self, _: &ExprLoop) {
        self.loops += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::SourceMap;

    fn rewritten(code: &str) -> String {
        let edits = edits(&CellSource::new(code));
        let map = SourceMap::new(code, edits);
        let rewritten = map.rewritten().replace(&format!(" {CHECKPOINT}"), "#");
        rewritten.replace(&format!(" {PLAIN_CHECKPOINT}"), "%")
    }

    #[test]
    fn loops_have_checkpoints_wherever_they_stand() {
        assert_eq!(rewritten("loop {}"), "loop {#}");
        assert_eq!(rewritten("while a { b(); }"), "while a {# b(); }");
        assert_eq!(
            rewritten(
                "fn f() { for x in y { g(x) } }\nlet c = || loop { tokio::join!(async { loop {} }) };"
            ),
            "fn f() { for x in y {# g(x) } }\nlet c = || loop {# tokio::join!(async { loop {#} }) };"
        );
    }

    #[test]
    fn loops_that_only_compute_have_none() {
        let code = "for x in &mut v { *x = x.sqrt() * 2.0 + w[0]; }";
        assert_eq!(rewritten(code), code);
        assert_eq!(
            rewritten("for x in 0..9 { if a[x] { for y in 0..9 { s += x * y; } } }"),
            "for x in 0..9 { if a[x] {# for y in 0..9 { s += x * y; } } }"
        );
        assert_eq!(
            rewritten("for x in 0..9 { s = loop { break x; } + f; }"),
            "for x in 0..9 {# s = loop {# break x; } + f; }"
        );
    }

    #[test]
    fn loops_that_count_are_as_those_over_ranges() {
        let code = "while x < 9 { s += x; x += 1; }";
        assert_eq!(rewritten(code), code);
        assert_eq!(
            rewritten("while x < f() { x += 1; }"),
            "while x < f() {# x += 1; }"
        );
        assert_eq!(
            rewritten("while x < 9 { f(x); x += 1; }"),
            "while x < 9 {# f(x); x += 1; }"
        );
        assert_eq!(
            rewritten("while x < 9 { 'a: while s < 9 { s += x; } x += 1; }"),
            "while x < 9 {# 'a: while s < 9 { if !morceaux::advances!(x) {# } s += x; } x += 1; }"
        );
    }

    #[test]
    fn functions_that_call_themselves_have_checkpoints() {
        assert_eq!(
            rewritten("fn f(x: T) -> u8 { f(x + 1) } fn g() { f(1); }"),
            "fn f(x: T) -> u8 {# f(x + 1) } fn g() { f(1); }"
        );
        assert_eq!(
            rewritten("impl T { fn walk(&self) { self.next.walk() } }"),
            "impl T { fn walk(&self) {# self.next.walk() } }"
        );
        for (code, expected) in [
            (
                "fn f(x: T) { if x > 1 { 1 } else if x > 0 { f(0) } else { g(); f(1) + f(2) } }",
                "fn f(x: T) { if x > 1 { 1 } else if x > 0 {# f(0) } else { g();# f(1) + f(2) } }",
            ),
            (
                "fn f(x: T) { if x > 1 { return f(0); } let y = f(1); f(y) }",
                "fn f(x: T) { if x > 1 {# return f(0); }# let y = f(1); f(y) }",
            ),
            (
                "fn f(x: T) { match x { 0 => 1, 1 if g() => { f(0) } x => g() + f(x) * f(2) } }",
                "fn f(x: T) { match x { 0 => 1, 1 if g() => {# f(0) } x => g() + ({# f })(x) * f(2) } }",
            ),
            (
                "fn f(x: T) { match x { 0 => f(0), x => g() && f(x) } }",
                "fn f(x: T) {# match x { 0 => f(0), x => g() && f(x) } }",
            ),
            (
                "fn f(x: T) { if f(x) { f(0) } else { 1 } }",
                "fn f(x: T) {# if f(x) { f(0) } else { 1 } }",
            ),
        ] {
            assert_eq!(rewritten(code), expected);
        }
    }

    #[test]
    fn where_nothing_has_to_be_dropped_checkpoints_know_it() {
        for (code, expected) in [
            (
                "fn f(x: u8) -> u8 { for y in 0..x { f(y); } loop { f(x - 1); } }",
                "#[inline(never)] fn f(x: u8) -> u8 {% for y in 0..x {% f(y); } loop {% f(x - 1); } }",
            ),
            (
                "fn f(x: u8) -> u8 { loop {} } fn g(x: u8) { g(x) } fn h(x: u8) { loop {} }",
                "fn f(x: u8) -> u8 { loop {#} } #[inline(never)] fn g(x: u8) {% g(x) } fn h(x: u8) { loop {#} }",
            ),
        ] {
            assert_eq!(rewritten(code), expected);
        }
    }

    #[test]
    fn what_must_not_unwind_or_runs_in_the_compiler_has_none() {
        for code in [
            "const fn f() -> u8 { loop {} }",
            "const C: u8 = { let mut x = 0; while x < 9 { x += 1; } x };",
            "extern \"C\" fn f() { loop {} }",
            "impl Drop for T { fn drop(&mut self) { loop {} } }",
            "let a = [0; { loop {} }];",
        ] {
            assert_eq!(rewritten(code), code);
        }
    }

    #[test]
    fn closures_of_statics_have_checkpoints() {
        assert_eq!(
            rewritten("static S: LazyLock<u8> = LazyLock::new(|| loop { break 1; });"),
            "static S: LazyLock<u8> = LazyLock::new(|| loop {# break 1; });"
        );
    }

    #[test]
    fn what_blocks_is_exchanged() {
        assert_eq!(
            rewritten("std::thread::sleep(d); thread::sleep(d); tokio::time::sleep(d).await;"),
            "morceaux::sleep(d); morceaux::sleep(d); tokio::time::sleep(d).await;"
        );
        assert_eq!(
            rewritten(
                "rt.block_on(f()); futures::executor::block_on(async {}); morceaux::block_on(x);"
            ),
            "rt.block_on(morceaux::stoppable(f())); futures::executor::block_on(morceaux::stoppable(async {})); morceaux::block_on(x);"
        );
    }
}
