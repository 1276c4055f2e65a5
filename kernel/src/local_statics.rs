//! Macros that make statics: `thread_local!`, `task_local!` and `lazy_static!`, which would make
//! others in every cell. Pure.
//!
//! A static of the same name takes their place. It holds a reference to what the macro makes, so that
//! it can be shared by all cells as every other static is (see `items.rs`).

use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, Ident, Macro, Token, Type, Visibility};

use crate::cell_source::CellSource;
use crate::macros;
use crate::source_map::Edit;

/// One of the statics in such a macro.
struct LocalStatic {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    token: Token![static],
    reference: Option<Token![ref]>,
    name: Ident,
    type_: Type,
    value: Option<Expr>,
    semicolon: Option<Token![;]>,
}

impl Parse for LocalStatic {
    fn parse(input: ParseStream<'_>) -> syn::Result<LocalStatic> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let token = input.parse()?;
        let reference = input.parse()?;
        let name = input.parse()?;
        input.parse::<Token![:]>()?;
        let type_ = input.parse()?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        let semicolon = input.parse()?;
        Ok(LocalStatic {
            attributes,
            visibility,
            token,
            reference,
            name,
            type_,
            value,
            semicolon,
        })
    }
}

/// What a macro makes of its statics.
struct Kind {
    /// In front of the type.
    type_: &'static str,
    /// Behind the type.
    type_end: &'static str,
    /// In front of the value, where NAME and TYPE stand for those of the static.
    value: &'static str,
    /// Behind the value.
    value_end: &'static str,
}

fn kind(mac: &Macro) -> Kind {
    match &*macros::name(mac) {
        "lazy_static" => Kind {
            type_: "std::sync::LazyLock<",
            type_end: ">",
            value: "std::sync::LazyLock::new(|| ",
            value_end: ")",
        },
        "task_local" => Kind {
            type_: "morceaux::Shared<&'static tokio::task::LocalKey<",
            type_end: ">>",
            value: "morceaux::Shared::new({ tokio::task_local! { static NAME: TYPE",
            value_end: "; } &NAME })",
        },
        _ => Kind {
            type_: "morceaux::Shared<&'static std::thread::LocalKey<",
            type_end: ">>",
            value: "morceaux::Shared::new({ std::thread_local! { static NAME: TYPE = ",
            value_end: "; } &NAME })",
        },
    }
}

fn statics(mac: &Macro) -> Option<Vec<LocalStatic>> {
    let all = |input: ParseStream<'_>| {
        let mut all = Vec::new();
        while !input.is_empty() {
            all.push(input.parse()?);
        }
        Ok(all)
    };
    mac.parse_body_with(all).ok()
}

/// The statics that a macro makes, each with a call of the macro that makes it alone.
pub fn names_and_sources(cell: &CellSource, mac: &Macro) -> Vec<(String, String)> {
    let of_static = |found: LocalStatic| {
        let value = found
            .value
            .as_ref()
            .map(|value| format!(" = {}", cell.line(value)));
        let source = format!(
            "{}! {{ {} static {}{}: {}{}; }}",
            macros::name(mac),
            cell.line(&found.visibility),
            if found.reference.is_some() {
                "ref "
            } else {
                ""
            },
            found.name,
            cell.line(&found.type_),
            value.unwrap_or_default(),
        );
        (found.name.to_string(), source)
    };
    statics(mac).into_iter().flatten().map(of_static).collect()
}

/// Puts statics in the place of the macro. `end` is where its statement ends, `attribute` what is to
/// stand in front of each.
pub fn edits(
    cell: &CellSource,
    mac: &Macro,
    end: usize,
    attribute: &mut dyn FnMut(&Ident) -> String,
) -> Vec<Edit> {
    let Some(statics) = statics(mac) else {
        return Vec::new();
    };
    let kind = kind(mac);
    let delimiter = mac.delimiter.span();
    let close = cell.range(&delimiter.close());
    let mut edits = vec![
        Edit::remove(cell.range(&mac.path)),
        Edit::remove(cell.range(&mac.bang_token)),
        Edit::remove(cell.range(&delimiter.open())),
    ];
    let mut insert = |offset, inserted: String| {
        edits.push(Edit::insert(offset, inserted));
    };
    for found in &statics {
        let start = match (found.attributes.first(), &found.visibility) {
            (Some(first), _) => cell.range(first).start,
            (None, Visibility::Inherited) => cell.range(&found.token).start,
            (None, visibility) => cell.range(visibility).start,
        };
        insert(start, attribute(&found.name));
        let type_ = cell.range(&found.type_);
        insert(type_.start, kind.type_.to_owned());
        let filled = kind
            .value
            .replace("NAME", &found.name.to_string())
            .replace("TYPE", &cell.line(&found.type_));
        let closed = kind.value_end.replace("NAME", &found.name.to_string());
        let behind = if let Some(value) = &found.value {
            insert(type_.end, kind.type_end.to_owned());
            let value = cell.range(value);
            insert(value.start, filled);
            insert(value.end, closed);
            value.end
        } else {
            insert(type_.end, format!("{} = {filled}{closed}", kind.type_end));
            type_.end
        };
        if found.semicolon.is_none() {
            insert(behind, ";".to_owned());
        }
    }
    let references = statics.iter().filter_map(|found| found.reference.as_ref());
    edits.extend(references.map(|reference| Edit::remove(cell.range(reference))));
    // Behind what is put in at the same place.
    edits.push(Edit::remove(close.start..end));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_source::item_macro;
    use crate::source_map::SourceMap;

    fn rewritten(code: &str) -> String {
        let cell = CellSource::new(code);
        let statement = &cell.statements().unwrap()[0];
        let end = cell.range(statement).end;
        let edits = edits(&cell, item_macro(statement).unwrap(), end, &mut |name| {
            format!("#[{name}] ")
        });
        SourceMap::new(code, edits).rewritten().trim().to_owned()
    }

    #[test]
    fn a_thread_local_becomes_a_static() {
        assert_eq!(
            rewritten(
                "thread_local! {\n    /// Doc.\n    pub static A: Cell<u8> = const { Cell::new(1) };\n}"
            ),
            "#[A] /// Doc.\n    pub static A: morceaux::Shared<&'static std::thread::LocalKey<Cell<u8>>> = \
             morceaux::Shared::new({ std::thread_local! { static A: Cell < u8 > = const { Cell::new(1) }; } &A });"
        );
        let two = rewritten("thread_local!(static A: u8 = 1; static B: u8 = 2);");
        assert!(two.ends_with("static B: u8 = 2; } &B });"), "{two}");
    }

    #[test]
    fn a_task_local_has_no_value() {
        assert_eq!(
            rewritten("tokio::task_local! { static A: u8; }"),
            "#[A] static A: morceaux::Shared<&'static tokio::task::LocalKey<u8>> = \
             morceaux::Shared::new({ tokio::task_local! { static A: u8; } &A });"
        );
    }

    #[test]
    fn a_lazy_static_becomes_a_lazy_lock() {
        assert_eq!(
            rewritten("lazy_static! { static ref A: u8 = f(); }"),
            "#[A] static  A: std::sync::LazyLock<u8> = std::sync::LazyLock::new(|| f());"
        );
    }
}
