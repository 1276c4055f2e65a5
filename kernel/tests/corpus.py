"""The corpus: cells in files, each with what must come of it. A file is a group of cells.

Directives are comments that begin in column 0; `parse` reads them.

    //% about TEXT          the first line: what the group shows
    //% once                the cells are not run a second time
    //% reversed            the cells are independent of each other, and also run in reversed order
    //% cell [timeout=90]   begins a cell; its code is what follows, up to the first expectation
    //> TEXT                a line of standard output; together they are all of it
    //~ TEXT                instead: a line of standard output contains this
    //= TEXT                a line of the result's text; together they are all of it
    //@ MIME TEXT           a display, or the result, has this MIME type and contains this
    //? TEXT                standard error contains this; without it there is none
    //! NAME                the cell ends with the error of this name; without it, it succeeds
    //! TEXT                from the second on: the error's traceback contains this

As a command it counts the cells that pass on any installed kernel: corpus.py --help.
"""

from __future__ import annotations

import argparse
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from client import TIMEOUT, Kernel
from request import Cell

FOLDER = Path(__file__).resolve().parent / "corpus"

# What begins an expectation, and where `Sample` keeps it.
EXPECTATIONS = {
    "//>": "printed",
    "//~": "printed_within",
    "//=": "result",
    "//@": "shown",
    "//?": "warned",
    "//!": "error",
}


class MalformedError(Exception):
    """A file that is not in the corpus's format."""


@dataclass
class Sample:
    """A cell of the corpus, and what is expected of it."""

    path: Path
    line: int
    timeout: float = TIMEOUT
    code: str = ""
    printed: list[str] = field(default_factory=list)
    printed_within: list[str] = field(default_factory=list)
    result: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    error: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.path.name}:{self.line}"

    def mismatches(self, cell: Cell) -> list[str]:
        """What is not as expected of the cell that was run."""
        found = list(self._mismatches(cell))
        return [f"{self.place}: {mismatch}" for mismatch in found] + [repr(cell)] if found else []

    def _mismatches(self, cell: Cell) -> Iterator[str]:
        if self.error:
            name, *texts = self.error
            if (cell.status, cell.ename) != ("error", name):
                yield f"expected the error {name}, got {cell.status} {cell.ename or ''}"
            for text in texts:
                if text not in cell.traceback:
                    yield f"expected in the traceback: {text}"
        elif cell.status != "ok":
            yield f"expected success, got {cell.status} {cell.ename or ''}"
        for text in self.printed_within:
            if not any(text in line for line in cell.lines):
                yield f"expected in a line of standard output: {text}"
        if not self.printed_within and cell.lines != self.printed:
            yield f"expected the lines {self.printed} on standard output, got {cell.lines}"
        result = "\n".join(self.result) if self.result else None
        if cell.text != result and not (self.shown and result is None):
            yield f"expected the result {result!r}, got {cell.text!r}"
        for mime, text in (shown.split(" ", 1) for shown in self.shown):
            data = [*cell.displays, *([cell.result] if cell.result else [])]
            if not any(text in str(content.get(mime, "")) for content in data):
                yield f"expected to be shown as {mime}: {text}"
        for text in self.warned:
            if text not in cell.stderr:
                yield f"expected on standard error: {text}"
        if cell.stderr and not self.warned:
            yield f"expected nothing on standard error, got {cell.stderr!r}"


@dataclass
class Group:
    """A file of the corpus."""

    path: Path
    about: str
    once: bool = False
    reversed: bool = False
    samples: list[Sample] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The behaviour that it shows."""
        return self.path.stem

    @property
    def dependencies(self) -> set[str]:
        """The crates that have to be built for it."""
        lines = [line for sample in self.samples for line in sample.code.splitlines()]
        return {line.split()[1] for line in lines if line.startswith(":dep ")}

    @property
    def is_of_web(self) -> bool:
        """Whether these are crates of the web, which come together."""
        return "axum" in self.dependencies

    @property
    def timeout(self) -> float:
        """How long it may take: its cells, and what clears the session for them."""
        samples = [sample for order in self.passes.values() for sample in order]
        return sum(sample.timeout for sample in samples) + 2 * TIMEOUT

    @property
    def passes(self) -> dict[str, list[Sample]]:
        """The orders in which the cells run, by name. The last begins in a cleared session."""
        passes = {"in order": self.samples}
        if not self.once:
            passes["twice"] = self.samples
        if self.reversed:
            passes["reversed"] = self.samples[::-1]
        return passes


def check(kernel: Kernel, group: Group) -> None:
    """Runs a group in all of its orders, in a session that is cleared for it."""
    kernel.ok(":clear")
    found = []
    for order, samples in group.passes.items():
        if order == "reversed":
            kernel.ok(":clear")
        for sample in samples:
            mismatches = sample.mismatches(kernel.run(sample.code, sample.timeout))
            found += [f"({order})", *mismatches] if mismatches else []
    assert not found, "\n".join([group.about, *found])


def parse(path: Path) -> Group:
    """Reads a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].startswith("//% about "):
        raise MalformedError(f"{path.name}:1: the first line must be `//% about TEXT`")
    group = Group(path, about=lines[0].removeprefix("//% about ").strip())
    code: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            if line.startswith("//%"):
                code = []
                _take_directive(group, number, line.removeprefix("//%").split())
            elif group.samples:
                _take_line(group.samples[-1], code, line)
            elif line.strip():
                raise ValueError("this stands before the first `//% cell`")
        except ValueError as error:
            raise MalformedError(f"{path.name}:{number}: {error}") from error
    if not group.samples:
        raise MalformedError(f"{path.name}:1: there are no cells")
    for sample in group.samples:
        if not sample.code.strip():
            raise MalformedError(f"{sample.place}: a cell without code")
    return group


def groups() -> list[Group]:
    """All groups, by name."""
    return [parse(path) for path in sorted(FOLDER.glob("*.cells"))]


def parameters(chosen: list[Group]) -> list[Any]:
    """Groups as pytest's parameters, each with its time."""
    marks = [pytest.mark.timeout(group.timeout) for group in chosen]
    pairs = zip(chosen, marks, strict=True)
    return [pytest.param(group, id=group.name, marks=mark) for group, mark in pairs]


def _take_directive(group: Group, number: int, words: list[str]) -> None:
    match words:
        case ["once"] if not group.samples:
            group.once = True
        case ["reversed"] if not group.samples:
            group.reversed = True
        case ["cell"]:
            group.samples.append(Sample(group.path, number))
        case ["cell", option] if option.startswith("timeout="):
            timeout = float(option.removeprefix("timeout="))
            group.samples.append(Sample(group.path, number, timeout))
        case _:
            raise ValueError(f"no such directive here: {' '.join(words)}")


def _take_line(sample: Sample, code: list[str], line: str) -> None:
    kind = EXPECTATIONS.get(line[:3])
    if kind is None:
        expects = any(getattr(sample, name) for name in EXPECTATIONS.values())
        if expects and line.strip():
            raise ValueError("code behind an expectation")
        code.append(line)
        sample.code = "\n".join(code).rstrip("\n")
        return
    text = line[3:].removeprefix(" ")
    if kind == "shown" and " " not in text:
        raise ValueError("`//@` needs a MIME type and a text")
    if not text.strip() and kind not in ("printed", "result"):
        raise ValueError(f"`{line[:3]}` needs a text")
    getattr(sample, kind).append(text)
    if sample.printed and sample.printed_within:
        raise ValueError("`//~` and `//>` exclude each other")


# --- any kernel -----------------------------------------------------------------------------------

# How long a kernel may take to start, and to compile the prelude.
START_TIMEOUT = 600.0

# How long output is awaited that a kernel publishes after it has said that the cell is done.
LATE_OUTPUT = 0.3


class AnyKernel:
    """An installed kernel, behind a client that forgives. A kernel that hangs is restarted."""

    def __init__(self, name: str, prelude: str) -> None:
        self._prelude = prelude
        self._manager = KernelManager(kernel_name=name)
        self._manager.start_kernel()
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=START_TIMEOUT)

    def clear(self) -> None:
        """Begins anew, with the prelude."""
        for code in filter(None, (":clear", self._prelude)):
            cell = self.run(code, START_TIMEOUT)
            if cell.status != "ok":
                print(f"{code!r} fails: {cell}")

    def run(self, code: str, timeout: float) -> Cell:
        """Runs a cell to its end, or to that of the kernel."""
        deadline = time.monotonic() + timeout
        header = {"msg_id": self._client.execute(code), "msg_type": "execute_request"}
        cell = Cell({"header": header, "content": {"code": code}})
        try:
            reply = self._reply(cell, deadline)
            while not cell.is_idle:
                self._take_published(cell, deadline - time.monotonic())
        except (queue.Empty, RuntimeError):
            self._manager.restart_kernel(now=True)
            self._client.wait_for_ready(timeout=START_TIMEOUT)
            if self._prelude and code != self._prelude:
                self.run(self._prelude, START_TIMEOUT)
            cell.reply_message = {"content": {"status": "error", "ename": "hung"}}
            return cell
        try:
            late = time.monotonic() + LATE_OUTPUT
            while True:
                self._take_published(cell, late - time.monotonic())
        except queue.Empty:
            pass
        errors = [m["content"] for m in cell.published if m["header"]["msg_type"] == "error"]
        traceback = [line for error in errors for line in error["traceback"]]
        found = {"ename": errors[0]["ename"], "traceback": traceback} if errors else {}
        cell.reply_message = {"content": reply | found}
        return cell

    def close(self) -> None:
        """Ends the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _reply(self, cell: Cell, deadline: float) -> dict[str, Any]:
        while True:
            if not self._manager.is_alive():
                raise RuntimeError("the kernel has ended")
            if time.monotonic() > deadline:
                raise queue.Empty
            try:
                message = self._client.get_shell_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == cell.id:
                return message["content"]

    def _take_published(self, cell: Cell, timeout: float) -> None:
        message = self._client.get_iopub_msg(timeout=max(timeout, 0))
        if message["parent_header"].get("msg_id") == cell.id:
            if message["header"]["msg_type"] != "status":
                cell.keep(message)
            elif message["content"]["execution_state"] == "idle":
                cell.is_idle = True


def main() -> None:
    """Counts the cells that pass on a kernel."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kernel", required=True, help="the name of an installed kernel")
    parser.add_argument("--prelude", default="", help="code that is run before every group")
    parser.add_argument(
        "--patience", type=float, default=TIMEOUT, help="seconds for a cell that builds no crates"
    )
    parser.add_argument("--any-name", action="store_true", help="errors may have any name")
    parser.add_argument("--verbose", action="store_true", help="show what is not as expected")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="else all of them")
    options = parser.parse_args()
    known = {group.name: group for group in groups()}
    if unknown := [name for name in options.groups if name not in known]:
        parser.error(f"no such group: {', '.join(unknown)}")
    chosen = [known[name] for name in options.groups or known]
    kernel = AnyKernel(options.kernel, options.prelude)
    all_passed = 0
    try:
        for group in chosen:
            kernel.clear()
            passed = 0
            for sample in group.samples:
                builds = ":dep" in sample.code
                timeout = sample.timeout if builds else min(sample.timeout, options.patience)
                cell = kernel.run(sample.code, timeout)
                if options.any_name and sample.error and cell.status == "error":
                    cell.reply["ename"] = sample.error[0]
                try:
                    mismatches = sample.mismatches(cell)
                except AssertionError as error:
                    mismatches = [f"{sample.place}: {error}"]
                passed += not mismatches
                if options.verbose and mismatches:
                    print(*mismatches, sep="\n")
            all_passed += passed
            print(f"{group.name}: {passed} of {len(group.samples)}", flush=True)
    finally:
        kernel.close()
    count = sum(len(group.samples) for group in chosen)
    print(f"total: {all_passed} of {count} cells in {len(chosen)} groups")


if __name__ == "__main__":
    main()
