//! Values whose type cannot be written down, boxed as what they are good for. Pure. The functions that
//! do it are the runtime's, see its `keep.rs`.

use syn::{Expr, GenericArgument, Pat, PathArguments, ReturnType, Type, TypeParamBound};

use crate::cell_source::CellSource;

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

impl Conversion {
    /// The converted value; `send` says whether it has to be fit for other threads.
    pub fn expression(&self, value: &str, send: bool) -> String {
        let local = if send { "" } else { "local_" };
        let bounds = if send { " + Send" } else { "" };
        match self {
            Conversion::Future => format!("morceaux::__keep::{local}future({value})"),
            Conversion::Iterator => format!("morceaux::__keep::{local}iterator({value})"),
            Conversion::Stream(path) => boxed(
                &format!("Box::pin({value})"),
                &format!("std::pin::Pin<Box<dyn {path}<Item = _>{bounds}>>"),
            ),
            Conversion::Closure { kind, arguments } => {
                let kind = kind.name();
                let arguments = arguments.join(", ");
                let sync = if send { " + Sync" } else { "" };
                boxed(
                    &format!("Box::new({value})"),
                    &format!("Box<dyn {kind}({arguments}) -> _{bounds}{sync}>"),
                )
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

    /// How a closure is boxed, if an expression is one.
    pub fn of_closure(cell: &CellSource, expr: &Expr) -> Option<Conversion> {
        let closure = match expr {
            Expr::Paren(paren) => return Conversion::of_closure(cell, &paren.expr),
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

/// A box, coerced to a type. With `as`, the compiler would not know the type before the end of the cell.
fn boxed(value: &str, type_name: &str) -> String {
    format!("{{ let boxed: {type_name} = {value}; boxed }}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_name::writable;

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
            "{ let boxed: Box<dyn FnMut(_, _) -> _ + Send + Sync> = Box::new(x); boxed }"
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
}
