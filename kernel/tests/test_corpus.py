"""The corpus of cells, group by group in one kernel: in order, again, and in reversed order."""

from __future__ import annotations

from pathlib import Path

import pytest

import corpus
from client import Kernel
from corpus import Group, MalformedError

GROUPS = corpus.groups()
LANGUAGE = [group for group in GROUPS if not group.dependencies]


@pytest.mark.parametrize("group", corpus.parameters(LANGUAGE))
def test_the_cells_of_a_group_do_what_they_say(kernel: Kernel, group: Group) -> None:
    corpus.check(kernel, group)


def test_the_corpus_is_large() -> None:
    assert len(GROUPS) >= 60
    assert sum(len(group.samples) for group in GROUPS) >= 150


@pytest.mark.parametrize(
    "text, line",
    [
        ("//% cell\n1\n", 1),
        ("//% about nothing\n", 1),
        ("//% about code\n1\n//% cell\n1\n", 2),
        ("//% about order\n//% cell\n1\n//= 1\n2\n", 5),
        ("//% about directives\n//% cell\n1\n//% once\n", 4),
        ("//% about directives\n//% cell tiemout=1\n", 2),
        ("//% about printing\n//% cell\n1\n//> a\n//~ a\n", 5),
        ("//% about showing\n//% cell\n1\n//@ text/html\n", 4),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "malformed.cells"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MalformedError, match=f"^malformed.cells:{line}: "):
        corpus.parse(path)
