"""The groups of the corpus that need the crates of the web: servers and clients."""

from __future__ import annotations

import pytest

import corpus
from client import Kernel
from corpus import Group

GROUPS = [group for group in corpus.groups() if group.is_of_web]


@pytest.mark.parametrize("group", corpus.parameters(GROUPS))
def test_the_cells_of_a_group_do_what_they_say(kernel: Kernel, group: Group) -> None:
    corpus.check(kernel, group)
