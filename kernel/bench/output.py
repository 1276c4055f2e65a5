"""How fast output arrives: lines and bytes a second, on installed kernels side by side.

    python kernel/bench/output.py [--rounds N] KERNEL…

Each round takes the kernels in turn, so that what else the machine does meets all of them. A cell's
time runs from its execute_request to its idle; that of a cell with the same code and no output is
taken off. The medians of all rounds are printed, with their ratio to the first kernel's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

from jupyter_client.manager import KernelManager

TIMEOUT = 600.0

# Less than that is not told from nothing: cells differ by as much in compiling.
RESOLUTION = 0.01

# How many lines, and how many bytes in one line. evcxr's own kernel takes minutes for what the
# others print in a second.
SIZES = {"rust": (10_000, 1_000_000)}
DEFAULT_SIZES = (200_000, 50_000_000)


@dataclass
class Cells:
    """The code for one language, with `N` for a number."""

    warm: str
    lines: str
    no_lines: str
    long: str
    no_long: str


RUST = Cells(
    warm='println!("warm"); N',
    lines='for line in 0..N { println!("{line}"); }',
    no_lines='for line in 0..N { std::hint::black_box(line); }',
    long='println!("{}", "x".repeat(N));',
    no_long='std::hint::black_box("x".repeat(N));',
)
PYTHON = Cells(
    warm='print("warm"); N',
    lines="for line in range(N): print(line)",
    no_lines="for line in range(N): pass",
    long='print("x" * N)',
    no_long='len("x" * N)',
)


class Bench:
    """A kernel under measurement."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.manager = KernelManager(kernel_name=name)
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        language = self.manager.kernel_spec.language
        self.cells = PYTHON if language == "python" else RUST
        self.run(self.cells.warm, 0)

    def run(self, code: str, number: int) -> tuple[float, int]:
        """Runs a cell; returns its seconds and how many bytes it printed."""
        begin = time.perf_counter()
        message_id = self.client.execute(code.replace("N", str(number)), allow_stdin=False)
        printed = 0
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed += len(content["text"])
            elif message["msg_type"] == "error":
                raise SystemExit(f"{self.name}: {content['evalue']}")
            elif content.get("execution_state") == "idle":
                seconds = time.perf_counter() - begin
                self.client.get_shell_msg(timeout=TIMEOUT)
                return seconds, printed

    def rate(self, code: str, silent: str, number: int) -> float:
        """What a cell prints a second, in units of its number; nothing where some of it is lost."""
        without, _ = self.run(silent, number)
        seconds, printed = self.run(code, number)
        if printed < number:
            print(f"{self.name}: only {printed} bytes of {number} have arrived")
            return 0.0
        return number / max(seconds - without, RESOLUTION)

    def close(self) -> None:
        """Ends the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="+", metavar="KERNEL")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    rates: dict[str, dict[str, list[float]]] = {name: {} for name in options.kernels}
    for _ in range(options.rounds):
        for name in options.kernels:
            bench = Bench(name)
            lines, long = bench.cells.lines, bench.cells.long
            count, size = SIZES.get(name, DEFAULT_SIZES)
            for what, rate in (
                ("lines/s", bench.rate(lines, bench.cells.no_lines, count)),
                ("bytes/s", bench.rate(long, bench.cells.no_long, size)),
            ):
                rates[name].setdefault(what, []).append(rate)
            bench.close()

    first = options.kernels[0]
    for what in ("lines/s", "bytes/s"):
        base = statistics.median(rates[first][what])
        for name in options.kernels:
            median = statistics.median(rates[name][what])
            print(f"{what:8} {name:12} {median:14,.0f}  ({median / base:.3f} of {first})")


if __name__ == "__main__":
    main()
