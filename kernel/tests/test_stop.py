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

BUSY = 'println!("on"); loop { std::hint::spin_loop(); }'
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


def test_a_stop_while_a_cell_is_compiled_ends_it_before_it_starts(kernel: Kernel) -> None:
    cell = kernel.start('println!("on"); tokio::time::sleep(std::time::Duration::MAX).await;')
    kernel.wait_for(lambda: cell.published)
    stopped(kernel, cell)
    assert cell.stdout == ""
    assert kernel.ok("kept").text == "41"


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
    cell = started(kernel, PENDING)
    queued = [kernel.start('println!("queued")') for _ in range(3)]
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


# These two cost all variables, so they come last.
@pytest.mark.parametrize("presses", [2, 1])
def test_a_busy_cell_is_ended_with_its_process_but_items_are_kept(
    kernel: Kernel, presses: int
) -> None:
    kernel.ok(':dep itoa = "1"\nfn kept_item() -> i32 { 5 }\nlet lost_number = 1;')
    cell = started(kernel, BUSY)
    begin = time.monotonic()
    for _ in range(presses):
        kernel.stop()
    kernel.finish(cell)
    seconds = time.monotonic() - begin
    # One press gives the cell GRACE to reach an await point, a second one does not wait for that.
    assert (seconds >= GRACE) == (presses == 1), seconds
    assert (cell.status, cell.ename) == ("error", "Interrupted")
    assert "lost" in cell.evalue and "lost_number" in cell.evalue
    code = "itoa::Buffer::new().format(kept_item() + async { 1 }.await).to_owned()"
    assert kernel.ok(code).text == '"6"'
    kernel.fails("lost_number", "CompilationError")
