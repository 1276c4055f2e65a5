"""Cells that fail: what the user reads, and what is kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

import psutil
import pytest

from client import Kernel
from conftest import Gate, ended, short_folder
from request import Cell

SET_UP = """
    async fn given() -> i32 { 1 }
    async fn fallible() -> Result<i32, std::fmt::Error> { Ok(1) }
"""

# What stands in the generated code, and in no error that a user should read.
GENERATED = ["morceaux::", "evcxr", "question_mark", "block_on", "enter_cell", "show!", "__show", "checkpoint"]


@pytest.fixture(scope="module", autouse=True)
def functions(kernel_of_module: Kernel) -> None:
    """What the cells of this file call."""
    kernel_of_module.ok(SET_UP)


def check_place(cell: Cell, line: int, column: int) -> None:
    """The error stands at this place of the user's code, and in the user's terms."""
    assert f"cell:{line}:{column}\n" in cell.traceback, cell.traceback
    assert not [word for word in GENERATED if word in cell.traceback], cell.traceback


# The error is where the mark is, which the cell itself does not have.
MARKED = [
    'let x: i32 = given().await |+ "a";',
    "let y: String = |given().await;",
    '1;\n  let z: i32 = given().await |+ "a";',
    'given().await |+ "a"',
    "given().await; |missing()",
    "|missing().await",
    'println!("{}", given().await |+ "a");',
    'let été: i32 = given().await |+ "à";',
    "if given().await == |missing { 1 } else { 2 }",
    'let n: i32 = fallible().await? |+ "a";',
    "let m: u8 = |fallible().await?;",
    "for x in 0..given().await { |missing(x); }",
    'fn item() -> i32 { |"a" }\n1',
    "let v = vec![1]; drop(v); |v.len()",
    'let k = given().await; let l = k |+ "a"; // behind\n1',
    "|given(1).await",
    "let open = 5|",
    "use |no_such_crate::Thing;",
    ':dep itoa = "1"\nlet d: i32 = given().await |+ "a";',
]


@pytest.mark.parametrize("marked", MARKED)
def test_a_compile_error_is_at_the_users_own_place(kernel: Kernel, marked: str) -> None:
    before, _, behind = marked.partition("|")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    check_place(kernel.fails(before + behind, "CompilationError"), line, column)


@pytest.mark.parametrize(
    "code, line, column",
    [
        ("let n = 5?;", 1, 9),
        ('let s = "a";\nlet n = s.len()?;', 2, 9),
        ("struct Plain;\nlet r: Result<u8, Plain> = Ok(1);\nlet n = r?;", 3, 9),
    ],
)
def test_a_question_mark_behind_something_else_is_explained(
    kernel: Kernel, code: str, line: int, column: int
) -> None:
    check_place(kernel.fails(code, "CompilationError"), line, column)


def test_a_syntax_error_is_at_the_users_own_place(kernel: Kernel) -> None:
    check_place(kernel.fails("1;\nlet x = ;", "CompilationError"), 2, 9)
    assert kernel.ok("1").text == "1"


def test_a_warning_about_an_earlier_cell_is_no_error(kernel: Kernel) -> None:
    kernel.ok("macro_rules! idle { () => { 1 } }")
    assert "idle" not in kernel.fails("missing", "CompilationError").traceback


@pytest.mark.parametrize(
    "code",
    [
        "let untyped = Vec::new();",
        """
        let (events, mut inbox) = tokio::sync::mpsc::unbounded_channel::<i32>();
        let mut untyped = Vec::new();
        events.send(1).unwrap();
        loop {
            tokio::select! {
                Some(event) = inbox.recv() => { untyped.push(event); }
                _ = tokio::time::sleep(std::time::Duration::from_millis(5)) => break,
            }
        }
        """,
    ],
)
def test_a_variable_of_unknown_type_is_named(kernel: Kernel, code: str) -> None:
    cell = kernel.run(code)
    # rust-analyzer does not find every type; then it is said which one must be given.
    assert cell.status == "ok" or "untyped" in cell.traceback, cell


def test_a_panic_is_an_error_with_its_line_and_costs_nothing(kernel: Kernel) -> None:
    kernel.ok("let kept = vec![1, 2]; let mut changed = 1;")
    cell = kernel.fails('changed += 1;\nprintln!("before");\nlet lost = kept[7];', "Panic")
    assert "index out of bounds" in cell.evalue
    assert "line 3" in cell.traceback
    assert cell.outputs == [("stdout", "before\n"), ("error", "Panic")]
    assert kernel.ok("(&kept, changed)").text == "([1, 2], 2)"


def test_a_panic_is_shown_with_the_lines_of_the_calls_to_it(kernel: Kernel) -> None:
    kernel.ok(
        """fn count(limit: u32) -> u32 {
            let mut number = 0;
            loop { number += 1; if number > limit { break; } }
            check(number)
        }
        fn check(number: u32) -> u32 {
            if number > 5 { panic!("too much") }
            number
        }"""
    )
    traceback = kernel.fails('println!("here");\ncount(9);', "Panic").traceback
    lines = re.findall(r"in `(\w+)`, at line (\d+)", traceback)
    assert lines == [("check", "7"), ("count", "4")], traceback


def test_a_panic_in_what_is_awaited_is_the_cells_error(kernel: Kernel) -> None:
    kernel.ok('async fn boom() -> u8 { tokio::task::yield_now().await; panic!("inside {}", 1) }')
    cell = kernel.fails("let awaited = boom().await;", "Panic")
    assert cell.evalue == "inside 1"
    assert kernel.ok("async { 2 }.await").text == "2"


@pytest.mark.parametrize(
    "code, evalue",
    [
        ('let nothing: Result<u8, _> = Err("bare"); nothing.unwrap();', "bare"),
        ('None::<u8>.expect("there");', "there"),
        ("std::panic::panic_any(7);", ""),
        ("std::panic::resume_unwind(Box::new(7));", ""),
        ("todo!();", "not yet implemented"),
    ],
)
def test_every_kind_of_panic_is_an_error(kernel: Kernel, code: str, evalue: str) -> None:
    assert evalue in kernel.fails(code, "Panic").evalue


def test_a_panic_that_the_cell_catches_is_no_error(kernel: Kernel) -> None:
    cell = kernel.ok('std::panic::catch_unwind(|| panic!("caught")).is_err()')
    assert cell.text == "true"
    assert "caught" in cell.stderr


def test_a_failed_question_mark_is_an_error_with_its_sources(kernel: Kernel) -> None:
    kernel.ok(
        """
        #[derive(Debug)] struct Outer(std::num::ParseIntError);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "no port")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(&self.0) }
        }
        fn port(text: &str) -> Result<u16, Outer> { text.parse().map_err(Outer) }
        let kept_port = port("80")?;
        """
    )
    cell = kernel.fails(
        'println!("before"); let lost_port = port("x")?; println!("behind");', "Outer"
    )
    assert cell.evalue == "no port"
    assert "invalid digit found in string" in cell.traceback
    assert cell.outputs == [("stdout", "before\n"), ("error", "Outer")]
    assert kernel.ok("kept_port").text == "80"
    boxed = 'Err::<u8, Box<dyn std::error::Error>>("only text".into())?;'
    assert kernel.run(boxed).evalue == "only text"


def test_a_question_mark_in_the_users_own_functions_returns(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        use std::num::ParseIntError;
        fn next(text: &str) -> Option<i32> { Some(text.parse::<i32>().ok()? + 1) }
        let in_closure = (|| -> Result<i32, ParseIntError> { Ok("x".parse::<i32>()? + 1) })();
        (next("x"), in_closure.is_err(), async { None::<u8>?; Some(1) }.await)
        """
    )
    assert cell.text == "(None, true, None)"


def test_a_panic_in_a_task_is_said_under_its_cell_and_changes_nothing(kernel: Kernel) -> None:
    kernel.ok("let untouched = 3;")
    spawner = kernel.ok(
        'let panicking = tokio::spawn(async { if true { panic!("in the task") } });'
    )
    kernel.wait_for(lambda: "in the task" in spawner.stderr)
    assert spawner.status == "ok"
    assert kernel.ok("(untouched, panicking.await.unwrap_err().is_panic())").text == "(3, true)"


@pytest.mark.parametrize("code", ["std::process::abort();", "std::process::exit(3);"])
def test_a_dying_process_is_an_error_that_says_what_is_lost(kernel: Kernel, code: str) -> None:
    kernel.ok("fn kept_item() -> u8 { 9 }\nlet lost_value = 1;")
    cell = kernel.fails(f'println!("last words"); {code}', "CellProcessDied")
    assert "lost_value" in cell.evalue
    assert cell.outputs == [("stdout", "last words\n"), ("error", "CellProcessDied")]
    assert kernel.ok("kept_item() + async { 1 }.await").text == "10"
    kernel.fails("lost_value", "CompilationError")
    kernel.ok("let lost_value = 2;")
    assert kernel.ok("lost_value").text == "2"


@pytest.mark.parametrize(
    "code, signal, hint",
    [
        ("unsafe { *std::hint::black_box(8 as *mut u8) = 1; }", "SIGSEGV", "memory"),
        ("dig(0)", "SIGSEGV", "recursion"),
        ("let _bad = Bad; panic!();", "SIGABRT", "destructor"),
        ("std::process::abort();", "SIGABRT", "abort"),
        (
            "unsafe { libc_kill() }; std::thread::park();",
            "SIGKILL",
            "from outside",
        ),
    ],
)
def test_a_crash_is_named_and_the_next_cell_runs(
    kernel: Kernel, code: str, signal: str, hint: str
) -> None:
    kernel.ok(
        """
        fn dig(depth: u64) -> u64 {
            let data = std::hint::black_box([depth; 100]);
            dig(depth + 1) + data[7]
        }
        struct Bad;
        impl Drop for Bad { fn drop(&mut self) { panic!("in drop") } }
        unsafe fn libc_kill() {
            let own = std::process::id().to_string();
            std::process::Command::new("kill").args(["-9", &own]).status().unwrap();
        }
        """
    )
    cell = kernel.fails(code, "CellProcessDied")
    assert signal in cell.evalue and hint in cell.evalue
    assert kernel.ok("1 + 1").text == "2"


@pytest.mark.parametrize("code, hint", [("*nowhere() = 1;", "memory"), ("dig(0);", "recursion")])
def test_a_crash_is_named_after_a_stop_as_well(kernel: Kernel, code: str, hint: str) -> None:
    kernel.ok(
        """
        fn nowhere() -> &'static mut u8 { unsafe { &mut *std::hint::black_box(8 as *mut u8) } }
        fn dig(depth: u64) -> u64 { let data = std::hint::black_box([depth; 99]); dig(depth + 1) + data[7] }
        """
    )
    cell = kernel.start('println!("on"); loop { std::hint::spin_loop(); }')
    kernel.wait_for(lambda: cell.stdout)
    kernel.stop()
    kernel.finish(cell)
    crashed = kernel.fails(code, "CellProcessDied")
    assert "SIGSEGV" in crashed.evalue and hint in crashed.evalue


def test_a_panic_in_a_destructor_is_a_panic_like_any_other(kernel: Kernel) -> None:
    kernel.ok("let unharmed = 1; struct Lone; impl Drop for Lone { fn drop(&mut self) { panic!(\"alone\") } }")
    assert kernel.fails("{ let _lone = Lone; }", "Panic").evalue == "alone"
    assert kernel.ok("unharmed").text == "1"


def test_memory_can_be_limited() -> None:
    with short_folder() as cache, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "MORCEAUX_MEMORY", str(1 << 30))
        with ended(Kernel(cache)) as kernel:
            kernel.ok("let fits = vec![1_u8; 100 << 20];")
            cell = kernel.fails("let too_much = vec![1_u8; 2 << 30];", "CellProcessDied")
            assert "memory allocation of 2147483648 bytes failed" in cell.stderr
            assert "memory" in cell.evalue and "fits" in cell.evalue
            assert kernel.ok("1 + 1").text == "2"


def test_a_process_that_dies_between_cells_costs_one_cell(
    kernel: Kernel, gate: Callable[[], Gate]
) -> None:
    die = gate()
    kernel.ok("fn kept_function() -> u8 { 8 }\nlet lost_between = 1;")
    kernel.ok(f"tokio::spawn(async {{ {die.wait} std::process::exit(1); }});")
    cell_processes = kernel.processes()[1:]
    die.open()
    # What has ended stays a zombie until evcxr looks at it.
    dead = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    kernel.wait_for(lambda: all(not p.is_running() or p.status() in dead for p in cell_processes))
    cell = kernel.fails("kept_function()", "CellProcessDied")
    assert "lost_between" in cell.evalue
    assert kernel.ok("kept_function()").text == "8"


def test_a_process_that_dies_before_the_kernel_looks_at_the_library_costs_one_cell(
    cold_kernel: Kernel, gate: Callable[[], Gate]
) -> None:
    # The library is looked at a moment after the first cell, which finds the process dead, and evcxr
    # starts another one.
    die = gate()
    spawner = cold_kernel.ok(f"tokio::spawn(async {{ {die.wait} std::process::exit(1); }});")
    dead = cold_kernel.processes()[1:]
    die.open()
    # What has ended stays a zombie until evcxr looks at it.
    cold_kernel.wait_for(lambda: not any(process.is_running() for process in dead))
    cell = cold_kernel.fails("2 + 2", "CellProcessDied")
    assert f"1 task of cell [{spawner.count}]" in cell.evalue
    assert cold_kernel.ok("2 + 2").text == "4"


def test_a_poisoned_mutex_is_the_users_own_and_named(kernel: Kernel) -> None:
    kernel.ok("let shared = std::sync::Arc::new(std::sync::Mutex::new(7));")
    kernel.fails('let _guard = shared.lock(); panic!("poison");', "Panic")
    assert "PoisonError" in kernel.fails("*shared.lock().unwrap()", "Panic").evalue
    assert kernel.ok("*shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())").text == "7"


def test_worker_threads_that_are_blocked_for_good_keep_no_cell_from_running(kernel: Kernel) -> None:
    kernel.ok(
        """
        let kept_beside = 8;
        let workers = tokio::runtime::Handle::current().metrics().num_workers();
        for _ in 0..2 * workers { tokio::spawn(async { loop { std::thread::park(); } }); }
        """
    )
    cell = kernel.start('println!("on"); tokio::spawn(async { 1 }).await.unwrap()')
    kernel.wait_for(lambda: cell.stdout)
    kernel.stop()
    assert kernel.finish(cell).ename == "Interrupted"
    assert kernel.ok("kept_beside + async { 1 }.await").text == "9"
    # What ends such tasks is a new process.
    cell = kernel.fails("std::process::abort();", "CellProcessDied")
    assert "tasks of cell" in cell.evalue
    assert kernel.ok("tokio::spawn(async { 1 }).await.unwrap()").text == "1"


def test_an_error_has_the_terminals_colours(kernel: Kernel) -> None:
    cell = kernel.fails("missing", "CompilationError")
    assert "\\u001b[" in json.dumps(cell.reply["traceback"])
