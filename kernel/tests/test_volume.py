"""Much output: all of it arrives where somebody takes it, and nothing hangs where nobody does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

import client
from client import NAME, Kernel
from conftest import Gate, ended, short_folder

Gates = Callable[[], Gate]

# What jupyter_server passes on, in bytes a second: the kernel keeps below it.
SERVER_RATE = 1_000_000
SERVER_WINDOW = 3.0

# How late a busy server may take what was sent: it counts then what was sent within a longer time.
SERVER_LATE = 2.0

# The kernel's own buffers, and what the sockets take beside them.
BUFFERS = 64 << 20

LEFT_OUT = re.compile(r"… (\d+) lines? left out")


def run_notebook(*codes: str) -> list[nbformat.NotebookNode]:
    """Runs cells through nbclient."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    NotebookClient(notebook, kernel_name=NAME, timeout=90).execute()
    return notebook.cells


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell printed; it must have shown nothing else."""
    assert {output.name for output in cell.outputs} == {"stdout"}
    return "".join(output.text for output in cell.outputs)


def test_a_million_lines_and_a_long_one_arrive_through_nbclient() -> None:
    lines, long = run_notebook(
        'for line in 0..1_000_000 { println!("{line}"); }',
        'print!("{}", "0123456789".repeat(10_000_000));',
    )
    assert printed(lines) == "".join(f"{line}\n" for line in range(1_000_000))
    assert printed(long) == "0123456789" * 10_000_000


@pytest.fixture(scope="module")
def below_a_server() -> Iterator[Kernel]:
    """A kernel that a Jupyter server has started, as far as it knows."""
    with short_folder() as cache, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "JPY_SESSION_NAME", str(cache / "notebook.ipynb"))
        with ended(Kernel(cache)) as kernel:
            kernel.ok('println!("warm");')
            yield kernel


def test_below_a_server_a_flood_keeps_to_what_it_passes_on(below_a_server: Kernel) -> None:
    kernel = below_a_server
    cell = kernel.ok('for line in 0..600_000 { println!("{line:07}"); }')
    assert cell.lines == [f"{line:07}" for line in range(600_000)]
    dates = [message["header"]["date"] for message in cell.published]
    sizes = [len(str(message["content"])) for message in cell.published]
    assert len(dates) < 1000 * SERVER_WINDOW
    assert (dates[-1] - dates[0]).total_seconds() > SERVER_WINDOW + SERVER_LATE
    for first, begin in enumerate(dates):
        within = (
            size
            for date, size in zip(dates[first:], sizes[first:], strict=True)
            if (date - begin).total_seconds() < SERVER_WINDOW + SERVER_LATE
        )
        assert sum(within) < SERVER_RATE * SERVER_WINDOW


def test_a_flood_in_the_background_is_left_out_where_it_cannot_be_shown(
    below_a_server: Kernel,
) -> None:
    kernel = below_a_server
    flood = kernel.ok(
        """
        use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
        static PRINTED: AtomicU64 = AtomicU64::new(0);
        let flood = tokio::spawn(async {
            loop {
                for _ in 0..1000 { println!("{:07}", PRINTED.fetch_add(1, Relaxed)); }
                tokio::task::yield_now().await;
            }
        });
        """
    )
    kernel.wait_for(lambda: LEFT_OUT.search(flood.stderr))
    # Neither the task nor other cells are held up by it, and what they print is seen at once.
    before = int(kernel.ok('println!("seen"); PRINTED.load(Relaxed)').text or 0)
    assert int(kernel.ok("PRINTED.load(Relaxed)").text or 0) > before
    cell = kernel.start("std::future::pending::<()>().await")
    kernel.wait_for(lambda: cell.is_busy)
    kernel.stop()
    assert kernel.finish(cell).ename == "Interrupted"
    kernel.ok("flood.abort(); flood.await.unwrap_err().is_cancelled()")
    total = int(kernel.ok("PRINTED.load(Relaxed)").text or 0)

    def accounted() -> int:
        left_out = sum(int(count) for count in LEFT_OUT.findall(flood.stderr))
        return flood.stdout.count("\n") + left_out

    # A line may be cut in two where lines are left out.
    kernel.wait_for(lambda: accounted() >= total)
    assert accounted() - total <= len(LEFT_OUT.findall(flood.stderr)) * 2


def test_the_user_can_set_the_limits(below_a_server: Kernel) -> None:
    kernel = below_a_server
    assert "500000 bytes a second" in (kernel.ok(":output").text or "")
    assert "unlimited" in (kernel.ok(":output rate 0 backlog 1000").text or "")
    assert "1000 bytes" in (kernel.ok(":output").text or "")
    assert len(kernel.ok('for line in 0..1_000_000 { println!("{line}"); }').lines) == 1_000_000
    assert kernel.fails(":output rate fast", "Error").evalue
    kernel.ok(":output rate 500000 backlog 2097152")


def test_a_stopped_flood_ends_at_once_and_nothing_trails_in(below_a_server: Kernel) -> None:
    kernel = below_a_server
    cell = kernel.start('let mut line = 0_u64; loop { println!("flood {line}"); line += 1; }')
    kernel.wait_for(lambda: len(cell.lines) > 100_000)
    kernel.stop()
    assert kernel.finish(cell).ename == "Interrupted"
    assert "variables" in cell.evalue
    assert kernel.ok('println!("next");').lines == ["next"]
    assert cell.late_outputs == []


def test_a_client_that_takes_nothing_costs_no_memory_and_no_cell(
    fresh_kernel: Kernel, tmp_path: Path
) -> None:
    kernel = fresh_kernel
    kernel.ok('println!("warm");')
    process = psutil.Process(kernel.manager.provisioner.pid)
    before = process.memory_info().rss
    deaf = kernel.manager.blocking_client()
    deaf.iopub_channel.socket.setsockopt(client.zmq.RCVHWM, 1)
    done = tmp_path / "done"
    try:
        deaf.start_channels(shell=False, stdin=False, hb=False, control=False)
        # What it does not take stays in the kernel, for which there is a limit.
        cell = kernel.start(
            'let line = "x".repeat(1 << 20); for _ in 0..200 { tokio::spawn({ let line = line.clone();'
            ' async move { println!("{line}"); } }).await.unwrap(); }'
            f'std::fs::write("{done}", "").unwrap();'
        )
        kernel.finish(cell)
        assert done.exists()
        assert process.memory_info().rss - before < BUFFERS
    finally:
        deaf.stop_channels()
    assert kernel.ok("1 + 1").text == "2"
