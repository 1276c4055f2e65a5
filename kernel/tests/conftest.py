"""Kernels for the tests, each with a cache folder of its own, so that what it leaves is seen."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client import Kernel


class Gate:
    """A file for which cells and tasks wait, so that a test says when they go on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def wait(self) -> str:
        """The statement that waits in a cell or in a task."""
        path = json.dumps(str(self.path))
        return (
            f"while !std::path::Path::new({path}).exists() "
            "{ tokio::time::sleep(std::time::Duration::from_millis(5)).await; }"
        )

    def open(self) -> None:
        """Lets everybody go on."""
        self.path.touch()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path leaves room: that of a socket has a hundred bytes or so."""
    with tempfile.TemporaryDirectory(prefix="morceaux-") as folder:
        yield Path(folder)


@contextmanager
def started_kernel() -> Iterator[Kernel]:
    """A kernel that must leave nothing behind."""
    with short_folder() as cache:
        kernel = Kernel(cache)
        try:
            kernel.connect()
            yield kernel
            if kernel.is_open:
                kernel.shut_down()
        finally:
            kernel.close()


@pytest.fixture(scope="session", autouse=True)
def own_folders() -> Iterator[None]:
    """Keeps the user's folders clean of what tests start by other means than `Kernel`."""
    with short_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "XDG_CACHE_HOME", str(folder / "cache"))
        patch.setitem(os.environ, "JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        yield
        left = [path for path in folder.glob("cache/morceaux/sessions/*") if path.is_dir()]
        assert not left, f"sessions that were not ended: {left}"


@pytest.fixture(scope="module")
def kernel_of_module() -> Iterator[Kernel]:
    """The kernel behind `kernel`."""
    with started_kernel() as kernel:
        yield kernel


@pytest.fixture
def kernel(kernel_of_module: Kernel) -> Iterator[Kernel]:
    """One kernel for all tests of a file, at rest. The tests use names of their own."""
    yield kernel_of_module
    kernel_of_module.settle()


@pytest.fixture
def fresh_kernel() -> Iterator[Kernel]:
    """A kernel for one test."""
    with started_kernel() as kernel:
        yield kernel


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[], Gate]:
    """Makes gates, which are closed."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate(tmp_path / f"gate{len(made)}"))
        return made[-1]

    return make
