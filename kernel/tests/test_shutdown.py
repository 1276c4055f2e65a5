"""The end of a kernel: nothing of it stays, whatever it was doing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from client import SHUTDOWN_TIMEOUT, Kernel
from conftest import Gate, ended, short_folder

BUSY = ':checkpoints 0\nprintln!("on"); loop { std::hint::spin_loop(); }'


def wait_until_gone(folders: Callable[[], list[Path]]) -> None:
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT
    while left := folders():
        assert time.monotonic() < deadline, f"left: {left}"
        time.sleep(0.05)


def check_killed(kernel: Kernel) -> None:
    """Kills the only kernel of its cache folder, of which nothing must be left."""
    processes = kernel.processes()
    processes[0].kill()
    _, alive = psutil.wait_procs(processes, timeout=SHUTDOWN_TIMEOUT)
    assert not alive
    wait_until_gone(kernel.sessions)
    kernel.close()


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
    check_killed(fresh_kernel)


@pytest.mark.timeout(240)
def test_a_kernel_that_is_killed_in_a_build_leaves_nothing(fresh_kernel: Kernel) -> None:
    fresh_kernel.ok("1")
    fresh_kernel.start(':dep regex = "1"\nregex::Regex::new("a").is_ok()')
    fresh_kernel.wait_for(lambda: "rustc" in fresh_kernel.process_names())
    check_killed(fresh_kernel)


# A client that starts a kernel, says that its first cell has run, and waits to be killed.
PARENT = """
import sys, time
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="morceaux")
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready()
client.execute_interactive("tokio::spawn(std::future::pending::<()>());")
print(manager.provisioner.pid, flush=True)
time.sleep(600)
"""


def test_a_kernel_ends_with_the_process_that_has_started_it() -> None:
    with short_folder() as cache:
        environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout
        with parent.stdout:
            kernel = psutil.Process(int(parent.stdout.readline()))
            processes = [kernel, *kernel.children(recursive=True)]
            assert len(processes) >= 2
            parent.kill()
            parent.wait()
        _, alive = psutil.wait_procs(processes, timeout=SHUTDOWN_TIMEOUT)
        assert not alive
        wait_until_gone(lambda: list(cache.glob("morceaux/sessions/*/")))


@pytest.mark.timeout(240)
def test_ten_kernels_at_once_do_not_disturb_each_other() -> None:
    # In one cache folder, as those of one user are.
    with short_folder() as cache, contextlib.ExitStack() as kernels:
        all_of_them = [kernels.enter_context(ended(Kernel(cache))) for _ in range(10)]
        cells = [
            kernel.start(f"let own = {index}; let task = tokio::spawn(async move {{ own }});")
            for index, kernel in enumerate(all_of_them)
        ]
        for kernel, cell in zip(all_of_them, cells, strict=True):
            assert kernel.finish(cell).status == "ok", cell
        # One is killed, one ends: the others have what they had.
        killed, finished, *others = all_of_them
        killed.processes()[0].kill()
        finished.end()
        for index, kernel in enumerate(others, start=2):
            assert kernel.ok("(own, task.await.unwrap())").text == f"({index}, {index})"
        killed.close()
        assert len(killed.sessions()) >= len(others)
        for kernel in others:
            kernel.end()
        wait_until_gone(others[0].sessions)


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
