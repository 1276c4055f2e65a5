//! What is put into items so that later cells share them: the symbols of statics, and the attribute
//! that makes a macro known everywhere. Pure. See `items.rs` for why.

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemStatic, Stmt};

use crate::cell_source::{CellSource, item_macro};
use crate::local_statics;
use crate::source_map::Edit;
use crate::wire::CellId;

/// Hands out the symbols of statics.
pub struct Symbols {
    cell: CellId,
    count: usize,
}

impl Symbols {
    /// Those of a cell.
    pub fn new(cell: CellId) -> Symbols {
        Symbols { cell, count: 0 }
    }

    /// The attribute that gives a static its symbol.
    fn attribute(&mut self, name: &syn::Ident) -> String {
        self.count += 1;
        let (cell, count) = (self.cell, self.count);
        format!("#[unsafe(export_name = \"morceaux_{cell}_{count}_{name}\")] ")
    }
}

/// What is changed in an item for its statics to be shared, and for its macro to be known.
pub fn edits(cell: &CellSource, statement: &Stmt, symbols: &mut Symbols) -> Vec<Edit> {
    if let Some(mac) = item_macro(statement) {
        let end = cell.range(statement).end;
        return local_statics::edits(cell, mac, end, &mut |name| symbols.attribute(name));
    }
    let Stmt::Item(item) = statement else {
        return Vec::new();
    };
    let mut edits = Vec::new();
    if let Item::Macro(mac) = item
        && mac.ident.is_some()
        && !has_attribute(&mac.attrs, &["macro_export"])
    {
        let start = cell.range(item).start;
        edits.push(Edit::insert(start, "#[macro_export] ".to_owned()));
    }
    let mut statics = Statics {
        found: &mut |item| {
            let start = cell.range(item).start;
            edits.push(Edit::insert(start, symbols.attribute(&item.ident)));
        },
    };
    statics.visit_item(item);
    edits
}

/// Finds the statics in an item that have no symbol of their own.
struct Statics<'a> {
    found: &'a mut dyn FnMut(&ItemStatic),
}

impl Visit<'_> for Statics<'_> {
    fn visit_item_static(&mut self, item: &ItemStatic) {
        if !has_attribute(&item.attrs, &["no_mangle", "export_name"]) {
            (self.found)(item);
        }
        visit::visit_item_static(self, item);
    }
}

/// Also where it stands in `unsafe(…)`, as the edition of 2024 wants it.
fn has_attribute(attributes: &[Attribute], names: &[&str]) -> bool {
    let is_named = |path: &syn::Path| names.iter().any(|name| path.is_ident(name));
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("unsafe") => {
            let inner = list.parse_args::<syn::Meta>();
            inner.is_ok_and(|inner| is_named(inner.path()))
        }
        meta => is_named(meta.path()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::SourceMap;

    fn changed(code: &str) -> String {
        let cell = CellSource::new(code);
        let mut symbols = Symbols::new(7);
        let statements = cell.statements().unwrap().iter();
        let edits = statements.flat_map(|statement| edits(&cell, statement, &mut symbols));
        SourceMap::new(code, edits.collect()).rewritten().to_owned()
    }

    #[test]
    fn statics_get_a_symbol_wherever_they_stand() {
        let text = changed("pub static A: u8 = 1; fn f() { static B: u8 = 1; }");
        assert_eq!(
            text,
            "#[unsafe(export_name = \"morceaux_7_1_A\")] pub static A: u8 = 1; \
             fn f() { #[unsafe(export_name = \"morceaux_7_2_B\")] static B: u8 = 1; }"
        );
        let own = "#[unsafe(no_mangle)] static A: u8 = 1;";
        assert_eq!(changed(own), own);
    }

    #[test]
    fn macros_are_exported() {
        let text = changed("macro_rules! m { () => {} }");
        assert_eq!(text, "#[macro_export] macro_rules! m { () => {} }");
        assert_eq!(changed(&text), text);
    }
}
