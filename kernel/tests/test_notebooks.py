"""The notebooks of this repository, as nbclient and as a reader runs them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from client import NAME, Kernel
from request import Cell

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
FRENCH = NOTEBOOKS / "les-concepts-de-base.ipynb"

# The tag by which nbclient, and this test, know the cell that runs until it is stopped.
ENDLESS_TAG = "skip-execution"

ONE = ["run début", "run milieu", "run fin"]
TOGETHER = ["run1 début", "run2 début", "run1 milieu", "run2 milieu", "run1 fin", "run2 fin"]
STARVED = ["run1 début", "run2 début", "run1 milieu", "run1 fin", "run2 milieu", "run2 fin"]

# What each code cell prints, as its counterpart in the Python notebook does.
PRINTED = [
    [],  # use
    [],  # async fn morceaux
    [],  # morceaux
    [],  # morceaux("run")
    [],  # boucle
    ONE,
    ONE,
    [],  # mesurer
    TOGETHER,
    [],  # chronologie
    [],  # async fn famine
    STARVED,
    [],  # chronologie
    [],  # mainloop
    [],  # la file
    [],  # producer
    [],  # consumer
    [],  # spawn
    [],  # run_forever, which is not run headless
]


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    """The notebook's cells of code."""
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_endless(cell: nbformat.NotebookNode) -> bool:
    """Whether the cell runs until it is stopped."""
    return ENDLESS_TAG in cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_runs_without_errors(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == NAME
    assert not any(cell.get("outputs") for cell in notebook.cells), "saved with outputs"
    NotebookClient(notebook, timeout=90, resources={"metadata": {"path": path.parent}}).execute()
    if path == FRENCH:
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [printed(cell) for cell in cells] == PRINTED


def printed(cell: nbformat.NotebookNode) -> list[str]:
    """The lines below an executed cell; there must be nothing else on the standard streams."""
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    assert all(output.name == "stdout" for output in streams), streams
    return "".join(output.text for output in streams).splitlines()


def test_the_french_notebook_runs_twice_and_is_stopped_in_between(fresh_kernel: Kernel) -> None:
    cells = code_cells(FRENCH)
    for _ in range(2):
        shown = [
            fresh_kernel.ok(cell.source) for cell in cells if not is_endless(cell)
        ]
        printed = iter(shown)
        for cell, lines in zip(cells, PRINTED, strict=True):
            assert is_endless(cell) or next(printed).lines == lines, cell.source
        spawner = shown[-1]
        (endless,) = [cell for cell in cells if is_endless(cell)]
        for _ in range(2):
            check_endless(fresh_kernel, endless.source, spawner)


def check_endless(kernel: Kernel, code: str, spawner: Cell) -> None:
    """The loop is run, stopped behind two new ticks, and none was lost or doubled up to then."""
    before = len(spawner.lines)
    running = kernel.start(code)
    kernel.wait_for(lambda: len(spawner.lines) >= before + 2)
    kernel.stop()
    kernel.finish(running)
    assert (running.status, running.outputs) == ("ok", [("stdout", "bye\n")])
    count = len(spawner.lines)
    assert spawner.lines == [f"received tick{tick}" for tick in range(1, count + 1)]
    assert kernel.ok("1 + 1").text == "2"
