"""What one session has compiled of the crates of a registry, the next one uses."""

from __future__ import annotations

import os
from pathlib import Path

from client import Kernel
from conftest import ended

CODE = ':dep itoa = "1"\nitoa::Buffer::new().format(41 + 1).to_owned()'
RESULT = '"42"'


def entries(cache: Path) -> dict[Path, float]:
    """What is kept, with when it was used."""
    kept = (cache / "morceaux/dependencies").glob("[!.]*")
    return {entry: (entry / "used").stat().st_mtime for entry in kept}


def libraries(cache: Path) -> list[Path]:
    """The compiled libraries that are kept."""
    return list((cache / "morceaux/dependencies").glob("[!.]*/libitoa*.rlib"))


def test_the_next_session_compiles_nothing_anew(cache: Path) -> None:
    with ended(Kernel(cache)) as kernel:
        assert kernel.ok(CODE).text == RESULT
    before = entries(cache)
    (library,) = libraries(cache)
    os.utime(library.parent / "used", (0, 0))
    with ended(Kernel(cache)) as kernel:
        assert kernel.ok(CODE).text == RESULT
    assert entries(cache).keys() == before.keys()
    assert entries(cache)[library.parent] > 0


def test_what_was_damaged_is_compiled_again(cache: Path) -> None:
    with ended(Kernel(cache)) as kernel:
        assert kernel.ok(CODE).text == RESULT
    (library,) = libraries(cache)
    whole = library.stat().st_size
    os.truncate(library, whole // 2)
    with ended(Kernel(cache)) as kernel:
        assert kernel.ok(CODE).text == RESULT
    assert library.stat().st_size == whole


def test_sessions_compile_the_same_at_once(cache: Path) -> None:
    # They share nothing else, since each kernel is looked after alone.
    other_cache = cache / "other"
    shared = cache / "morceaux/dependencies"
    shared.mkdir(parents=True)
    (other_cache / "morceaux").mkdir(parents=True)
    (other_cache / "morceaux/dependencies").symlink_to(shared)
    with ended(Kernel(cache)) as one, ended(Kernel(other_cache)) as other:
        cells = [(kernel, kernel.start(CODE)) for kernel in (one, other)]
        assert [kernel.finish(cell).text for kernel, cell in cells] == [RESULT, RESULT]
    assert len(libraries(cache)) == 1
    assert not list(shared.glob(".*"))


def test_no_more_is_kept_than_was_said(cache: Path) -> None:
    with ended(Kernel(cache, {"MORCEAUX_DEPENDENCY_CACHE": "1000"})) as kernel:
        assert kernel.ok(CODE).text == RESULT
    assert not libraries(cache)


def test_nothing_is_kept_where_that_was_said(cache: Path) -> None:
    with ended(Kernel(cache, {"MORCEAUX_DEPENDENCY_CACHE": "0"})) as kernel:
        assert kernel.ok(CODE).text == RESULT
    assert not (cache / "morceaux/dependencies").exists()
