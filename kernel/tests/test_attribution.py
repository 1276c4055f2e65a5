"""Under which cell output goes: that of the task that makes it, wherever the task runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client import Kernel
from conftest import Gate

Gates = Callable[[], Gate]

HERE = 'println!("here"); display(&1);'
SHOWN = [("stdout", "here\n"), ("display", {"text/plain": "1"})]

# Statements that have `HERE` run elsewhere, once a gate has been opened.
ELSEWHERE = {
    "a task of a task": "tokio::spawn(async { WAIT tokio::spawn(async { HERE }); });",
    "a blocking thread": "tokio::task::spawn_blocking(|| { BLOCK HERE });",
    "a blocking thread of a task": (
        "tokio::spawn(async { WAIT tokio::task::spawn_blocking(|| { HERE }).await.unwrap(); });"
    ),
    "a blocking thread of a set": (
        "let mut set = tokio::task::JoinSet::new(); set.spawn_blocking(|| { BLOCK HERE });"
        "set.detach_all();"
    ),
    "a runtime of one's own": (
        "let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all()"
        ".build().unwrap(); own.spawn(async { WAIT HERE }); std::mem::forget(own);"
    ),
    "a library's task": (
        "use tokio::time::Duration; let debounced = tokio::task::JoinSet::from_iter("
        "[async { WAIT HERE }]); tokio::spawn(async move { debounced.join_all().await });"
    ),
    "a scope on a thread": (
        "let cell = OutputCell::current();"
        "std::thread::spawn(move || cell.sync_scope(|| { BLOCK HERE }));"
    ),
}


def elsewhere(name: str, gate: Gate) -> str:
    """The statement, with its gate."""
    block = gate.wait.replace("tokio::time::sleep", "std::thread::sleep").replace(".await", "")
    return (
        ELSEWHERE[name].replace("WAIT", gate.wait).replace("BLOCK", block).replace("HERE", HERE)
    )


@pytest.mark.parametrize("name", ELSEWHERE)
def test_output_goes_under_the_cell_that_caused_it(
    kernel: Kernel, gate: Gates, name: str
) -> None:
    go_on, end = gate(), gate()
    spawner = kernel.ok(elsewhere(name, go_on))
    later = kernel.start(f'println!("later"); {end.wait}')
    kernel.wait_for(lambda: later.lines)
    go_on.open()
    kernel.wait_for(lambda: len(spawner.late_outputs) == 2)
    end.open()
    assert kernel.finish(later).outputs == [("stdout", "later\n")]
    assert spawner.outputs == SHOWN


def test_a_local_set_that_a_later_cell_runs_prints_under_the_cell_that_filled_it(
    kernel: Kernel,
) -> None:
    spawner = kernel.ok(
        "let set = tokio::task::LocalSet::new(); set.spawn_local(async { %s });" % HERE
    )
    assert spawner.outputs == []
    assert kernel.ok("set.await;").outputs == []
    kernel.wait_for(lambda: spawner.outputs == SHOWN)


def test_a_loop_of_ones_own_prints_under_the_cell_that_filled_it(kernel: Kernel) -> None:
    spawner = kernel.ok(
        "let own = EventLoop::new(); own.spawn(async { println!(\"own\"); });"
    )
    cell = kernel.ok("own.run_until_complete(tokio::task::yield_now()); println!(\"ran\");")
    assert cell.outputs == [("stdout", "ran\n")]
    assert spawner.late_outputs == [("stdout", "own\n")]


def test_output_can_be_sent_elsewhere(kernel: Kernel, gate: Gates) -> None:
    go_on = gate()
    chosen = kernel.ok("let chosen = OutputCell::current();")
    spawner = kernel.ok(
        f"""
        tokio::spawn(chosen.scope(async {{
            {go_on.wait}
            println!("chosen");
            tokio::spawn(async {{ println!("inherited") }});
        }}));
        tokio::spawn(OutputCell::running().scope(async {{
            {go_on.wait}
            println!("running");
        }}));
        """
    )
    end = gate()
    cell = kernel.start(f"{go_on.wait} {end.wait}")
    kernel.wait_for(lambda: cell.is_busy)
    # The cell itself has to run, not only to be compiled.
    go_on.open()
    kernel.wait_for(lambda: len(chosen.lines) == 2)
    assert sorted(chosen.lines) == ["chosen", "inherited"]
    end.open()
    kernel.finish(cell)
    assert spawner.lines + cell.lines == ["running"]


def test_what_a_thread_prints_goes_under_the_running_cell(kernel: Kernel, gate: Gates) -> None:
    go_on, end = gate(), gate()
    block = go_on.wait.replace("tokio::time::sleep", "std::thread::sleep").replace(".await", "")
    starter = kernel.ok(f"std::thread::spawn(|| {{ {block} println!(\"thread\"); }});")
    running = kernel.start(f'println!("running"); {end.wait}')
    kernel.wait_for(lambda: running.lines)
    go_on.open()
    kernel.wait_for(lambda: running.lines == ["running", "thread"])
    end.open()
    kernel.finish(running)
    assert starter.outputs == []


def test_after_a_reload_of_the_page_output_goes_on_under_a_cell_of_the_new_one(
    kernel: Kernel, gate: Gates
) -> None:
    go_on, and_on = gate(), gate()
    page = kernel.manager.blocking_client()
    page.start_channels(iopub=False, stdin=False, hb=False, control=False)
    ran = page.execute(
        f"""
        let shown = display(&0);
        let task = tokio::spawn(async move {{
            {go_on.wait}
            println!("goes on");
            shown.update(&1);
            {and_on.wait}
            shown.update(&2);
        }});
        """
    )
    kernel.ignore(ran)
    assert page.get_shell_msg(timeout=90)["content"]["status"] == "ok"
    page.stop_channels()
    cell = kernel.ok('println!("new page");')
    # The kernel hears of it when the connection's end arrives.
    go_on.open()
    first = ("display", {"text/plain": "1"})
    kernel.wait_for(lambda: cell.outputs == [("stdout", "new page\ngoes on\n"), first])
    and_on.open()
    kernel.wait_for(lambda: cell.outputs[-1] == ("update", {"text/plain": "2"}))


def test_output_is_taken_for_a_terminals(kernel: Kernel) -> None:
    cell = kernel.ok(
        "use std::io::IsTerminal;"
        "(std::io::stdout().is_terminal(), std::io::stderr().is_terminal(),"
        " std::io::stdin().is_terminal())"
    )
    assert cell.text == "(true, true, false)"
    # What the user puts there is none.
    cell = kernel.ok(
        'std::process::Command::new("sh").args(["-c", "test -t 1 || echo no terminal"]).status().unwrap();'
    )
    assert cell.lines == ["no terminal"]


@pytest.mark.timeout(240)
def test_a_progress_bar_moves(kernel: Kernel) -> None:
    kernel.ok(":dep indicatif\nuse indicatif::{ProgressBar, ProgressStyle};")
    cell = kernel.ok(
        """
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len}").unwrap();
        let bar = ProgressBar::new(3).with_style(style);
        for _ in 0..3 { bar.inc(1); std::thread::sleep(std::time::Duration::from_millis(100)); }
        bar.finish();
        """
    )
    drawn = [word for word in cell.stderr.split() if "/" in word]
    assert (drawn[0], drawn[-1], cell.stderr.count("\n")) == ("1/3", "3/3", 0)
    # In pieces, while it runs.
    assert len([m for m in cell.published if m["header"]["msg_type"] == "stream"]) >= 3
