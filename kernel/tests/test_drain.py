"""Cells that end only when the tasks have ended, so that clients without a browser see it all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from client import NAME, Kernel
from conftest import Gate, ended, short_folder

Gates = Callable[[], Gate]

LATE = """tokio::spawn(async {
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    println!("late");
    tokio::spawn(async { tokio::task::yield_now().await; println!("later") });
});"""


def test_a_drained_cell_ends_behind_its_tasks(kernel: Kernel) -> None:
    cell = kernel.ok(f":drain\n{LATE}\n7")
    assert "late" in cell.lines and cell.text == "7"
    # Alone, it waits for what earlier cells have spawned.
    spawner = kernel.ok(LATE)
    kernel.ok(":drain 30")
    assert "late" in spawner.lines
    kernel.ok("morceaux::drain().await")


def test_blocking_work_is_waited_for_too(kernel: Kernel) -> None:
    cell = kernel.ok(
        ":drain\ntokio::task::spawn_blocking(|| {"
        "std::thread::sleep(std::time::Duration::from_millis(300));"
        'println!("worked"); });'
    )
    assert (cell.lines, cell.late_outputs) == (["worked"], [])


def test_a_drained_cell_waits_no_longer_than_it_is_told(kernel: Kernel, gate: Gates) -> None:
    go_on = gate()
    cell = kernel.ok(f":drain 0.3\ntokio::spawn(async {{ {go_on.wait} println!(\"late\"); }});")
    assert cell.stderr == "note: 1 task still going on after 0.3 s\n"
    assert cell.lines == []
    go_on.open()
    kernel.wait_for(lambda: cell.lines == ["late"])


def test_the_stop_button_ends_the_waiting(kernel: Kernel) -> None:
    cell = kernel.start(
        ':drain\nlet forever = tokio::spawn(std::future::pending::<()>()); println!("a");'
    )
    kernel.wait_for(lambda: cell.lines)
    kernel.stop()
    kernel.finish(cell)
    assert cell.ename == "Interrupted"
    # The cell's variables are kept.
    kernel.ok("forever.abort(); assert!(forever.await.unwrap_err().is_cancelled());")


def test_tasks_of_a_loop_at_rest_are_not_waited_for(kernel: Kernel) -> None:
    cell = kernel.ok(
        ":drain\nlet mainloop = EventLoop::new(); mainloop.spawn(async { println!(\"at rest\") });"
    )
    assert cell.outputs == []


@pytest.mark.parametrize("argument", ["soon", "-1", "NaN"])
def test_a_time_that_is_none_is_refused(kernel: Kernel, argument: str) -> None:
    cell = kernel.fails(f":drain {argument}\n1", "Error")
    assert argument in cell.evalue


@pytest.fixture
def draining() -> Iterator[None]:
    """The kernel's option, as CI sets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "MORCEAUX_DRAIN", "30")
        yield


def test_an_option_drains_every_cell_of_a_notebook(draining: None) -> None:
    codes = ["tokio::spawn(std::future::pending::<()>()).abort_handle().abort();", LATE, LATE]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    NotebookClient(notebook, kernel_name=NAME, timeout=90).execute()
    for cell in notebook.cells[1:]:
        assert "".join(output.text for output in cell.outputs) == "late\nlater\n"


def test_papermill_sees_what_tasks_print(draining: None, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LATE)])
    notebook.metadata["kernelspec"] = {"name": NAME, "display_name": NAME, "language": "rust"}
    source, done = tmp_path / "source.ipynb", tmp_path / "done.ipynb"
    nbformat.write(notebook, source)
    papermill.execute_notebook(str(source), str(done), progress_bar=False)
    (cell,) = nbformat.read(done, as_version=4).cells
    assert "".join(output.text for output in cell.outputs) == "late\nlater\n"


def test_with_the_option_a_cell_waits_only_for_its_own_tasks(draining: None) -> None:
    with short_folder() as cache, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "MORCEAUX_DRAIN", "1")
        with ended(Kernel(cache)) as kernel:
            spawner = kernel.ok("tokio::spawn(std::future::pending::<()>());")
            assert "still going on after 1 s" in spawner.stderr
            cell = kernel.ok("1 + 1")
            assert (cell.text, cell.stderr) == ("2", "")
