"""The notebooks of this repository, run headless."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from client import NAME

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
FRENCH = NOTEBOOKS / "les-concepts-de-base.ipynb"

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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_runs_twice_in_one_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == NAME
    assert not any(cell.get("outputs") for cell in notebook.cells), "it was saved with outputs"
    client = NotebookClient(notebook, timeout=90, resources={"metadata": {"path": path.parent}})
    with client.setup_kernel():
        for _ in range(2):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
            if path == FRENCH:
                cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
                assert [printed(cell) for cell in cells] == PRINTED


def printed(cell: nbformat.NotebookNode) -> list[str]:
    """The lines below an executed cell; nothing may stand on its standard error."""
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    assert all(output.name == "stdout" for output in streams), streams
    return "".join(output.text for output in streams).splitlines()
