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


@pytest.fixture
def cache() -> Iterator[Path]:
    """An empty cache folder."""
    with short_folder() as folder:
        yield folder


class Reserve:
    """Kernels that set themselves up while the tests still use others, which saves minutes."""

    def __init__(self, caches: Path) -> None:
        self._caches = caches
        self._count = 0
        self._next = self.start()

    def start(self) -> Kernel:
        """Starts a kernel."""
        self._count += 1
        return Kernel(self._caches / str(self._count))

    def take(self) -> Kernel:
        """A kernel that has been started a while ago."""
        taken, self._next = self._next, self.start()
        return taken

    def close(self) -> None:
        """Ends the kernel that nobody has taken."""
        with ended(self._next):
            pass


@contextmanager
def ended(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel that ends behind its tests, and must leave nothing."""
    try:
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


@pytest.fixture(scope="session")
def reserve(own_folders: None) -> Iterator[Reserve]:
    """The kernels of the fixtures below."""
    with short_folder() as caches:
        kernels = Reserve(caches)
        yield kernels
        kernels.close()


@pytest.fixture(scope="module")
def kernel_of_module(reserve: Reserve) -> Iterator[Kernel]:
    """The kernel behind `kernel`."""
    with ended(reserve.take()) as kernel:
        yield kernel


@pytest.fixture
def kernel(kernel_of_module: Kernel) -> Iterator[Kernel]:
    """One kernel for all tests of a file, at rest. The tests use names of their own."""
    yield kernel_of_module
    kernel_of_module.settle()


@pytest.fixture
def fresh_kernel(reserve: Reserve) -> Iterator[Kernel]:
    """A kernel for one test."""
    with ended(reserve.take()) as kernel:
        yield kernel


@pytest.fixture
def cold_kernel(reserve: Reserve) -> Iterator[Kernel]:
    """A kernel for one test, in which evcxr is not set up yet."""
    with ended(reserve.start()) as kernel:
        yield kernel


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[], Gate]:
    """Makes gates, which are closed."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate(tmp_path / f"gate{len(made)}"))
        return made[-1]

    return make
