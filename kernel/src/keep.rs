//! How the variables of a cell are kept for later cells. Pure.
//!
//! evcxr keeps a variable if it can write down its type. For the others, the cell binds them once
//! more at its end, to something that can be kept: with the type that rustc knows, or boxed. What can
//! only live as long as the cell (what borrows from other variables, mostly) is hidden from evcxr.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use syn::visit::{self, Visit};
use syn::{Expr, GenericArgument, Pat, PathArguments, ReturnType, Stmt, Type, TypeParamBound};

use crate::cell_source::{Binding, CellSource};

/// What is done with the variables that need something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    ways: BTreeMap<String, Way>,
    /// The variables that are not handed over where the cell ends early.
    pub not_rescued: Vec<String>,
}

/// What is done with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is bound again.
    Bound {
        /// Its type, where that has to be said.
        type_name: Option<String>,
        /// What becomes of the value, if anything.
        conversion: Option<Conversion>,
        /// Whether the value has to be fit for other threads.
        send: bool,
    },
    /// It ends with the cell.
    Local {
        /// Why, for the user; nothing where it was moved away.
        reason: Option<&'static str>,
        /// Whether it is dropped at the end of the cell. It cannot be if it was moved away.
        dropped: bool,
    },
}

/// How a value is boxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// As a future.
    Future,
    /// As an iterator.
    Iterator,
    /// As a stream; the path of the trait.
    Stream(String),
    /// As a closure.
    Closure {
        /// What it can be called as.
        kind: ClosureKind,
        /// The types of its arguments; `_` where they are not said.
        arguments: Vec<String>,
    },
    /// As an async closure of so many arguments.
    AsyncClosure(usize),
    /// Each of a collection; the collection's path.
    Each(String, Box<Conversion>),
    /// What is in an `Option`, a `Result` or an array, if anything is.
    Mapped(Box<Conversion>),
    /// The values of a map; the map's path.
    Values(String, Box<Conversion>),
    /// Some of the parts of a tuple.
    Tuple(Vec<Option<Conversion>>),
}

/// Which of the traits for closures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosureKind {
    /// `Fn`
    Fn,
    /// `FnMut`
    FnMut,
    /// `FnOnce`
    FnOnce,
}

/// It borrows from what the cell or an earlier one owns.
pub const BORROWS: &str = "it borrows from another value, and only lives as long as the cell";
/// Nothing that can be written down fits it.
pub const UNNAMEABLE: &str = "its type cannot be written down, and it is no future, iterator, stream or closure that could be boxed";

impl Plan {
    /// What can be told before anything was compiled: a closure has to be boxed.
    pub fn new(cell: &CellSource) -> Plan {
        let mut plan = Plan::default();
        for statement in cell.statements().into_iter().flatten() {
            if let Stmt::Local(local) = statement
                && let Pat::Ident(pat) = &local.pat
                && let Some(init) = &local.init
                && let Some(conversion) = closure(cell, &init.expr)
            {
                plan.set(&pat.ident.to_string(), Way::boxed(conversion));
            }
        }
        plan
    }

    /// What is done with a variable.
    pub fn way(&self, name: &str) -> Option<&Way> {
        self.ways.get(name)
    }

    /// Changes what is done with a variable.
    pub fn set(&mut self, name: &str, way: Way) {
        self.ways.insert(name.to_owned(), way);
    }

    /// Takes what was found out about a variable. What is known to be converted stays so; only what it
    /// becomes is known then.
    pub fn learn(&mut self, name: &str, learnt: Way) {
        match (self.ways.get_mut(name), learnt) {
            (
                Some(Way::Bound {
                    type_name,
                    conversion: Some(_),
                    ..
                }),
                Way::Bound {
                    type_name: Some(learnt),
                    conversion: None,
                    ..
                },
            ) => *type_name = Some(learnt),
            (_, learnt) => self.set(name, learnt),
        }
    }

    /// What is done with the variables that need something, to be changed.
    pub fn ways_mut(&mut self) -> impl Iterator<Item = (&String, &mut Way)> {
        self.ways.iter_mut()
    }

    /// Whether a variable is hidden from evcxr.
    pub fn is_local(&self, name: &str) -> bool {
        matches!(self.way(name), Some(Way::Local { .. }))
    }

    /// The statements at the end of the cell, in one line.
    pub fn last_statements(&self, bindings: &[Binding]) -> String {
        let mut statements = String::new();
        // What borrows goes first.
        for binding in bindings.iter().rev() {
            if let Some(Way::Local { dropped: true, .. }) = self.way(&binding.name) {
                let _ = write!(statements, " std::mem::drop({});", binding.name);
            }
        }
        for binding in bindings {
            let Some(Way::Bound { type_name, .. }) = self.way(&binding.name) else {
                continue;
            };
            let mutable = if binding.mutable { "mut " } else { "" };
            let type_name = type_name.as_ref().map(|name| format!(": {name}"));
            let type_name = type_name.unwrap_or_default();
            let value = self.kept(&binding.name);
            let _ = write!(
                statements,
                " let {mutable}{}{type_name} = {value};",
                binding.name
            );
        }
        statements
    }

    /// The expression by which a variable is kept.
    pub fn kept(&self, name: &str) -> String {
        match self.way(name) {
            Some(Way::Bound {
                conversion: Some(conversion),
                send,
                ..
            }) => conversion.expression(name, *send),
            _ => name.to_owned(),
        }
    }

    /// What the user is told of the variables that are not kept.
    pub fn notes(&self) -> String {
        let mut notes = String::new();
        for (name, way) in &self.ways {
            if let Way::Local {
                reason: Some(reason),
                ..
            } = way
            {
                let _ = writeln!(
                    notes,
                    "note: `{name}` is not kept for later cells: {reason}{}",
                    advice(reason)
                );
            }
        }
        notes
    }
}

fn advice(reason: &str) -> &'static str {
    if reason == BORROWS {
        ". Keep what it borrows from and borrow again there, keep a clone, or use a closure with `move`"
    } else {
        ""
    }
}

impl Way {
    /// Boxed in this way, so that other threads can have it.
    pub fn boxed(conversion: Conversion) -> Way {
        Way::Bound {
            type_name: None,
            conversion: Some(conversion),
            send: true,
        }
    }

    /// As it is, with this type.
    pub fn typed(type_name: String) -> Way {
        Way::Bound {
            type_name: Some(type_name),
            conversion: None,
            send: false,
        }
    }

    /// Hidden from evcxr.
    pub fn local(reason: &'static str) -> Way {
        Way::Local {
            reason: Some(reason),
            dropped: true,
        }
    }
}

impl Conversion {
    /// The converted value.
    fn expression(&self, value: &str, send: bool) -> String {
        let local = if send { "" } else { "local_" };
        let bounds = if send { " + Send" } else { "" };
        match self {
            Conversion::Future => format!("morceaux::__keep::{local}future({value})"),
            Conversion::Iterator => format!("morceaux::__keep::{local}iterator({value})"),
            Conversion::Stream(path) => {
                format!("Box::pin({value}) as std::pin::Pin<Box<dyn {path}<Item = _>{bounds}>>")
            }
            Conversion::Closure { kind, arguments } => {
                let kind = kind.name();
                let arguments = arguments.join(", ");
                let sync = if send { " + Sync" } else { "" };
                format!("Box::new({value}) as Box<dyn {kind}({arguments}) -> _{bounds}{sync}>")
            }
            Conversion::AsyncClosure(arguments) => {
                format!("morceaux::__keep::{local}async_closure_{arguments}({value})")
            }
            Conversion::Each(path, each) => format!(
                "{value}.into_iter().map(|value| {}).collect::<{path}<_>>()",
                each.expression("value", send)
            ),
            Conversion::Mapped(inner) => {
                format!("{value}.map(|value| {})", inner.expression("value", send))
            }
            Conversion::Values(path, inner) => format!(
                "{value}.into_iter().map(|(key, value)| (key, {})).collect::<{path}<_, _>>()",
                inner.expression("value", send)
            ),
            Conversion::Tuple(parts) => {
                let names: String = (0..parts.len())
                    .map(|part| format!("part_{part}, "))
                    .collect();
                let converted: String = parts
                    .iter()
                    .enumerate()
                    .map(|(number, part)| {
                        let name = format!("part_{number}");
                        let part = part.as_ref().map(|part| part.expression(&name, send));
                        format!("{}, ", part.unwrap_or(name))
                    })
                    .collect();
                format!("{{ let ({names}) = {value}; ({converted}) }}")
            }
        }
    }

    /// How a value of a type is boxed whose name contains `impl Trait`. `stream` is the path of the
    /// trait for streams, if there is one.
    pub fn of(type_name: &Type, stream: Option<&str>) -> Option<Conversion> {
        let inner = |inner: &Type| Conversion::of(inner, stream).map(Box::new);
        match type_name {
            Type::ImplTrait(implied) => implied
                .bounds
                .iter()
                .find_map(|bound| of_bound(bound, stream)),
            Type::Paren(paren) => Conversion::of(&paren.elem, stream),
            Type::Group(group) => Conversion::of(&group.elem, stream),
            Type::Array(array) => inner(&array.elem).map(Conversion::Mapped),
            Type::Tuple(tuple) => {
                let parts: Vec<_> = tuple
                    .elems
                    .iter()
                    .map(|part| Conversion::of(part, stream))
                    .collect();
                let any = parts.iter().any(Option::is_some);
                any.then_some(Conversion::Tuple(parts))
            }
            Type::Path(path) => {
                let last = path.path.segments.last()?;
                let path = path_of(&path.path);
                let arguments = type_arguments(&last.arguments);
                let first = arguments.first().copied();
                match &*last.ident.to_string() {
                    "Vec" | "VecDeque" | "LinkedList" => {
                        inner(first?).map(|each| Conversion::Each(path, each))
                    }
                    "Option" | "Result" => inner(first?).map(Conversion::Mapped),
                    "HashMap" | "BTreeMap" => {
                        inner(arguments.get(1)?).map(|each| Conversion::Values(path, each))
                    }
                    // A boxed future is a future.
                    "Pin" | "Box" => Conversion::of(first?, stream),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl ClosureKind {
    /// The trait.
    pub fn name(self) -> &'static str {
        match self {
            ClosureKind::Fn => "Fn",
            ClosureKind::FnMut => "FnMut",
            ClosureKind::FnOnce => "FnOnce",
        }
    }

    fn of(name: &str) -> Option<ClosureKind> {
        [ClosureKind::Fn, ClosureKind::FnMut, ClosureKind::FnOnce]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The next one that asks less of a closure.
    pub fn weaker(self) -> Option<ClosureKind> {
        match self {
            ClosureKind::Fn => Some(ClosureKind::FnMut),
            ClosureKind::FnMut => Some(ClosureKind::FnOnce),
            ClosureKind::FnOnce => None,
        }
    }
}

/// How a closure is boxed, if an expression is one.
fn closure(cell: &CellSource, expr: &Expr) -> Option<Conversion> {
    let closure = match expr {
        Expr::Paren(paren) => return self::closure(cell, &paren.expr),
        Expr::Closure(closure) => closure,
        _ => return None,
    };
    // A closure that returns a future is as good as an async one.
    if closure.asyncness.is_some() || matches!(&*closure.body, Expr::Async(_)) {
        return Some(Conversion::AsyncClosure(closure.inputs.len()));
    }
    let argument = |pat: &Pat| match pat {
        Pat::Type(pat) => cell.line(&pat.ty),
        _ => "_".to_owned(),
    };
    Some(Conversion::Closure {
        kind: ClosureKind::Fn,
        arguments: closure.inputs.iter().map(argument).collect(),
    })
}

fn of_bound(bound: &TypeParamBound, stream: Option<&str>) -> Option<Conversion> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    let last = bound.path.segments.last()?;
    let name = last.ident.to_string();
    match &*name {
        "Future" => Some(Conversion::Future),
        "Iterator" | "DoubleEndedIterator" | "ExactSizeIterator" => Some(Conversion::Iterator),
        "Stream" => stream.map(|path| Conversion::Stream(path.to_owned())),
        _ => {
            let PathArguments::Parenthesized(arguments) = &last.arguments else {
                return None;
            };
            if name.starts_with("Async") {
                return Some(Conversion::AsyncClosure(arguments.inputs.len()));
            }
            let returns_future = matches!(&arguments.output, ReturnType::Type(_, output) if Conversion::of(output, stream) == Some(Conversion::Future));
            if returns_future {
                return Some(Conversion::AsyncClosure(arguments.inputs.len()));
            }
            Some(Conversion::Closure {
                kind: ClosureKind::of(&name)?,
                arguments: arguments.inputs.iter().map(|_| "_".to_owned()).collect(),
            })
        }
    }
}

/// A path without its last arguments.
fn path_of(path: &syn::Path) -> String {
    let names: Vec<_> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    names.join("::")
}

fn type_arguments(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return Vec::new();
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(argument) => Some(argument),
        _ => None,
    });
    types.collect()
}

/// Whether a type contains one that cannot be written down.
pub fn is_unnameable(type_name: &Type) -> bool {
    contains(type_name, |inner| matches!(inner, Type::ImplTrait(_)))
}

/// Whether a type contains one that is not known.
pub fn is_inferred(type_name: &Type) -> bool {
    // That of a future's output does not matter where it is in an `impl Trait`.
    !is_unnameable(type_name) && contains(type_name, |inner| matches!(inner, Type::Infer(_)))
}

fn contains(type_name: &Type, wanted: fn(&Type) -> bool) -> bool {
    struct Search(fn(&Type) -> bool, bool);
    impl Visit<'_> for Search {
        fn visit_type(&mut self, inner: &Type) {
            self.1 |= (self.0)(inner);
            visit::visit_type(self, inner);
        }
    }
    let mut search = Search(wanted, false);
    search.visit_type(type_name);
    search.1
}

/// A type as evcxr or rustc names it, in a form that can be written in a cell: unnameable ones as
/// `impl Trait`, `!` by its name in the runtime, literals by their default type.
pub fn writable(type_name: &str) -> Option<Type> {
    let mut text = String::with_capacity(type_name.len());
    let mut rest = type_name;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let close = open + rest[open..].find('}')?;
        text.push_str(match &rest[open + 1..close] {
            "integer" => "i32",
            "float" => "f64",
            future if future.starts_with("async block") || future.starts_with("async fn body") => {
                "impl std::future::Future<Output = _>"
            }
            closure if closure.starts_with("async closure body") => {
                "impl std::future::Future<Output = _>"
            }
            _ => "impl Sized",
        });
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    let mut parsed: Type = syn::parse_str(&text).ok()?;
    struct Never;
    impl syn::visit_mut::VisitMut for Never {
        fn visit_type_mut(&mut self, inner: &mut Type) {
            if matches!(inner, Type::Never(_)) {
                *inner = syn::parse_quote!(morceaux::Never);
            }
            syn::visit_mut::visit_type_mut(self, inner);
        }
    }
    syn::visit_mut::VisitMut::visit_type_mut(&mut Never, &mut parsed);
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;

    use super::*;

    fn conversion(type_name: &str) -> Option<String> {
        let conversion = Conversion::of(&writable(type_name).unwrap(), Some("futures::Stream"))?;
        Some(conversion.expression("x", true))
    }

    #[test]
    fn futures_are_boxed_wherever_they_are() {
        let boxed = "morceaux::__keep::future";
        assert_eq!(
            conversion("impl Future<Output = String>"),
            Some(format!("{boxed}(x)"))
        );
        assert_eq!(
            conversion("Pin<Box<impl Future<Output = ()>>>"),
            Some(format!("{boxed}(x)"))
        );
        assert_eq!(
            conversion("std::vec::Vec<{async block@src/lib.rs:1:2: 3:4}>"),
            Some(format!(
                "x.into_iter().map(|value| {boxed}(value)).collect::<std::vec::Vec<_>>()"
            ))
        );
        assert_eq!(
            conversion("(u8, Option<impl Future<Output = ()>>)"),
            Some(format!(
                "{{ let (part_0, part_1, ) = x; (part_0, part_1.map(|value| {boxed}(value)), ) }}"
            ))
        );
        assert_eq!(conversion("Vec<u8>"), None);
    }

    #[test]
    fn closures_streams_and_iterators_are_boxed() {
        assert_eq!(
            conversion("impl FnMut(i32, &str) -> u8").unwrap(),
            "Box::new(x) as Box<dyn FnMut(_, _) -> _ + Send + Sync>"
        );
        assert_eq!(
            conversion("impl Iterator<Item = u8>").unwrap(),
            "morceaux::__keep::iterator(x)"
        );
        assert!(
            conversion("impl Stream<Item = u8>")
                .unwrap()
                .contains("dyn futures::Stream<Item = _> + Send")
        );
        assert_eq!(
            conversion("impl Fn(u8) -> impl Future<Output = u8>").unwrap(),
            "morceaux::__keep::async_closure_1(x)"
        );
    }

    #[test]
    fn types_are_put_as_they_can_be_written() {
        let text = |name: &str| writable(name).map(|found| found.to_token_stream().to_string());
        assert_eq!(
            text("JoinHandle<!>").unwrap(),
            "JoinHandle < morceaux :: Never >"
        );
        assert_eq!(text("Vec<{integer}>").unwrap(), "Vec < i32 >");
        assert_eq!(text("{unclosed"), None);
    }

    #[test]
    fn closures_are_known_by_their_looks() {
        let cell =
            CellSource::new("let mut add = |a: &str, b| a.len() + b; let f = (async |x| x);");
        let plan = Plan::new(&cell);
        assert_eq!(
            plan.last_statements(&cell.bindings()),
            " let mut add = Box::new(add) as Box<dyn Fn(& str, _) -> _ + Send + Sync>; \
             let f = morceaux::__keep::async_closure_1(f);"
        );
    }

    #[test]
    fn what_borrows_is_dropped_first_and_said() {
        let cell = CellSource::new("let a = b.lock(); let c = &a;");
        let mut plan = Plan::default();
        plan.set("a", Way::local(BORROWS));
        plan.set("c", Way::local(BORROWS));
        assert_eq!(
            plan.last_statements(&cell.bindings()),
            " std::mem::drop(c); std::mem::drop(a);"
        );
        assert!(
            plan.notes()
                .starts_with("note: `a` is not kept for later cells: it borrows")
        );
    }
}
