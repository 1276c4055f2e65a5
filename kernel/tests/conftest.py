"""Kernels for the tests, each with a cache folder of its own, so that what it leaves is seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client import Kernel


@contextmanager
def started_kernel() -> Iterator[Kernel]:
    """A kernel that must leave nothing behind."""
    # Not pytest's own folders: the path of a socket below it may only have some hundred bytes.
    with tempfile.TemporaryDirectory(prefix="morceaux-") as folder:
        kernel = Kernel(Path(folder))
        try:
            yield kernel
        except BaseException:
            kernel.close()
            raise
        if kernel.is_open:
            kernel.shut_down()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """One kernel for all tests of a file: they use names of their own."""
    with started_kernel() as kernel:
        yield kernel


@pytest.fixture
def fresh_kernel() -> Iterator[Kernel]:
    """A kernel for one test."""
    with started_kernel() as kernel:
        yield kernel
