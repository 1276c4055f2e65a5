"""The stop button."""

from __future__ import annotations

import time

import pytest

from client import Kernel
from request import Cell

# The seconds that `session.rs` gives a stopped cell before its process is ended.
GRACE = 5.0

SET_UP = """
    struct Loud(&'static str);
    impl Drop for Loud { fn drop(&mut self) { println!("dropped {}", self.0); } }
    let kept = 41;
    let (ticker, mut ticks) = tokio::sync::mpsc::unbounded_channel::<u32>();
    let ticking = tokio::spawn(async move {
        for tick in 1.. {
            if ticker.send(tick).is_err() { break; }
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    });
"""

# What nothing but the end of the process ends.
LOCKED = (
    'println!("on"); let lock = std::sync::Mutex::new(()); let _first = lock.lock();'
    " drop(lock.lock());"
)
UNCHECKED = ':checkpoints 0\nprintln!("on"); loop { std::hint::spin_loop(); }'
PENDING = 'println!("on"); std::future::pending::<()>().await; println!("behind");'


@pytest.fixture(scope="module", autouse=True)
def task(kernel_of_module: Kernel) -> None:
    """A task and variables that no stop may touch."""
    kernel_of_module.ok(SET_UP)


def started(kernel: Kernel, code: str) -> Cell:
    """A cell that has begun to run."""
    cell = kernel.start(code)
    kernel.wait_for(lambda: cell.stdout)
    return cell


def stopped(kernel: Kernel, cell: Cell) -> Cell:
    """A cell that was stopped while it ran, and ended in the way it should."""
    assert not cell.is_done
    kernel.stop()
    kernel.finish(cell)
    assert (cell.status, cell.ename) == ("error", "Interrupted"), cell
    return cell


def test_a_stopped_cell_leaves_everything_as_it_was(kernel: Kernel) -> None:
    cell = kernel.start(
        """
        {
            let _outer = Loud("outer");
            let _inner = Loud("inner");
            loop { println!("tick {}", ticks.recv().await.unwrap()); }
        };
        """
    )
    kernel.wait_for(lambda: len(cell.lines) >= 3)
    stopped(kernel, cell)
    *lines, inner, outer = cell.lines
    assert (inner, outer) == ("dropped inner", "dropped outer")
    assert cell.late_outputs == []
    assert lines == [f"tick {tick}" for tick in range(1, len(lines) + 1)]
    assert kernel.ok("ticks.recv().await.unwrap()").text == str(len(lines) + 1)
    assert kernel.ok("(kept, ticking.is_finished())").text == "(41, false)"


def test_every_stop_ends_the_cell_that_it_is_for(kernel: Kernel) -> None:
    for _ in range(5):
        cell = started(kernel, PENDING)
        stopped(kernel, cell)
        assert cell.lines == ["on"]


def test_a_stop_ends_a_loop_of_selects(kernel: Kernel) -> None:
    cell = kernel.start(
        """
        loop {
            tokio::select! {
                Some(tick) = ticks.recv() => println!("tick {tick}"),
                _ = std::future::pending::<()>() => break,
            }
        }
        """
    )
    kernel.wait_for(lambda: len(cell.lines) >= 3)
    stopped(kernel, cell)
    last = int(cell.lines[-1].split()[-1])
    assert kernel.ok("ticks.recv().await.unwrap()").text == str(last + 1)


@pytest.mark.parametrize(
    "statement",
    [
        "let never: u8 = std::future::pending().await;",
        "for _ in 0.. { tokio::time::sleep(std::time::Duration::from_secs(60)).await; }",
        "tokio::join!(std::future::pending::<()>(), async {});",
        'println!("{:?}", std::future::pending::<u8>().await);',
        "tokio::spawn(std::future::pending::<()>()).await.unwrap();",
        "loop { tokio::task::yield_now().await }",
    ],
)
def test_every_kind_of_await_can_be_stopped(kernel: Kernel, statement: str) -> None:
    cell = stopped(kernel, started(kernel, f'println!("on"); {statement} println!("behind");'))
    assert cell.lines == ["on"]
    assert kernel.ok("kept").text == "41"


BUSY_ITEMS = """
    fn count() -> u64 {
        let mut sum = 0;
        for number in 0..u64::MAX { sum = std::hint::black_box(sum + number); }
        sum
    }
    fn deep(depth: u64) -> u64 { if depth == 0 { 0 } else { deep(depth - 1) + 1 } }
    fn nap() { std::thread::sleep(std::time::Duration::from_secs(600)); }
    fn calls(n: u32) -> u64 { if n < 2 { 1 } else { calls(n - 1) + calls(n - 2) } }
    fn matched(n: u32) -> u64 { match n { 0 | 1 => 1, n => matched(n - 1) + matched(n - 2) } }
    fn hanoi(n: u32, from: u8, to: u8, by: u8, moves: &mut u64) {
        if n > 0 {
            hanoi(n - 1, from, by, to, moves);
            *moves += u64::from(from * to);
            hanoi(n - 1, by, to, from, moves);
        }
    }
    fn words(n: u32) -> String { if n == 0 { String::new() } else { words(n - 1) + &words(n - 1) } }
    // What has to be dropped is made behind the loop, by no call.
    #[inline(never)]
    fn before_loud(limit: u64) {
        let mut number = 0;
        loop {
            number = std::hint::black_box(number) + 1;
            if number == limit { break; }
        }
        let _loud = Loud("never");
        nap();
    }
    struct Worker;
    impl Worker { fn work(&self) { while std::hint::black_box(true) {} } }
"""


@pytest.mark.parametrize(
    "statement",
    [
        "loop { std::hint::spin_loop(); }",
        "let mut number = 0_u64; while number < u64::MAX { number = number.wrapping_add(2) | 1; }",
        "for number in 0..u64::MAX { std::hint::black_box(number); }",
        "let mut number = 1_u64; for turn in 0..u64::MAX { for part in 0..turn % 99"
        " { number = number.wrapping_mul(31) ^ part; } } println!(\"{number}\");",
        "let (mut number, step) = (0, std::hint::black_box(0)); while number < 9 { number += step; }",
        "count();",
        "loop { deep(100); }",
        "calls(99);",
        "matched(99);",
        "let mut moves = 0; hanoi(99, 1, 2, 3, &mut moves); println!(\"{moves}\");",
        "words(99);",
        "before_loud(u64::MAX);",
        "Worker.work();",
        "let work = || loop { std::hint::spin_loop(); }; work();",
        "std::thread::sleep(std::time::Duration::from_secs(600));",
        "nap();",
        "tokio::task::spawn_blocking(nap_shortly).await.unwrap();",
        "async { loop { std::hint::spin_loop(); } }.await;",
        "let own = tokio::runtime::Builder::new_current_thread().build().unwrap();"
        " own.block_on(std::future::pending::<()>());",
        "vec![1, 2].iter().for_each(|_| nap());",
    ],
)
def test_code_that_does_not_await_can_be_stopped(kernel: Kernel, statement: str) -> None:
    kernel.ok(BUSY_ITEMS + "fn nap_shortly() { for _ in 0..300 { std::thread::sleep("
              "std::time::Duration::from_millis(10)); } }")
    cell = stopped(kernel, started(kernel, f'println!("on"); {statement} println!("behind");'))
    assert cell.lines == ["on"]
    assert kernel.ok("(kept, ticking.is_finished())").text == "(41, false)"


@pytest.mark.parametrize(
    "earlier, call",
    [
        ("let earlier = || loop { std::hint::spin_loop(); };", "earlier();"),
        # A cell that runs nothing.
        (
            "static LAZY: std::sync::LazyLock<u8> ="
            " std::sync::LazyLock::new(|| loop { std::hint::spin_loop(); });",
            "println!(\"{}\", *LAZY);",
        ),
        ("mod inner { pub fn busy() { while std::hint::black_box(true) {} } }", "inner::busy();"),
    ],
)
def test_the_code_of_an_earlier_cell_can_be_stopped(
    kernel: Kernel, earlier: str, call: str
) -> None:
    kernel.ok(earlier)
    assert stopped(kernel, started(kernel, f'println!("on"); {call}')).lines == ["on"]
    assert kernel.ok("(kept, ticking.is_finished())").text == "(41, false)"


WAITING_ITEMS = """
    use std::io::{BufRead, Read, Write};
    fn sockets() -> (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream) {
        std::os::unix::net::UnixStream::pair().unwrap()
    }
"""


@pytest.mark.parametrize(
    "statement",
    [
        "let (mut one, _other) = sockets(); one.read(&mut [0; 9]).unwrap();",
        "let (one, _other) = sockets(); for line in std::io::BufReader::new(one).lines() { line.unwrap(); }",
        "let (mut one, _other) = sockets(); one.read_to_end(&mut Vec::new())?;",
        "let (mut one, _other) = std::io::pipe().unwrap(); one.read_exact(&mut [0; 9]).unwrap();",
        'std::net::TcpListener::bind("127.0.0.1:0").unwrap().accept().unwrap();',
        'std::net::UdpSocket::bind("127.0.0.1:0").unwrap().recv(&mut [0; 9])?;',
        'std::process::Command::new("sleep").arg("600").status().unwrap();',
        'std::process::Command::new("sleep").arg("600").output()?;',
        "fn wait() { sockets().0.read(&mut [0; 9]).unwrap(); } wait();",
        "let own = EventLoop::new(); own.spawn(async { sockets().0.read(&mut [0; 9]).unwrap(); });"
        " own.run_forever()?;",
    ],
)
def test_what_waits_in_the_operating_system_can_be_stopped(kernel: Kernel, statement: str) -> None:
    kernel.ok(WAITING_ITEMS)
    cell = stopped(kernel, started(kernel, f'println!("on"); {statement} println!("behind");'))
    assert cell.lines == ["on"]
    assert kernel.ok("(kept, ticking.is_finished())").text == "(41, false)"


def test_destructors_run_where_a_busy_loop_is_stopped(kernel: Kernel) -> None:
    cell = started(kernel, 'let _loud = Loud("it"); println!("on"); loop {}')
    assert stopped(kernel, cell).lines == ["on", "dropped it"]


@pytest.mark.parametrize("level", [0, 2, 3])
def test_destructors_run_where_a_function_that_calls_itself_is_stopped(
    kernel: Kernel, level: int
) -> None:
    kernel.ok(f":opt {level}\n{BUSY_ITEMS}")
    for call in ["calls(99);", "words(99);", "before_loud(u64::MAX);"]:
        code = f'let text = String::from("kept"); let _loud = Loud("it"); println!("on"); {call}'
        cell = started(kernel, f"{code} println!(\"{{text}}\");")
        assert stopped(kernel, cell).lines == ["on", "dropped it"]
    kernel.ok(":opt 2")


def test_busy_loops_of_other_threads_go_on_through_a_stop(kernel: Kernel) -> None:
    kernel.ok(
        """
        use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
        static TURNS: AtomicU64 = AtomicU64::new(0);
        static ENOUGH: AtomicBool = AtomicBool::new(false);
        fn turn() -> u64 {
            loop {
                let turns = TURNS.fetch_add(1, Ordering::Relaxed);
                if ENOUGH.load(Ordering::Relaxed) { return turns; }
            }
        }
        let thread = std::thread::spawn(turn);
        let task = tokio::task::spawn_blocking(turn);
        """
    )
    stopped(kernel, started(kernel, 'println!("on"); loop { std::hint::spin_loop(); }'))
    kernel.ok(
        """
        let before = TURNS.load(Ordering::Relaxed);
        while TURNS.load(Ordering::Relaxed) < before + 9 { tokio::task::yield_now().await; }
        ENOUGH.store(true, Ordering::Relaxed);
        """
    )
    assert kernel.ok("thread.join().is_ok() && task.await.is_ok()").text == "true"


def test_a_task_that_keeps_a_loop_busy_is_ended_and_the_loop_goes_on(kernel: Kernel) -> None:
    spawner = kernel.ok(
        """
        let own = EventLoop::new();
        let busy = own.spawn(async { println!("busy"); loop { std::hint::spin_loop(); } });
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
        own.spawn(async move {
            for tick in 1.. { say.send(tick).unwrap(); tokio::task::yield_now().await; }
        });
        """
    )
    cell = kernel.start(
        'println!("on"); if own.run_forever().is_err() { println!("bye"); }'
    )
    kernel.wait_for(lambda: spawner.lines == ["busy"])
    kernel.stop()
    kernel.finish(cell)
    assert (cell.status, cell.lines) == ("ok", ["on", "bye"])
    assert kernel.ok("own.run_until_complete(busy).unwrap_err().is_panic()").text == "true"
    assert kernel.ok("own.run_until_complete(said.recv())").text == "Some(1)"


@pytest.mark.timeout(240)
def test_a_stop_ends_a_build_with_all_its_processes(kernel: Kernel) -> None:
    def compilers() -> set[str]:
        return kernel.process_names() & {"cargo", "rustc", "cc", "ld"}

    code = ':dep regex = "1"\nlet matched = regex::Regex::new("a+").unwrap().is_match("caat");'
    cell = kernel.start(code)
    kernel.wait_for(lambda: "rustc" in compilers())
    kernel.stop()
    kernel.finish(cell)
    assert (cell.ename, cell.outputs) == ("Interrupted", [("error", "Interrupted")])
    kernel.wait_for(lambda: not compilers(), timeout=5)
    assert kernel.ok("(kept, ticking.is_finished())").text == "(41, false)"
    kernel.ok(code)
    assert kernel.ok("matched").text == "true"


def test_a_stop_while_a_cell_is_compiled_ends_it_before_it_starts(kernel: Kernel) -> None:
    cell = kernel.start('println!("on"); tokio::time::sleep(std::time::Duration::MAX).await;')
    kernel.wait_for(lambda: cell.published)
    stopped(kernel, cell)
    assert cell.stdout == ""
    assert kernel.ok("kept").text == "41"


def test_a_stop_while_types_are_inferred_for_the_first_time_keeps_everything(
    fresh_kernel: Kernel,
) -> None:
    fresh_kernel.ok("async {}.await; fn item() -> u8 { 3 }")
    for code in ('println!("on"); let first = item(); loop {}', "let second = vec![item()]; loop {}"):
        cell = fresh_kernel.start(code)
        fresh_kernel.wait_for(lambda cell=cell: cell.published)
        stopped(fresh_kernel, cell)
    assert fresh_kernel.ok("let third = item(); third").text == "3"


def test_a_stop_before_evcxr_is_ready_ends_the_cell(cold_kernel: Kernel) -> None:
    cell = cold_kernel.start(PENDING)
    # Only then it is known that the stop does not come before the cell, on its own channel.
    cold_kernel.wait_for(lambda: cell.published)
    stopped(cold_kernel, cell)
    assert cell.stdout == ""
    assert cold_kernel.ok("2 + 2").text == "4"


def test_a_stop_that_comes_when_nothing_runs_is_harmless(kernel: Kernel) -> None:
    kernel.stop()
    kernel.stop()
    assert kernel.ok("tokio::task::yield_now().await; kept").text == "41"


def test_a_stop_that_comes_at_the_end_of_a_cell_does_not_reach_the_next_one(kernel: Kernel) -> None:
    for _ in range(5):
        first = started(kernel, 'println!("on"); tokio::task::yield_now().await;')
        stop = kernel.send("interrupt_request", "control")
        kernel.finish(first)
        kernel.finish(stop)
        assert kernel.ok("tokio::task::yield_now().await; kept").text == "41"


def test_queued_cells_are_aborted(kernel: Kernel) -> None:
    cell = kernel.start(PENDING)
    # While it is compiled: what came together with the stop, on another socket, could come behind it.
    queued = [kernel.start('println!("queued")') for _ in range(3)]
    kernel.wait_for(lambda: cell.stdout)
    stopped(kernel, cell)
    assert [kernel.finish(other).status for other in queued] == ["aborted"] * 3
    assert [other.stdout for other in queued] == [""] * 3
    assert kernel.ok("kept").text == "41"


def test_tasks_of_a_stopped_cell_go_on(kernel: Kernel) -> None:
    cell = kernel.start(
        """
        tokio::spawn(async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
                println!("task");
            }
        });
        std::future::pending::<()>().await
        """
    )
    kernel.wait_for(lambda: cell.stdout)
    stopped(kernel, cell)
    before = len(cell.lines)
    kernel.wait_for(lambda: len(cell.lines) > before + 2)


# These cost all variables, so they come last.
@pytest.mark.parametrize("code, presses", [(LOCKED, 2), (UNCHECKED, 2), (LOCKED, 1)])
def test_a_blocked_cell_is_ended_with_its_process_but_items_are_kept(
    kernel: Kernel, code: str, presses: int
) -> None:
    kernel.ok(':dep itoa = "1"\nfn kept_item() -> i32 { 5 }\nlet lost_number = 1;')
    spawner = kernel.ok("for _ in 0..3 { tokio::spawn(std::future::pending::<()>()); }")
    cell = started(kernel, code)
    begin = time.monotonic()
    for _ in range(presses):
        kernel.stop()
    kernel.finish(cell)
    seconds = time.monotonic() - begin
    # One press gives the cell GRACE to reach an await point, a second one does not wait for that.
    assert (seconds >= GRACE) == (presses == 1), seconds
    assert (cell.status, cell.ename) == ("error", "Interrupted")
    assert "lost" in cell.evalue and "lost_number" in cell.evalue
    assert f"3 tasks of cell [{spawner.count}]" in cell.evalue
    code = "itoa::Buffer::new().format(kept_item() + async { 1 }.await).to_owned()"
    assert kernel.ok(code).text == '"6"'
    kernel.fails("lost_number", "CompilationError")
    kernel.ok(":checkpoints 1")
