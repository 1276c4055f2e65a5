"""evcxr's commands: they work, and none of them takes the runtime away from the cells."""

from __future__ import annotations

import pytest

from client import Kernel

AWAITS = "tokio::spawn(async { 2 }).await.unwrap()"


def test_variables_and_their_types_are_listed(kernel: Kernel) -> None:
    kernel.ok("let listed = vec![1u8];")
    assert "listed: Vec<u8>" in (kernel.ok(":vars").text or "")
    assert "Vec<u8>" in (kernel.ok(":type listed").text or "")


@pytest.mark.parametrize("code", [":invented", ":dep"])
def test_a_command_that_cannot_be_followed_is_an_error(kernel: Kernel, code: str) -> None:
    cell = kernel.run(code)
    assert (cell.status, code in cell.traceback) == ("error", True), cell


@pytest.mark.parametrize("command", [":opt 2", ":cache 100", ":timing\n:timing", ":help", ":version"])
def test_cells_await_behind_a_command(kernel: Kernel, command: str) -> None:
    kernel.ok(command)
    assert kernel.ok(AWAITS).text == "2"


# These two cost all variables, so they come last.
def test_the_highest_level_is_that_of_a_release(kernel: Kernel) -> None:
    overflow = "std::hint::black_box(255_u8) + std::hint::black_box(1)"
    assert "overflow" in kernel.fails(overflow, "Panic").evalue
    assert kernel.ok(f":opt 3\nprintln!(\"{{}}\", {overflow});").lines == ["0"]
    kernel.ok(":opt 2")


def test_a_restart_of_the_process_loses_variables_and_nothing_else(kernel: Kernel) -> None:
    kernel.ok("fn kept_item() -> u8 { 1 }\nlet lost = 1;")
    kernel.ok(":restart")
    assert kernel.ok(f"kept_item() + {AWAITS}").text == "3"
    kernel.fails("lost", "CompilationError")


def test_clearing_the_session_leaves_a_session_that_awaits(kernel: Kernel) -> None:
    kernel.ok("fn cleared_item() -> u8 { 1 }\nlet cleared = 1;")
    kernel.ok(":clear")
    kernel.fails("cleared", "CompilationError")
    kernel.fails("cleared_item()", "CompilationError")
    assert kernel.ok(AWAITS).text == "2"
    assert kernel.ok('display(&Html("<b>a</b>"));').displays == [{"text/html": "<b>a</b>"}]
