"""Awaiting at a cell's top level, in every position in which Rust has an expression."""

from __future__ import annotations

import pytest

from client import Kernel

SET_UP = """
    use std::num::ParseIntError;

    #[derive(Debug, Clone)]
    struct Point { x: i32, y: i32 }
    async fn f(x: i32) -> i32 { tokio::task::yield_now().await; x }
    async fn maybe(x: i32) -> Option<i32> { (f(x).await > 0).then_some(x) }
    async fn point(x: i32) -> Point { Point { x: f(x).await, y: -x } }
    async fn parse(text: &str) -> Result<i32, ParseIntError> { f(0).await; text.parse() }
    async fn words() -> [&'static str; 2] { f(0).await; ["un", "deux"] }
    fn add(x: i32, y: i32) -> i32 { x + y }
"""


@pytest.fixture(scope="module", autouse=True)
def functions(kernel_of_module: Kernel) -> None:
    """What the cells of this file call."""
    kernel_of_module.ok(SET_UP)


def test_lets_that_await_bind_variables_of_the_notebook(kernel: Kernel) -> None:
    kernel.ok(
        """
        let plain = f(1).await;
        let typed: i64 = i64::from(f(2).await);
        let (left, right) = (f(3).await, f(4).await);
        let Point { x, y: renamed } = point(5).await;
        let Some(inside) = maybe(6).await else { panic!("nothing") };
        let mut changed = f(7).await;
        changed += 1;
        let [first, _] = words().await;
        let closed = { let inner = f(8).await; inner + 1 };
        let both: Vec<i32> = vec![f(9).await, f(10).await];
        """
    )
    values = "plain, typed, left, right, x, renamed, inside, changed, first, closed"
    assert kernel.ok(f"({values})").text == '(1, 2, 3, 4, 5, -5, 6, 8, "un", 9)'
    assert kernel.ok("both").text == "[9, 10]"


@pytest.mark.parametrize(
    "code, text",
    [
        ("f(1).await", "1"),
        ("f(1).await + f(2).await", "3"),
        ("-f(1).await", "-1"),
        ("add(f(1).await, f(2).await)", "3"),
        ("add(add(f(1).await, 1), f(f(2).await).await)", "4"),
        ("f(add(f(1).await, f(f(1).await).await)).await", "2"),
        ("words().await[0].len()", "2"),
        ("words().await.iter().map(|word| word.len()).sum::<usize>()", "6"),
        ("(f(1).await, [f(2).await; 2])", "(1, [2, 2])"),
        ("Point { x: f(1).await, ..point(2).await }", "Point { x: 1, y: -2 }"),
        ("point(3).await.y", "-3"),
        ("&f(4).await", "4"),
        ("f(1).await..f(3).await", "1..3"),
        ("f(300).await as u8", "44"),
        ("if f(1).await == 1 { f(2).await } else { 3 }", "2"),
        ("if let Some(x) = maybe(1).await { x + f(1).await } else { 0 }", "2"),
        ("match maybe(1).await { Some(x) if x == f(1).await => f(x).await, _ => 0 }", "1"),
        ("{ let x = f(1).await; { f(x).await + 1 } }", "2"),
        ("loop { if f(1).await == 1 { break f(7).await } }", "7"),
        ("'a: { if f(1).await == 1 { break 'a 7; } 8 }", "7"),
        ("unsafe { f(5).await }", "5"),
        ("async { f(6).await }.await", "6"),
        ("vec![f(1).await, f(2).await]", "[1, 2]"),
        ("vec![f(1).await; 2]", "[1, 1]"),
        ('format!("{}-{y}", f(1).await, y = f(2).await)', '"1-2"'),
        ("matches!(maybe(1).await, Some(1))", "true"),
        ("tokio::join!(f(1), async { f(2).await + 1 })", "(1, 3)"),
        (
            "tokio::select! { x = f(1) => x + f(2).await, _ = std::future::pending::<()>() => 0 }",
            "3",
        ),
        ('tokio::try_join!(parse("1"), parse("2"))', "Ok((1, 2))"),
        ('parse("x").await.is_err()', "true"),
        ('parse("12").await? + parse("1").await?', "13"),
        ("maybe(2).await? + 1", "3"),
        ('tokio::try_join!(parse("1"), parse("2"))?', "(1, 2)"),
    ],
)
def test_an_expression_may_await_anywhere(kernel: Kernel, code: str, text: str) -> None:
    assert kernel.ok(code).text == text


@pytest.mark.parametrize(
    "code",
    [
        'panic!("end {}", f(1).await)',
        '{ let x = f(1).await; panic!("end {x}") }',
        '{ f(1).await; loop { if f(1).await == 1 { panic!("end 1") } } }',
        'async { f(1).await; panic!("end 1") }.await',
        'if f(1).await == 1 { panic!("end 1") } else { panic!("end 2") }',
    ],
)
def test_a_cell_may_end_in_what_never_has_a_value(kernel: Kernel, code: str) -> None:
    assert kernel.fails(code, "Panic").evalue == "end 1"


def test_loops_await_in_their_heads_and_in_their_bodies(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        let (sender, mut receiver) = tokio::sync::mpsc::channel(3);
        for x in [f(1).await, f(2).await] { sender.send(f(x).await).await.unwrap(); }
        drop(sender);
        while let Some(x) = receiver.recv().await { println!("received {x}"); }
        let mut left = 3;
        while f(left).await > 0 { left -= f(1).await; }
        println!("left {left}");
        """
    )
    assert cell.lines == ["received 1", "received 2", "left 0"]


def test_macros_of_std_await_in_their_arguments(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        println!("{} {:?}", f(1).await, maybe(f(2).await).await);
        print!("{}", f(3).await);
        eprintln!("{}", f(4).await);
        assert_eq!(f(5).await, 5, "not {}", f(6).await);
        assert!(f(7).await == 7);
        let text = format!("{}", words().await.join(" "));
        println!();
        println!("{text}");
        """
    )
    assert cell.lines == ["1 Some(2)", "3", "un deux"]
    assert cell.stderr == "4\n"


def test_an_assertion_that_awaits_fails_as_others_do(kernel: Kernel) -> None:
    assert "left: 1" in kernel.fails("assert_eq!(f(1).await, 2);", "Panic").evalue


def test_select_in_a_loop_breaks_with_and_without_a_value(kernel: Kernel) -> None:
    kernel.ok(
        """
        let (events, mut inbox) = tokio::sync::mpsc::unbounded_channel::<i32>();
        let mut seen: Vec<i32> = Vec::new();
        for event in [1, 2, 3] { events.send(event).unwrap(); }
        loop {
            tokio::select! {
                biased;
                Some(event) = inbox.recv() => { seen.push(event); }
                _ = tokio::time::sleep(std::time::Duration::from_millis(5)) => break,
            }
        }
        """
    )
    assert kernel.ok("seen").text == "[1, 2, 3]"
    cell = kernel.ok(
        """
        events.send(4).unwrap();
        let last = loop {
            tokio::select! {
                event = inbox.recv(), if !seen.is_empty() => break event.unwrap() + f(1).await,
                else => break 0,
            }
        };
        last
        """
    )
    assert cell.text == "5"


def test_a_question_mark_ends_the_cell_with_the_error(kernel: Kernel) -> None:
    cell = kernel.fails(
        'println!("before"); parse("x").await?; println!("behind");', "ParseIntError"
    )
    assert "invalid digit" in cell.evalue
    assert cell.lines == ["before"]
    kernel.fails('let (a, b) = tokio::try_join!(parse("1"), parse("x"))?;', "ParseIntError")
    kernel.fails("let missing = maybe(-1).await?;", "None")


def test_a_task_of_an_earlier_cell_is_awaited(kernel: Kernel) -> None:
    kernel.ok("let handle = tokio::spawn(async { f(40).await + 2 });")
    assert kernel.ok("handle.await.unwrap()").text == "42"
    kernel.ok('let failing = tokio::spawn(async { parse("x").await });')
    kernel.fails("failing.await??", "ParseIntError")


def test_a_statement_that_awaits_changes_an_earlier_variable(kernel: Kernel) -> None:
    kernel.ok("let mut total = 1; let mut list: Vec<i32> = Vec::new();")
    kernel.ok("total += f(2).await; list.push(f(total).await);")
    kernel.ok("for x in 0..3 { total += f(x).await; list.push(f(x).await); }")
    kernel.ok("total = f(total).await * 10")
    assert kernel.ok("(total, &list)").text == "(60, [3, 0, 1, 2])"


def test_a_future_of_an_earlier_cell_is_awaited(kernel: Kernel) -> None:
    kernel.ok("let boxed: std::pin::Pin<Box<dyn Future<Output = i32>>> = Box::pin(f(8));")
    assert kernel.ok("boxed.await").text == "8"


def test_a_runtime_of_the_users_own_blocks(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        let own = tokio::runtime::Runtime::new().unwrap();
        println!("{}", own.block_on(async { f(1).await + f(2).await }));
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        });
        tokio::runtime::Runtime::new().unwrap().block_on(f(4))
        """
    )
    assert (cell.lines, cell.text) == (["3"], "4")


def test_async_closures_are_called(kernel: Kernel) -> None:
    code = "{ let plus = async |x: i32| f(x).await + 1; plus(1).await + plus(f(2).await).await }"
    assert kernel.ok(code).text == "5"
    assert kernel.ok("(async |x: i32| f(x).await)(3).await").text == "3"


def test_a_cell_of_items_shows_nothing(kernel: Kernel) -> None:
    cell = kernel.ok("async fn twice(x: i32) -> i32 { f(x).await * 2 }\nconst NINE: i32 = 9;")
    assert cell.outputs == []
    assert kernel.ok("twice(NINE).await").text == "18"


def test_a_dependency_and_code_that_uses_it_stand_in_one_cell(kernel: Kernel) -> None:
    cell = kernel.ok(
        """:dep itoa = "1"
        async fn digits(x: i32) -> String { itoa::Buffer::new().format(f(x).await).to_owned() }
        let digits_of_seven = digits(7).await;
        digits_of_seven
        """
    )
    assert cell.text == '"7"'


def test_an_await_in_the_wrong_place_is_an_error_of_that_cell_only(kernel: Kernel) -> None:
    for code in ("let wrong = || f(1).await;", "fn wrong() -> i32 { f(1).await }", "f(1).await +"):
        kernel.fails(code, "CompilationError")
        assert kernel.ok("f(5).await").text == "5"


def test_an_else_of_a_let_may_await(kernel: Kernel) -> None:
    code = 'let Some(nothing) = maybe(-1).await else { panic!("no point: {}", f(3).await) };'
    assert "no point: 3" in kernel.fails(code, "Panic").evalue
    assert kernel.ok("f(4).await").text == "4"
