"""The end of a kernel: nothing of it stays, whatever it was doing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from client import SHUTDOWN_TIMEOUT, Kernel
from conftest import Gate, ended

BUSY = ':checkpoints 0\nprintln!("on"); loop { std::hint::spin_loop(); }'


def wait_until_gone(folders: Callable[[], list[Path]]) -> None:
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT
    while left := folders():
        assert time.monotonic() < deadline, f"left: {left}"
        time.sleep(0.05)


def test_a_kernel_that_rests_ends_with_all_its_processes(fresh_kernel: Kernel) -> None:
    fresh_kernel.ok("tokio::spawn(std::future::pending::<()>());")
    fresh_kernel.ok('std::process::Command::new("sleep").arg("600").spawn().unwrap();')
    names = [process.name() for process in fresh_kernel.processes()]
    assert "sleep" in names and len(names) >= 3, names
    assert len(fresh_kernel.sessions()) == 1
    fresh_kernel.shut_down()


@pytest.mark.parametrize("restart", [False, True])
def test_a_kernel_ends_while_evcxr_is_being_set_up(cold_kernel: Kernel, restart: bool) -> None:
    cold_kernel.start("1")
    cold_kernel.shut_down(restart)


def test_a_kernel_ends_while_a_cell_computes(fresh_kernel: Kernel) -> None:
    cell = fresh_kernel.start(BUSY)
    fresh_kernel.wait_for(lambda: cell.stdout)
    fresh_kernel.shut_down(restart=True)


def test_a_killed_kernel_leaves_no_process_and_no_folder(fresh_kernel: Kernel) -> None:
    cell = fresh_kernel.start(
        'std::process::Command::new("sleep").arg("600").spawn().unwrap(); println!("on"); loop {}'
    )
    fresh_kernel.wait_for(lambda: cell.stdout)
    processes = fresh_kernel.processes()
    processes[0].kill()
    _, alive = psutil.wait_procs(processes, timeout=SHUTDOWN_TIMEOUT)
    assert not alive
    wait_until_gone(fresh_kernel.sessions)
    fresh_kernel.close()


def test_a_folder_that_was_left_is_swept_by_the_next_kernel(fresh_kernel: Kernel) -> None:
    # The cell process first: then nobody is there who could remove it.
    for process in reversed(fresh_kernel.processes()):
        process.kill()
    (left,) = fresh_kernel.sessions()
    fresh_kernel.close()
    with ended(Kernel(fresh_kernel.cache)) as later:
        later.ok("1")
        wait_until_gone(lambda: left.exists() and [left])


def test_a_kernel_that_nobody_listens_to_ends_when_it_is_terminated(
    fresh_kernel: Kernel, gate: Callable[[], Gate]
) -> None:
    flood = gate()
    cell = fresh_kernel.start(
        f'println!("on"); {flood.wait} for line in 0..100_000 {{ println!("{{line}}"); }}'
    )
    fresh_kernel.wait_for(lambda: cell.stdout)
    fresh_kernel.client.stop_channels()
    flood.open()
    processes = fresh_kernel.processes()
    processes[0].send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=SHUTDOWN_TIMEOUT)
    assert not alive
    assert not fresh_kernel.sessions()
    fresh_kernel.close()
