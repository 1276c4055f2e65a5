//! What holds for every cell and for any bytes, tried with what a generator makes of them.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use crate::cell_source::{self, CellSource};
use crate::commands::Formats;
use crate::items::Items;
use crate::keep::Plan;
use crate::output::{CellOutput, Output};
use crate::rewrite::{Drain, Wishes, rewrite};
use crate::wire::{self, Order, Report, Stream};

/// Expressions of which the rewriting changes some.
const EXPRESSIONS: [&str; 18] = [
    "a",
    "1 + 2",
    "f()",
    "f().await",
    "f()?",
    "f().await?.b",
    "x.y(g().await?)?",
    "vec![1, f().await]",
    "display(&a)",
    "println!(\"{} {a}\", f()?)",
    "tokio::join!(f(), g())",
    "tokio::select! { x = f() => x, _ = g() => { h().await } }",
    "async move { f().await? }",
    "async |x| x.await",
    "move |x| { display(&x); x? }",
    "std::thread::sleep(d)",
    "rt.block_on(f())",
    "match f().await { Ok(x) if x? > 1 => x, _ => break }",
];

/// How many cells, or pieces of text, each property is tried with.
const CASES: u64 = 500;

/// Tries a property with a generator for each seed, which a failure names.
fn try_all(property: impl Fn(&mut Rng) + std::panic::RefUnwindSafe) {
    for seed in 0..CASES {
        let tried = std::panic::catch_unwind(|| property(&mut Rng::with_seed(seed)));
        assert!(tried.is_ok(), "it does not hold with seed {seed}");
        cell_source::forget_all();
    }
}

fn expression(rng: &mut Rng) -> &'static str {
    rng.choice(EXPRESSIONS).unwrap_or_default()
}

fn statement(rng: &mut Rng, depth: u32) -> String {
    let e = expression(rng);
    if depth == 0 || rng.bool() {
        return match rng.u8(..8) {
            0 => format!("let x = {e};"),
            1 => format!("let (mut y, Some(z)) = {e} else {{ panic!() }};"),
            2 => format!("{e};"),
            3 => "static S: u8 = 1;".to_owned(),
            4 => "thread_local! { static T: u8 = 1; }".to_owned(),
            5 => "use std::fmt;".to_owned(),
            6 => "struct P { a: u8 }".to_owned(),
            _ => "// said, é".to_owned(),
        };
    }
    let block = statements(rng, depth - 1);
    match rng.u8(..9) {
        0 => format!("loop {{ {block}\n}}"),
        1 => format!("for x in {e} {{ {block}\n}}"),
        2 => format!("while ({e}) {{ {block}\n}}"),
        3 => format!("if ({e}) {{ {block}\n}} else {{ {e} }}"),
        4 => format!("fn f() -> u8 {{ {block}\nf() }}"),
        5 => format!("impl P {{ async fn m(&self) {{ {block}\n}} }}"),
        6 => format!("mod m {{ const C: u8 = {{ {e} }}; fn f() {{ {block}\n}} }}"),
        7 => format!("{{ {block}\n}}"),
        _ => format!("let c = || {{ {block}\n{e} }};"),
    }
}

fn statements(rng: &mut Rng, depth: u32) -> String {
    let parts: Vec<_> = (0..rng.u8(..5)).map(|_| statement(rng, depth)).collect();
    parts.join("\n")
}

fn cell(rng: &mut Rng) -> String {
    let last = if rng.bool() { expression(rng) } else { "" };
    format!("{}\n{last}", statements(rng, 3))
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    let byte = |rng: &mut Rng| match rng.u8(..4) {
        0 => b'\n',
        1 => rng.u8(0xc0..0xf8),
        _ => rng.u8(..),
    };
    (0..rng.usize(..40)).map(|_| byte(rng)).collect()
}

/// The cell as evcxr gets it.
fn rewritten(code: &str) -> String {
    let source = CellSource::new(code);
    let items = Items::default().changes(&source, 1);
    let wishes = Wishes {
        items: &items,
        plan: &Plan::new(&source),
        formats: &Formats::default(),
        drain: Some(Drain {
            of_cell: true,
            seconds: None,
        }),
        checkpoints: true,
        own_display: false,
        asked: &[],
    };
    rewrite(&source, 1, wishes).map.rewritten().to_owned()
}

#[test]
fn what_parses_still_does_and_keeps_its_lines() {
    let parsing = AtomicU64::new(0);
    try_all(|rng| {
        let code = cell(rng);
        let parses = |code: &str| CellSource::new(code).statements().is_some();
        let after = rewritten(&code);
        assert_eq!(after.split('\n').count(), code.split('\n').count());
        if parses(&code) {
            assert!(parses(&after), "{code}\nbecame\n{after}");
            parsing.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Else it would say nothing.
    assert!(parsing.into_inner() > CASES / 2);
}

#[test]
fn no_text_breaks_the_rewriting() {
    try_all(|rng| {
        // Whole, and with a piece of it cut out.
        let code = cell(rng);
        rewritten(
            &code
                .chars()
                .filter(|_| rng.u8(..20) > 0)
                .collect::<String>(),
        );
        rewritten(&String::from_utf8_lossy(&bytes(rng)));
    });
}

#[test]
fn no_bytes_break_the_decoding() {
    try_all(|rng| {
        let _ = wire::decode::<Report>(&bytes(rng));
        let _ = wire::decode::<Order>(&bytes(rng));
    });
}

#[test]
fn text_comes_out_as_it_went_in() {
    try_all(|rng| {
        let mut cell = CellOutput::default();
        let mut whole = Vec::new();
        for _ in 0..rng.u8(..9) {
            let part = bytes(rng);
            cell.write(Stream::Stdout, &part);
            whole.extend(part);
            if rng.bool() {
                cell.settle(false);
            }
        }
        cell.settle(true);
        let mut text = String::new();
        while let Some(output) = cell.next(rng.usize(1..40)) {
            let Output::Text { text: part, .. } = output else {
                panic!("{output:?}")
            };
            text.push_str(&part);
        }
        assert_eq!(text, String::from_utf8_lossy(&whole));
        assert_eq!(cell.bytes_waiting(), 0);
    });
}
