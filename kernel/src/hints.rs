//! Short hints where beginners of async Rust stumble. Pure.

use serde_json::Value;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprAsync, ExprCall, ImplItemFn, ItemFn, Meta};

use crate::cell_source::CellSource;

const SEND: &str = "a spawned task may move to another thread, so what it holds across an await must be `Send`: use `Arc` \
     instead of `Rc`, a `Mutex` instead of a `RefCell`, or drop it before the await; or spawn the task on a \
     loop of your own, which stays on this thread: `EventLoop::new().spawn(…)`";
const SENDER: &str = "the sender went where it was moved; give each task its own: `let tx2 = tx.clone();` in front of it";
const RECEIVER: &str = "there is one receiver, and it went where it was moved; senders can be copied with `clone`, receivers \
     only of a `broadcast` (with `subscribe`) or a `watch`";
const HANDLE: &str = "a `JoinHandle` can be awaited once; await `&mut handle` to have it stay";
const BLOCKING: &str = "`std::thread::sleep` in async code blocks a whole thread of the runtime, and every task on it: write \
     `tokio::time::sleep(…).await` (if it is meant: `#[allow(clippy::disallowed_methods)]`)";

/// What helps with an error of rustc's, given as its message and its JSON.
pub fn for_error(message: &str, code: Option<&str>, json: &Value) -> Option<&'static str> {
    if message.contains("cannot be sent between threads safely") {
        return Some(SEND);
    }
    if code != Some("E0382") {
        return None;
    }
    let rendered = json["rendered"].as_str().unwrap_or_default();
    let moved = rendered.split_once("has type `")?.1;
    let type_name = moved.split_once('`')?.0;
    let outermost = type_name.split('<').next()?.rsplit("::").next()?;
    match outermost {
        "Sender" | "UnboundedSender" | "SyncSender" => Some(SENDER),
        "Receiver" | "UnboundedReceiver" => Some(RECEIVER),
        "JoinHandle" => Some(HANDLE),
        _ => None,
    }
}

/// What helps with a panic.
pub fn for_panic(message: &str) -> Option<&'static str> {
    if message.contains("Cannot drop a runtime in a context where blocking is not allowed")
        || message.contains("Cannot block the current thread from within a runtime")
        || message.contains("Cannot start a runtime from within a runtime")
    {
        return Some(
            "this blocks, and async code must not: use what can be awaited, or move it to `tokio::task::spawn_blocking`",
        );
    }
    None
}

/// What helps where the cell process ended in this way.
pub fn for_end(reason: &str) -> Option<&'static str> {
    let hints = [
        (
            "SIGSEGV",
            "`unsafe` code, or C code, has used memory that is not there; or the stack was used up, by recursion without an end, say",
        ),
        (
            "SIGABRT",
            "a panic in a destructor while another one unwound, memory that could not be had, or `abort`; standard error may say which",
        ),
        (
            "SIGKILL",
            "it was ended from outside, as the system does where the machine has no memory left",
        ),
    ];
    let hint = hints.iter().find(|(signal, _)| reason.contains(signal));
    hint.map(|(_, hint)| *hint)
}

/// The line of the generated source of a future that rustc says is never awaited.
pub fn never_awaited(warning: &Value) -> Option<u32> {
    let code = warning["code"]["code"].as_str()?;
    let message = warning["message"].as_str()?;
    if code != "unused_must_use" || !message.contains("`Future`") {
        return None;
    }
    let span = warning["spans"].as_array()?.first()?;
    u32::try_from(span["line_start"].as_u64()?).ok()
}

/// What is said of such a future in a line of the cell.
pub fn of_never_awaited(line: usize) -> String {
    format!(
        "hint: the future in line {line} is never awaited, so it does nothing: append `.await`, or give it to `tokio::spawn`\n"
    )
}

/// What is said of a cell that compiles.
pub fn for_cell(cell: &CellSource) -> Option<String> {
    let mut blocking = Blocking {
        in_async: false,
        found: false,
    };
    cell.statements()?
        .iter()
        .for_each(|statement| blocking.visit_stmt(statement));
    blocking.found.then(|| format!("hint: {BLOCKING}\n"))
}

/// Looks for calls that block in async code.
struct Blocking {
    in_async: bool,
    found: bool,
}

impl Blocking {
    fn inside(&mut self, is_async: bool, visit: impl FnOnce(&mut Blocking)) {
        let outside = std::mem::replace(&mut self.in_async, is_async);
        visit(self);
        self.in_async = outside;
    }
}

impl Visit<'_> for Blocking {
    fn visit_item_fn(&mut self, item: &ItemFn) {
        if is_allowed(&item.attrs) {
            return;
        }
        self.inside(item.sig.asyncness.is_some(), |inner| {
            visit::visit_item_fn(inner, item);
        });
    }
    fn visit_impl_item_fn(&mut self, item: &ImplItemFn) {
        if is_allowed(&item.attrs) {
            return;
        }
        self.inside(item.sig.asyncness.is_some(), |inner| {
            visit::visit_impl_item_fn(inner, item);
        });
    }
    fn visit_expr_async(&mut self, expr: &ExprAsync) {
        self.inside(true, |inner| {
            visit::visit_expr_async(inner, expr);
        });
    }
    // What `spawn_blocking` is given, mostly.
    fn visit_expr_closure(&mut self, expr: &syn::ExprClosure) {
        self.inside(expr.asyncness.is_some(), |inner| {
            visit::visit_expr_closure(inner, expr);
        });
    }
    fn visit_expr_call(&mut self, call: &ExprCall) {
        if is_allowed(&call.attrs) {
            return;
        }
        if let Expr::Path(path) = &*call.func {
            let names: Vec<_> = path
                .path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            self.found |=
                self.in_async && names.ends_with(&["thread".to_owned(), "sleep".to_owned()]);
        }
        visit::visit_expr_call(self, call);
    }
}

/// Whether the lint is off by which clippy warns of such calls, where a project has listed them
/// (<https://rust-lang.github.io/rust-clippy/master/index.html#disallowed_methods>).
fn is_allowed(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
            list.tokens.to_string().contains("disallowed_methods")
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_in_async_code_is_noticed_and_elsewhere_is_not() {
        let hint = |code: &str| for_cell(&CellSource::new(code)).is_some();
        assert!(hint("async fn f() { std::thread::sleep(d); }"));
        assert!(hint(
            "tokio::spawn(async { for _ in 0..2 { thread::sleep(d) } });"
        ));
        assert!(!hint(
            "fn f() { std::thread::sleep(d); } std::thread::sleep(d);"
        ));
        assert!(!hint(
            "async { spawn_blocking(|| std::thread::sleep(d)).await }.await"
        ));
        assert!(!hint("async { tokio::time::sleep(d).await }.await"));
        let meant = "#[allow(clippy::disallowed_methods)] async fn f() { std::thread::sleep(d); }";
        assert!(!hint(meant));
    }

    #[test]
    fn the_kind_of_the_moved_value_decides() {
        let hint = |type_name: &str| {
            let rendered = format!("move occurs because `x` has type `{type_name}`, which");
            for_error(
                "borrow of moved value",
                Some("E0382"),
                &serde_json::json!({"rendered": rendered}),
            )
        };
        assert_eq!(hint("tokio::sync::mpsc::Sender<Vec<u8>>"), Some(SENDER));
        assert_eq!(hint("UnboundedReceiver<i32>"), Some(RECEIVER));
        assert_eq!(hint("Vec<tokio::sync::mpsc::Sender<u8>>"), None);
    }

    #[test]
    fn only_futures_are_said_to_be_never_awaited() {
        let warning = |message: &str| serde_json::json!({"code": {"code": "unused_must_use"}, "message": message, "spans": [{"line_start": 3}]});
        assert_eq!(
            never_awaited(&warning("unused implementer of `Future` that must be used")),
            Some(3)
        );
        assert_eq!(
            never_awaited(&warning("unused `Result` that must be used")),
            None
        );
    }
}
