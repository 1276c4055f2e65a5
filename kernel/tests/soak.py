"""A long session: thousands of cells by a seeded generator, each held against a model of the notebook.

    python kernel/tests/soak.py [--steps 2000] [--seed 1] [--crashes 1]

Cells bind variables, move items through a queue, spawn tasks that print later, show and replace values,
fail, are stopped, and crash, in whatever order the seed says. After each step, variables, the queue's
contents and the outputs must be what the model says; the first difference ends the run with an error.
At the end stands what the kernel used at its beginning and then: memory, open files, threads, latency.

It is a command, not part of the tests: it takes minutes.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import psutil

from client import Kernel
from conftest import ended, short_folder
from request import Cell

# What is taken for a part of the run that is compared with another one.
PART = 0.1

# Variables of the model; more would only make `:vars` longer.
NAMES = [f"v{index}" for index in range(12)]

QUEUE = "let (queue, mut items) = tokio::sync::mpsc::unbounded_channel::<u64>();"


@dataclass
class Sample:
    """What the kernel uses."""

    step: int
    megabytes: float
    files: int
    threads: int


@dataclass
class Model:
    """What the notebook must be like."""

    variables: dict[str, int] = field(default_factory=dict)
    queue: deque[int] = field(default_factory=deque)
    # The cells whose tasks have not printed yet, with what they will.
    expected: list[tuple[Cell, str]] = field(default_factory=list)


class Soak:
    """The run."""

    def __init__(self, kernel: Kernel, seed: int) -> None:
        self.kernel = kernel
        self.random = random.Random(seed)
        self.model = Model()
        self.number = 0
        self.counts: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.samples: list[Sample] = []
        self.kernel.ok(QUEUE)

    def run(self, steps: int, crashes: int) -> None:
        """Makes the steps."""
        kinds = {
            self.bind: 18,
            self.read: 18,
            self.send: 10,
            self.receive: 10,
            self.spawn: 12,
            self.show: 8,
            self.compile_error: 6,
            self.panic: 5,
            self.question_mark: 5,
            self.stop_await: 4,
            self.stop_loop: 4,
            self.crash: crashes,
        }
        weighted = [kind for kind, weight in kinds.items() for _ in range(weight)]
        for step in range(steps):
            if step % max(1, steps // 20) == 0:
                self.sample(step)
                print(f"step {step}: {self.samples[-1]}", flush=True)
            self.number += 1
            kind = self.random.choice(weighted)
            kind()
            self.counts[kind.__name__] += 1
            self.check_expected()
        self.kernel.wait_for(lambda: not self.late(), what="what tasks print")
        self.sample(steps)

    # --- steps ------------------------------------------------------------------------------------

    def bind(self) -> None:
        name = self.random.choice(NAMES)
        self.ok(f"let {name} = {self.number}_u64;", [])
        self.model.variables[name] = self.number

    def read(self) -> None:
        if not self.model.variables:
            return self.bind()
        name, value = self.random.choice(sorted(self.model.variables.items()))
        begin = time.perf_counter()
        self.ok(f"{name} + {self.number}", [("result", {"text/plain": str(value + self.number)})])
        self.latencies.append(time.perf_counter() - begin)
        return None

    def send(self) -> None:
        self.ok(f"queue.send({self.number}).unwrap();", [])
        self.model.queue.append(self.number)

    def receive(self) -> None:
        if not self.model.queue:
            return self.send()
        value = self.model.queue.popleft()
        shown = [("stdout", f"{value}\n")]
        self.ok('println!("{}", items.recv().await.unwrap());', shown)
        return None

    def spawn(self) -> None:
        milliseconds = self.random.randrange(1, 300)
        cell = self.kernel.ok(
            "tokio::spawn(async { tokio::time::sleep(std::time::Duration::from_millis("
            f"{milliseconds})).await; println!(\"task {self.number}\"); }});"
        )
        self.model.expected.append((cell, f"task {self.number}"))

    def show(self) -> None:
        first, second = {"text/plain": str(self.number)}, {"text/html": f"<b>{self.number}</b>"}
        cell = self.kernel.ok(f"let shown = display(&{self.number});")
        self.same(cell, [("display", first)])
        self.ok(f'shown.update(&Html("<b>{self.number}</b>"));', [])
        self.kernel.wait_for(lambda: cell.late_outputs == [("update", second)])

    def compile_error(self) -> None:
        self.kernel.fails(f"missing_{self.number}", "CompilationError")

    def panic(self) -> None:
        cell = self.kernel.fails(f'panic!("panic {self.number}");', "Panic")
        self.require(cell.evalue == f"panic {self.number}", cell)

    def question_mark(self) -> None:
        code = f'"x{self.number}".parse::<u8>()?;'
        self.kernel.fails(code, "ParseIntError")

    def stop_await(self) -> None:
        self.stopped('println!("on"); std::future::pending::<()>().await;')

    def stop_loop(self) -> None:
        self.stopped('println!("on"); loop { std::hint::spin_loop(); }')

    def crash(self) -> None:
        self.settle_tasks()
        cell = self.kernel.fails("std::process::abort();", "CellProcessDied")
        for name in self.model.variables:
            self.require(name in cell.evalue, cell)
        self.model.variables.clear()
        self.model.queue.clear()
        self.kernel.ok(QUEUE)

    # --- checks -----------------------------------------------------------------------------------

    def ok(self, code: str, outputs: list[tuple[str, object]]) -> None:
        """Runs a cell that must show just this."""
        self.same(self.kernel.ok(code), outputs)

    def same(self, cell: Cell, outputs: list[tuple[str, object]]) -> None:
        self.require(cell.outputs == outputs, f"{cell}\ninstead of {outputs}")

    def stopped(self, code: str) -> None:
        cell = self.kernel.start(code)
        self.kernel.wait_for(lambda: cell.stdout)
        self.kernel.stop()
        self.kernel.finish(cell)
        self.require(cell.ename == "Interrupted" and cell.lines == ["on"], cell)

    def late(self) -> list[tuple[Cell, str]]:
        return [(cell, line) for cell, line in self.model.expected if cell.lines != [line]]

    def check_expected(self) -> None:
        """What has been printed stands where it belongs, and nothing else does."""
        for cell, line in self.model.expected:
            self.require(cell.lines in ([], [line]), cell)
        self.model.expected = self.late()

    def settle_tasks(self) -> None:
        self.kernel.wait_for(lambda: not self.late(), what="what tasks print")
        self.model.expected.clear()

    def require(self, holds: bool, what: object) -> None:
        if not holds:
            raise SystemExit(f"step {self.number}: lost or wrong: {what}")

    def sample(self, step: int) -> None:
        processes = self.kernel.processes()
        used = Sample(step, 0, 0, 0)
        for process in processes:
            try:
                used.megabytes += process.memory_info().rss / 1e6
                used.files += process.num_fds()
                used.threads += process.num_threads()
            except psutil.Error:
                # It has ended meanwhile.
                continue
        self.samples.append(used)

    def report(self, seconds: float) -> None:
        part = max(1, int(len(self.latencies) * PART))
        begin, end = self.latencies[:part], self.latencies[-part:]
        # The first sample is from before anything has run.
        first, last = self.samples[1], self.samples[-1]
        print(f"{sum(self.counts.values())} steps in {seconds:.0f} s: {dict(self.counts)}")
        print(f"memory {first.megabytes:.0f} -> {last.megabytes:.0f} MB", end=", ")
        print(f"open files {first.files} -> {last.files}", end=", ")
        print(f"threads {first.threads} -> {last.threads}", end=", ")
        print(f"latency {statistics.median(begin):.3f} -> {statistics.median(end):.3f} s")
        print("lost: 0")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--crashes", type=int, default=1, help="their share of a hundred steps")
    options = parser.parse_args()
    begin = time.monotonic()
    with short_folder() as cache, ended(Kernel(cache)) as kernel:
        soak = Soak(kernel, options.seed)
        soak.run(options.steps, options.crashes)
        soak.report(time.monotonic() - begin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
