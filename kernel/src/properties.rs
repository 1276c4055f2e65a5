//! What holds for every cell and for any bytes, tried with what a generator makes of them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jupyter_zmq_client::Connection;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use zeromq::{SocketRecv, ZmqMessage, ZmqResult};

use crate::cell_source::{self, CellSource};
use crate::commands::Formats;
use crate::items::Items;
use crate::keep::Plan;
use crate::output::{CellOutput, Output};
use crate::receive::{self, Received};
use crate::rewrite::{Drain, Wishes, rewrite};
use crate::wire::{self, Order, Outcome, Report, Stream, Variable};

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
const CASES: u32 = 500;

fn expression() -> impl Strategy<Value = &'static str> {
    select(&EXPRESSIONS[..])
}

fn simple_statement() -> impl Strategy<Value = String> {
    (0..8, expression()).prop_map(|(kind, e)| match kind {
        0 => format!("let x = {e};"),
        1 => format!("let (mut y, Some(z)) = {e} else {{ panic!() }};"),
        2 => format!("{e};"),
        3 => "static S: u8 = 1;".to_owned(),
        4 => "thread_local! { static T: u8 = 1; }".to_owned(),
        5 => "use std::fmt;".to_owned(),
        6 => "struct P { a: u8 }".to_owned(),
        _ => "// said, é".to_owned(),
    })
}

fn statement() -> impl Strategy<Value = String> {
    simple_statement().prop_recursive(3, 40, 4, |inner| {
        (0..9, expression(), vec(inner, 0..5)).prop_map(|(kind, e, statements)| {
            let block = statements.join("\n");
            match kind {
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
        })
    })
}

fn cell() -> impl Strategy<Value = String> {
    let last = prop_oneof![Just(""), expression()];
    (vec(statement(), 0..5), last)
        .prop_map(|(statements, last)| format!("{}\n{last}", statements.join("\n")))
}

/// Bytes of which many begin or continue a character, and some end a line.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(b'\n'), 0xc0..0xf8_u8, any::<u8>()], 0..40)
}

fn reports() -> impl Strategy<Value = Report> {
    prop_oneof![
        any::<u64>().prop_map(|cell| Report::Started { cell }),
        (any::<u64>(), bytes()).prop_map(|(cell, bytes)| Report::Text {
            cell,
            stream: Stream::Stdout,
            charge: 0,
            bytes
        }),
        (any::<u64>(), any::<String>(), variables()).prop_map(|(cell, message, variables)| {
            Report::Ended {
                cell,
                outcome: Outcome::Panicked {
                    message,
                    line: None,
                    calls: Vec::new(),
                },
                variables,
            }
        }),
    ]
}

fn variables() -> impl Strategy<Value = Vec<Variable>> {
    let variable = (any::<String>(), any::<String>());
    vec(
        variable.prop_map(|(name, type_name)| Variable { name, type_name }),
        0..4,
    )
}

/// Any JSON, and what looks like a part of a message.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    let names = select(
        &[
            "code",
            "cursor_pos",
            "silent",
            "status",
            "data",
            "restart",
            "msg_id",
        ][..],
    );
    leaf.prop_recursive(3, 20, 5, move |inner| {
        let pairs = vec((names.clone(), inner.clone()), 0..5);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            pairs.prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
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
        other_types: &BTreeSet::new(),
        asked: &[],
    };
    rewrite(&source, 1, wishes).map.rewritten().to_owned()
}

/// A socket on which there is one message.
struct OneMessage(Option<ZmqMessage>);

#[async_trait]
impl SocketRecv for OneMessage {
    async fn recv(&mut self) -> ZmqResult<ZmqMessage> {
        self.0.take().ok_or(zeromq::ZmqError::NoMessage)
    }
}

/// Reads a message as the kernel's channels do. Returns whether it was taken for one.
fn read(frames: Vec<Vec<u8>>) -> Result<bool, TestCaseError> {
    let frames: Vec<bytes::Bytes> = frames.into_iter().map(bytes::Bytes::from).collect();
    let Ok(message) = ZmqMessage::try_from(frames) else {
        return Ok(false);
    };
    let mut connection = Connection {
        socket: OneMessage(Some(message)),
        mac: None,
        session_id: String::new(),
    };
    let read = futures::executor::block_on(receive::next(&mut connection));
    Ok(matches!(read, Some(Received::Whole(_))))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_parses_still_does_and_keeps_its_lines(code in cell()) {
        let parses = |code: &str| CellSource::new(code).statements().is_some();
        prop_assume!(parses(&code));
        let after = rewritten(&code);
        prop_assert_eq!(after.split('\n').count(), code.split('\n').count());
        prop_assert!(parses(&after), "{}\nbecame\n{}", code, after);
        cell_source::forget_all();
    }

    #[test]
    fn no_text_breaks_the_rewriting(code in cell(), cuts in vec(any::<Index>(), 0..9), text in any::<String>()) {
        let mut characters: Vec<char> = code.chars().collect();
        for cut in cuts {
            if !characters.is_empty() {
                characters.remove(cut.index(characters.len()));
            }
        }
        rewritten(&characters.into_iter().collect::<String>());
        rewritten(&text);
        cell_source::forget_all();
    }

    #[test]
    fn no_bytes_break_the_decoding(any in bytes(), report in reports(), at in any::<Index>(), byte in any::<u8>()) {
        let _ = wire::decode::<Report>(&any);
        let _ = wire::decode::<Order>(&any);
        let mut damaged = wire::encode(&report).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(wire::decode::<Report>(&damaged[4..]), Ok(report));
        let at = at.index(damaged.len());
        let _ = wire::decode::<Report>(damaged.get(4..at).unwrap_or_default());
        damaged[at] = byte;
        let _ = wire::decode::<Report>(&damaged[4..]);
    }

    #[test]
    fn no_frames_break_the_reading_of_messages(frames in vec(bytes(), 0..9), at in any::<Index>()) {
        let mut frames = frames;
        frames.insert(at.index(frames.len() + 1), b"<IDS|MSG>".to_vec());
        read(frames)?;
    }

    #[test]
    fn no_content_breaks_the_reading_of_messages(
        kind in select(&["execute", "complete", "inspect", "is_complete", "history", "comm_info", "input"][..]),
        end in select(&["request", "reply", "open"][..]),
        content in json(),
        damaged in json(),
        whole in any::<bool>(),
    ) {
        let header = json!({
            "msg_id": "1", "username": "", "session": "s", "version": "5.3",
            "date": "2026-01-01T00:00:00Z", "msg_type": format!("{kind}_{end}"),
        });
        let header = if whole { header } else { damaged };
        let parts = [header, json!({}), json!({}), content];
        let mut frames = vec![b"client".to_vec(), b"<IDS|MSG>".to_vec(), Vec::new()];
        frames.extend(parts.iter().map(|part| part.to_string().into_bytes()));
        read(frames)?;
    }

    #[test]
    fn text_comes_out_as_it_went_in(
        parts in vec((bytes(), any::<bool>()), 0..9),
        lengths in vec(1..40_usize, 1..9),
    ) {
        let mut cell = CellOutput::default();
        let mut whole = Vec::new();
        for (part, settles) in parts {
            cell.write(Stream::Stdout, &part);
            whole.extend(part);
            if settles {
                cell.settle(false);
            }
        }
        cell.settle(true);
        let mut text = String::new();
        let mut lengths = lengths.into_iter().cycle();
        while let Some(output) = cell.next(lengths.next().unwrap_or(1)) {
            let Output::Text { text: part, .. } = output else {
                return Err(TestCaseError::fail(format!("{output:?}")));
            };
            text.push_str(&part);
        }
        prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        prop_assert_eq!(cell.bytes_waiting(), 0);
    }
}
