//! What becomes of a cell's items. Pure.
//!
//! evcxr compiles all items again with every cell and keeps those that have a name until another one
//! of that name comes. Four things are made good here, always within the cell's lines:
//!
//! - **Statics** (also those in functions, and `thread_local!`, `task_local!`, `lazy_static!`) would
//!   be another object in every cell. Each gets a symbol of its own by which it is exported: the
//!   dynamic linker then lets all cells use the one that was loaded first.
//! - **`impl` blocks** have no name, so that running a cell again would define everything in them
//!   twice. evcxr takes what has no name for a part of the item in front of it; so each gets a
//!   constant in front that names it.
//! - **Macros** are only known behind their definition, and evcxr's items have no order: exported,
//!   they are known everywhere.
//! - **A type that is defined anew** makes variables of the old one unusable. evcxr compares types by
//!   their names and the names of their fields, and would take the one for the other.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ImplItem, Item, ItemImpl, ItemStatic, Stmt, UseTree};

use crate::cell_source::{CellSource, is_item, item_macro};
use crate::local_statics;
use crate::source_map::{Edit, SourceMap};
use crate::statics::{Symbols, edits};
use crate::type_name::naming;
use crate::wire::CellId;

/// The items that the session has.
#[derive(Debug, Clone, Default)]
pub struct Items {
    known: BTreeMap<String, Known>,
    blocks: Vec<Impl>,
    /// How many names were given to `impl` blocks.
    named: usize,
}

/// What a name stands for.
#[derive(Debug, Clone)]
struct Known {
    /// Its definition, in one line.
    source: String,
    /// Everything that is named in it.
    mentions: BTreeSet<String>,
    /// The types that are defined inside of it.
    defines: BTreeSet<String>,
    /// Whether the layout of a value can depend on it.
    shapes: bool,
    /// Whether there are statics in it.
    has_statics: bool,
    /// What the runtime is told of it, if it is a type that the runtime can name.
    naming: Option<String>,
}

/// An `impl` block, or another item without a name.
#[derive(Debug, Clone)]
struct Impl {
    /// The constant in front of it.
    name: String,
    /// Everything in front of the brace.
    header: String,
    /// What is defined in it; nothing where there can only be one of this header.
    members: BTreeSet<String>,
    /// The name of the type.
    self_type: String,
    /// Whether it stands in the cell that defines the type.
    with_type: bool,
    /// All of it.
    source: String,
}

/// What a cell changes.
#[derive(Debug, Default)]
pub struct ItemChanges {
    /// Changes of the cell's code.
    pub edits: Vec<Edit>,
    /// Items to be added to the cell, in one line.
    pub added: String,
    /// The names that now mean something else, and those of types that are made of them.
    pub changed: BTreeSet<String>,
    /// The session's items when the cell has succeeded.
    pub after: Items,
}

impl ItemChanges {
    /// Which of these variables, given with their types, hold what is now defined differently.
    pub fn lost<'a>(&self, variables: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        if self.changed.is_empty() {
            return Vec::new();
        }
        let is_lost =
            |(_, type_name): &(&str, &str)| !mentions(type_name).is_disjoint(&self.changed);
        let mut lost: Vec<_> = variables
            .filter(is_lost)
            .map(|(name, _)| name.to_owned())
            .collect();
        lost.sort();
        lost
    }
}

impl Items {
    /// Whether something has this name.
    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// What the runtime is told of types that it can name, see its `types!`.
    pub fn namings(&self) -> impl Iterator<Item = &str> {
        self.known
            .values()
            .filter_map(|known| known.naming.as_deref())
    }

    /// Looks through the items of a cell.
    pub fn changes(&self, cell: &CellSource, id: CellId) -> ItemChanges {
        let mut look = Look {
            cell,
            symbols: Symbols::new(id),
            new: BTreeMap::new(),
            names: BTreeSet::new(),
            blocks: Vec::new(),
            changes: ItemChanges {
                after: self.clone(),
                ..ItemChanges::default()
            },
        };
        for statement in cell.statements().into_iter().flatten() {
            look.take(statement);
        }
        look.name_blocks();
        look.find_changed();
        look.renew_statics();
        look.changes
    }
}

struct Look<'a> {
    cell: &'a CellSource,
    symbols: Symbols,
    /// What the cell defines.
    new: BTreeMap<String, Known>,
    /// The names of it.
    names: BTreeSet<String>,
    /// The `impl` blocks of the cell and where they begin.
    blocks: Vec<(Impl, usize)>,
    changes: ItemChanges,
}

impl Look<'_> {
    fn take(&mut self, statement: &Stmt) {
        if !is_item(statement) {
            return;
        }
        self.changes
            .edits
            .extend(edits(self.cell, statement, &mut self.symbols));
        if let Some(mac) = item_macro(statement) {
            for (name, source) in local_statics::names_and_sources(self.cell, mac) {
                let known = Known::new(source, false, true);
                self.new.insert(name, known);
            }
            return;
        }
        let Stmt::Item(item) = statement else { return };
        match item {
            Item::Use(item) => self.take_use(&item.tree, &mut Vec::new()),
            Item::Impl(item) => self.take_impl(item),
            Item::ForeignMod(item) => {
                let members = item.items.iter().filter_map(|item| match item {
                    syn::ForeignItem::Fn(item) => Some(item.sig.ident.to_string()),
                    syn::ForeignItem::Static(item) => Some(item.ident.to_string()),
                    _ => None,
                });
                let block = Impl {
                    name: String::new(),
                    header: self.cell.line(&item.abi),
                    members: members.collect(),
                    self_type: String::new(),
                    with_type: false,
                    source: self.cell.line(item),
                };
                self.blocks.push((block, self.cell.range(item).start));
            }
            item => self.take_named(item),
        }
    }

    fn take_named(&mut self, item: &Item) {
        let (name, shapes) = match item {
            Item::Struct(item) => (&item.ident, true),
            Item::Enum(item) => (&item.ident, true),
            Item::Union(item) => (&item.ident, true),
            Item::Type(item) => (&item.ident, true),
            Item::Trait(item) => (&item.ident, true),
            Item::Const(item) => (&item.ident, true),
            Item::Mod(item) => (&item.ident, true),
            Item::Macro(syn::ItemMacro {
                ident: Some(ident), ..
            }) => (ident, true),
            // The length of an array may be what a function returns.
            Item::Fn(item) => (&item.sig.ident, item.sig.constness.is_some()),
            Item::Static(item) => (&item.ident, false),
            _ => return,
        };
        let mut inner = Inner::default();
        inner.visit_item(item);
        let mut known = Known::new(self.cell.line(item), shapes, inner.statics > 0);
        if matches!(item, Item::Mod(_)) {
            known.defines = inner.types;
        }
        known.naming = match item {
            Item::Struct(item) => naming(&item.ident, &item.generics, &item.attrs),
            Item::Enum(item) => naming(&item.ident, &item.generics, &item.attrs),
            Item::Union(item) => naming(&item.ident, &item.generics, &item.attrs),
            _ => None,
        };
        self.new.insert(name.to_string(), known);
    }

    fn take_use(&mut self, tree: &UseTree, path: &mut Vec<String>) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.take_use(&tree.tree, path);
                path.pop();
            }
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| self.take_use(tree, path)),
            UseTree::Name(tree) => self.import(&tree.ident, &tree.ident, path),
            UseTree::Rename(tree) => self.import(&tree.rename, &tree.ident, path),
            UseTree::Glob(_) => {}
        }
    }

    fn import(&mut self, name: &syn::Ident, ident: &syn::Ident, path: &[String]) {
        // `use m::{self}` imports `m`.
        let name = match path.last() {
            Some(module) if name == "self" => module.clone(),
            _ => name.to_string(),
        };
        let source = format!("use {} :: {ident}", path.join("::"));
        self.new.insert(name, Known::new(source, true, false));
    }

    fn take_impl(&mut self, item: &ItemImpl) {
        let start = self.cell.range(item).start;
        let brace = self.cell.range(&item.brace_token.span.open()).start;
        let header = &self.cell.code()[start..brace];
        let header = header
            .parse::<TokenStream>()
            .map_or_else(|_| header.to_owned(), |tokens| tokens.to_string());
        let member = |item: &ImplItem| match item {
            ImplItem::Fn(item) => Some(item.sig.ident.to_string()),
            ImplItem::Const(item) => Some(item.ident.to_string()),
            ImplItem::Type(item) => Some(item.ident.to_string()),
            _ => None,
        };
        let members = if item.trait_.is_some() {
            BTreeSet::new()
        } else {
            item.items.iter().filter_map(member).collect()
        };
        let block = Impl {
            name: String::new(),
            header,
            members,
            self_type: last_ident(&item.self_ty),
            with_type: false,
            source: self.cell.line(item),
        };
        let shapes = item
            .items
            .iter()
            .any(|item| matches!(item, ImplItem::Type(_) | ImplItem::Const(_)));
        let old = self
            .changes
            .after
            .blocks
            .iter()
            .find(|old| old.is_replaced_by(&block));
        if shapes && old.is_some_and(|old| old.source != block.source) {
            self.changes.changed.insert(block.self_type.clone());
        }
        self.blocks.push((block, start));
    }

    /// Gives every `impl` block of the cell a name: that of the one that it replaces, or a new one.
    fn name_blocks(&mut self) {
        let after = &mut self.changes.after;
        let mut old = std::mem::take(&mut after.blocks);
        let mut new: Vec<Impl> = Vec::new();
        let mut emptied = Vec::new();
        for (mut block, start) in std::mem::take(&mut self.blocks) {
            block.with_type = self.new.contains_key(&block.self_type);
            let (replaced, kept): (Vec<_>, Vec<_>) =
                old.into_iter().partition(|old| old.is_replaced_by(&block));
            old = kept;
            let mut replaced = replaced.into_iter().map(|old| old.name);
            block.name = replaced.next().unwrap_or_else(|| {
                after.named += 1;
                format!("MORCEAUX_IMPL_{}", after.named)
            });
            emptied.extend(replaced);
            self.changes
                .edits
                .push(Edit::insert(start, constant(&block.name)));
            new.push(block);
        }
        // What stood beside the old definition of a type belonged to it.
        old.retain(|block| {
            let stays = !(block.with_type && self.new.contains_key(&block.self_type));
            if !stays {
                emptied.push(block.name.clone());
            }
            stays
        });
        for name in emptied {
            self.changes.added.push_str(&constant(&name));
        }
        after.blocks = old;
        after.blocks.append(&mut new);
    }

    /// Finds what means something else now, and everything that is made of it.
    fn find_changed(&mut self) {
        let known = &mut self.changes.after.known;
        let changed = &mut self.changes.changed;
        self.names = self.new.keys().cloned().collect();
        for (name, new) in std::mem::take(&mut self.new) {
            if let Some(old) = known.get(&name)
                && (old.shapes || new.shapes)
                && old.source != new.source
            {
                changed.insert(name.clone());
                changed.extend(old.defines.iter().cloned());
            }
            known.insert(name, new);
        }
        if changed.is_empty() {
            return;
        }
        loop {
            let more: Vec<_> = known
                .iter()
                .filter(|(name, item)| {
                    item.shapes && !changed.contains(*name) && !item.mentions.is_disjoint(changed)
                })
                .flat_map(|(name, item)| item.defines.iter().chain([name]).cloned())
                .collect();
            if more.is_empty() {
                return;
            }
            changed.extend(more);
        }
    }

    /// Statics of earlier cells that hold what is defined differently now begin anew.
    fn renew_statics(&mut self) {
        let changes = &mut self.changes;
        for (name, item) in &changes.after.known {
            let is_new = self.names.contains(name);
            if !item.has_statics || is_new || item.mentions.is_disjoint(&changes.changed) {
                continue;
            }
            let source = CellSource::new(&item.source);
            let edits = source
                .statements()
                .into_iter()
                .flatten()
                .flat_map(|statement| edits(&source, statement, &mut self.symbols));
            let text = SourceMap::new(&item.source, edits.collect());
            changes.added.push_str(text.rewritten());
            changes.added.push(' ');
        }
    }
}

impl Known {
    fn new(source: String, shapes: bool, has_statics: bool) -> Known {
        Known {
            mentions: mentions(&source),
            source,
            defines: BTreeSet::new(),
            shapes,
            has_statics,
            naming: None,
        }
    }
}

impl Impl {
    /// Whether a new block takes the place of this one: it is for the same, and where there can be
    /// several of them, both define something of one name.
    fn is_replaced_by(&self, new: &Impl) -> bool {
        let only_one = self.members.is_empty() && new.members.is_empty();
        self.header == new.header && (only_one || !self.members.is_disjoint(&new.members))
    }
}

/// Counts the statics in an item and collects the names of the types that it defines.
#[derive(Default)]
struct Inner {
    statics: usize,
    types: BTreeSet<String>,
}

impl Visit<'_> for Inner {
    fn visit_item_static(&mut self, item: &ItemStatic) {
        self.statics += 1;
        visit::visit_item_static(self, item);
    }
    fn visit_item_struct(&mut self, item: &syn::ItemStruct) {
        self.types.insert(item.ident.to_string());
    }
    fn visit_item_enum(&mut self, item: &syn::ItemEnum) {
        self.types.insert(item.ident.to_string());
    }
    fn visit_item_union(&mut self, item: &syn::ItemUnion) {
        self.types.insert(item.ident.to_string());
    }
    fn visit_item_type(&mut self, item: &syn::ItemType) {
        self.types.insert(item.ident.to_string());
    }
    fn visit_item_trait(&mut self, item: &syn::ItemTrait) {
        self.types.insert(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }
}

/// The name of an implementing type: the last one of its path.
fn last_ident(self_type: &syn::Type) -> String {
    match self_type {
        syn::Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default(),
        syn::Type::Reference(reference) => last_ident(&reference.elem),
        _ => String::new(),
    }
}

/// Every name in a text.
fn mentions(text: &str) -> BTreeSet<String> {
    fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    names.insert(ident.to_string());
                }
                TokenTree::Group(group) => collect(group.stream(), names),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    let mut names = BTreeSet::new();
    collect(text.parse().unwrap_or_default(), &mut names);
    names
}

fn constant(name: &str) -> String {
    format!("const {name}: () = (); ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of a cell with its items changed, and the session's items behind it.
    fn run(items: &Items, code: &str) -> (String, ItemChanges) {
        let cell = CellSource::new(code);
        let mut changes = items.changes(&cell, 7);
        let map = SourceMap::new(code, std::mem::take(&mut changes.edits));
        let text = map.rewritten().to_owned();
        assert_eq!(text.lines().count(), code.lines().count(), "{text}");
        (text, changes)
    }

    fn lost(items: &Items, code: &str, variables: &[(&str, &str)]) -> Vec<String> {
        run(items, code).1.lost(variables.iter().copied())
    }

    #[test]
    fn an_impl_block_takes_the_place_of_its_earlier_version() {
        let (text, one) = run(&Items::default(), "impl P { fn a() {} }");
        assert_eq!(text, "const MORCEAUX_IMPL_1: () = (); impl P { fn a() {} }");
        let (text, two) = run(
            &one.after,
            "impl P { fn b() {} }\nimpl T for P { fn c() {} }",
        );
        assert!(text.starts_with("const MORCEAUX_IMPL_2"), "{text}");
        let (text, three) = run(
            &two.after,
            "impl T for P { fn d() {} }\nimpl P { fn a() {} fn b() {} }",
        );
        assert!(text.starts_with("const MORCEAUX_IMPL_3"), "{text}");
        assert!(
            text.contains("const MORCEAUX_IMPL_1: () = (); impl P"),
            "{text}"
        );
        assert_eq!(three.added, "const MORCEAUX_IMPL_2: () = (); ");
    }

    #[test]
    fn an_impl_block_beside_its_type_goes_with_the_type() {
        let (_, one) = run(&Items::default(), "struct P; impl P { fn a() {} }");
        let (_, two) = run(&one.after, "impl P { fn b() {} }");
        let (_, three) = run(&two.after, "struct P { x: u8 }");
        assert_eq!(three.added, "const MORCEAUX_IMPL_1: () = (); ");
        assert_eq!(three.after.blocks.len(), 1);
    }

    #[test]
    fn what_holds_a_type_that_is_defined_anew_is_lost() {
        let (_, first) = run(
            &Items::default(),
            "struct P { a: u8 }\nstruct W { p: Vec<P> }\nstruct O;\nmod m { pub struct I(super::P); }",
        );
        let items = first.after;
        let variables = [
            ("p", "Option<P>"),
            ("w", "tokio::task::JoinHandle<W>"),
            ("o", "O"),
            ("i", "m::I"),
            ("n", "i32"),
        ];
        assert_eq!(
            lost(&items, "struct P { a: u64 }", &variables),
            ["i", "p", "w"]
        );
        assert!(lost(&items, "struct P { a: u8 } // the same", &variables).is_empty());
        assert!(lost(&items, "fn P() {}", &[("o", "O")]).is_empty());
    }

    #[test]
    fn statics_that_hold_it_begin_anew() {
        let (_, first) = run(
            &Items::default(),
            "struct P;\nfn f() { static S: Vec<P> = Vec::new(); }",
        );
        let (_, second) = run(&first.after, "struct P { a: u8 }");
        assert_eq!(
            second.added,
            "fn f () { #[unsafe(export_name = \"morceaux_7_1_S\")] static S : Vec < P > = Vec :: new () ; } "
        );
    }

    #[test]
    fn imports_stand_for_what_they_import() {
        let (_, first) = run(&Items::default(), "mod m { pub struct I; }\nuse m::I as J;");
        let (_, own) = run(
            &Items::default(),
            "use a::m::{self, I}; trait T { fn t(&self); }",
        );
        assert!(lost(&own.after, "use b::n::{self};", &[("t", "Box<dyn T>")]).is_empty());
        assert_eq!(lost(&own.after, "use b::m;", &[("m", "m::X")]), ["m"]);
        let changed = "mod m { pub struct I(u8); }";
        assert_eq!(
            lost(&first.after, changed, &[("j", "J"), ("k", "K")]),
            ["j"]
        );
    }
}
