"""What cells are compiled with: no more than is needed, and nothing of it is seen by the user's code."""

from __future__ import annotations

import os

from client import Kernel


def test_a_cell_finds_the_programs_that_the_user_finds(kernel: Kernel) -> None:
    path = kernel.ok('print!("{}", std::env::var("PATH").unwrap())').stdout
    folders = path.split(":")
    users = os.environ["PATH"].split(":")
    assert folders[: len(users)] == users
    assert not [folder for folder in folders if str(kernel.cache) in folder]
    home = kernel.ok('print!("{:?}", std::env::var("CARGO_HOME").ok())').stdout
    expected = os.environ.get("CARGO_HOME")
    assert home == ("None" if expected is None else f'Some("{expected}")')


def test_a_cell_needs_no_cargo_where_nothing_else_has_changed(fresh_kernel: Kernel) -> None:
    fresh_kernel.ok("let before = 1;")
    (session,) = fresh_kernel.sessions()
    cargo = session / "cargo" / "bin" / "real-cargo"
    target = cargo.readlink()
    cargo.unlink()
    cargo.symlink_to(session / "nothing")
    assert fresh_kernel.ok("before + 1").text == "2"
    failed = fresh_kernel.run(":opt 1\nbefore + 2")
    assert failed.status == "error", "another manifest needs cargo"
    cargo.unlink()
    cargo.symlink_to(target)
    assert ("result", {"text/plain": "3"}) in fresh_kernel.ok(":opt 1\nbefore + 2").outputs


def test_the_store_of_variables_is_the_one_that_is_compiled_already(kernel: Kernel) -> None:
    kernel.ok("let kept = 1;")
    shown = kernel.ok("(kept, std::any::type_name_of_val(evcxr_variable_store))").text
    assert shown == '(1, "morceaux::variable_store::VariableStore")'
