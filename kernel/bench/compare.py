"""What somebody who runs cells waits for, on two installed kernels side by side.

    python kernel/bench/compare.py [--rounds N] [KERNEL OTHER]

Each round takes the kernels in turn, so that what else the machine does meets both. A cell's time runs
from its execute_request to its idle and its reply. The medians are printed as a table, with the ratio of
the first kernel to the other one; `OTHER` must be evcxr's, which needs tokio as a dependency.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import psutil
from jupyter_client.manager import KernelManager

TIMEOUT = 600.0

TOKIO = ':dep tokio = { version = "1", features = ["full"] }'
HELLO = """
async fn hello(number: u32) -> u32 {
    tokio::time::sleep(std::time::Duration::from_millis(0)).await;
    number
}
"""
LINES = 100_000

# How often a kind of cell is run, of which the median is taken.
CELLS = 9

# The cells of a long notebook that are compared, with those around them.
EARLY, LATE, AROUND = 10, 200, 5

# The cell that is stopped has been waiting for so long: compilers have nothing to do with it.
BEFORE_STOP = 1.0


class Bench:
    """A kernel under measurement."""

    def __init__(self, name: str) -> None:
        self.begin = time.perf_counter()
        self.manager = KernelManager(kernel_name=name)
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        self.ready = self.since_start()

    def since_start(self) -> float:
        """The seconds since the kernel was started."""
        return time.perf_counter() - self.begin

    def run(self, code: str, ok: bool = True) -> float:
        """Runs a cell, which must succeed or fail as said; returns its seconds."""
        begin = time.perf_counter()
        status = self._finish(self._send(code))
        seconds = time.perf_counter() - begin
        if (status == "ok") != ok:
            raise SystemExit(f"{self.manager.kernel_name}: {status}: {code}")
        return seconds

    def median(self, codes: Iterator[str]) -> float:
        """The median of some cells."""
        return statistics.median(self.run(code) for code in codes)

    def stop(self, code: str) -> float:
        """Runs a cell that waits, and presses stop; returns the seconds from there on."""
        cell = self._send(code)
        with contextlib.suppress(TimeoutError):
            self._finish(cell, BEFORE_STOP)
        begin = time.perf_counter()
        self.manager.interrupt_kernel()
        self._finish(cell)
        return time.perf_counter() - begin

    def megabytes(self) -> float:
        """What all processes take."""
        kernel = psutil.Process(self.manager.provisioner.pid)
        processes = [kernel, *kernel.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes) / 1e6

    def end(self) -> float:
        """Ends the kernel; returns the seconds."""
        begin = time.perf_counter()
        self.client.stop_channels()
        self.manager.shutdown_kernel()
        return time.perf_counter() - begin

    def _send(self, code: str) -> str:
        return self.client.execute(code, allow_stdin=False)

    def _finish(self, cell: str, timeout: float = TIMEOUT) -> str:
        """Waits until a cell has been answered and is idle; returns its status."""
        deadline = time.monotonic() + timeout

        def left() -> float:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise TimeoutError
            return seconds

        def is_idle(message: dict[str, Any]) -> bool:
            return message["content"].get("execution_state") == "idle"

        def get(channel: Any, wanted: Any) -> dict[str, Any]:
            while True:
                if not channel.socket.poll(left() * 1000):
                    raise TimeoutError
                message = channel.get_msg(timeout=0)
                if message["parent_header"].get("msg_id") == cell and wanted(message):
                    return message

        get(self.client.iopub_channel, is_idle)
        reply = get(self.client.shell_channel, lambda _: True)
        return reply["content"]["status"]


def short_notebook(kernel: str) -> Iterator[tuple[str, float]]:
    """The rows of a notebook that waits for something in its first cell."""
    bench = Bench(kernel)
    yield "start to kernel_info_reply", bench.ready
    if kernel == "rust":
        bench.run(TOKIO)
    bench.run(f"{HELLO}hello(1).await")
    yield "start to first awaited result", bench.since_start()
    bench.end()


def notebook(kernel: str) -> Iterator[tuple[str, float]]:
    """The rows of a notebook with cells of all kinds."""
    bench = Bench(kernel)
    bench.run("1 + 1")
    yield "start to first result", bench.since_start()
    if kernel == "rust":
        bench.run(TOKIO)
    yield "first `let`", bench.run("let a0 = 1;")
    yield "`let`", bench.median(f"let v{i} = {i} * 3;" for i in range(CELLS))
    yield "`println!`", bench.median(f'println!("p{i} {{}}", a0);' for i in range(CELLS))
    yield "expression", bench.median(f"a0 + {i}" for i in range(CELLS))
    bench.run(f"{HELLO}hello(1).await")
    yield "`.await`", bench.median(f"hello({i}).await" for i in range(CELLS))
    bench.run("1 + 40")
    yield "repeated cell", bench.median("1 + 40" for _ in range(CELLS))
    yield "compile error", bench.run("undefined_name", ok=False)
    yield (
        f"{LINES:,} printed lines",
        bench.run(f'for i in 0..{LINES} {{ println!("line {{i}} {{}}", "x".repeat(40)); }}'),
    )
    yield "memory after that, MB", bench.megabytes()
    bench.run("let kept = 7;")
    wait = "tokio::time::sleep(std::time::Duration::from_secs(600)).await;"
    yield "stop of an `.await`", bench.stop(wait)
    # evcxr's ends its process, and the variables with it.
    bench.run("assert_eq!(kept, 7);", ok=kernel != "rust")
    yield "shutdown", bench.end()


def long_notebook(kernel: str) -> Iterator[tuple[str, float]]:
    """The rows of a notebook with many variables and functions."""
    bench = Bench(kernel)
    bench.run("let a0 = 1;")
    seconds = []
    for cell in range(LATE + AROUND):
        item = f"fn f{cell}() -> u64 {{ {cell} }}"
        seconds.append(bench.run(item if cell % 4 == 0 else f"let w{cell} = {cell} * 3;"))
    bench.end()

    def around(cell: int) -> float:
        return statistics.median(seconds[cell - AROUND : cell + AROUND])

    yield f"{LATE}th cell to {EARLY}th", around(LATE) / around(EARLY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="*", default=["morceaux", "rust"], metavar="KERNEL")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    first, other = options.kernels
    rows: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for part in (short_notebook, notebook, long_notebook):
            for kernel in (first, other):
                for name, value in part(kernel):
                    rows.setdefault(name, {}).setdefault(kernel, []).append(value)

    print(f"{date.today()}, rounds: {options.rounds}; seconds, unless said otherwise\n")
    print(f"| | {first} | {other} | ratio |\n| --- | --- | --- | --- |")
    for name, values in rows.items():
        a, b = (statistics.median(values[kernel]) for kernel in (first, other))
        print(f"| {name} | {a:.3g} | {b:.3g} | {a / b:.2g} |")


if __name__ == "__main__":
    main()
