"""The messaging protocol, see <https://jupyter-client.readthedocs.io/en/stable/messaging.html>."""

from __future__ import annotations

from datetime import datetime

import pytest

from client import Kernel

REQUESTS = [
    ("kernel_info_request", {}),
    ("complete_request", {"code": "Strin", "cursor_pos": 5}),
    ("inspect_request", {"code": "String", "cursor_pos": 6, "detail_level": 0}),
    ("is_complete_request", {"code": "1"}),
    ("comm_info_request", {}),
    ("comm_info_request", {"target_name": "own"}),
    ("history_request", {"output": False, "raw": True, "hist_access_type": "tail", "n": 3}),
]


def test_kernel_info_is_answered_before_a_cell_that_came_earlier(cold_kernel: Kernel) -> None:
    cell = cold_kernel.start("1")
    reply = cold_kernel.ask("kernel_info_request").reply
    assert cell.reply_message is None, "evcxr was ready at once, so that this shows nothing"
    assert reply["language_info"]["name"] == "rust"
    assert reply["protocol_version"].startswith("5.")
    assert cold_kernel.finish(cell).text == "1"
    assert cell.count == 1, "the first prompt"


def test_headers_hold_what_clients_rely_on(kernel: Kernel) -> None:
    request = kernel.ask("kernel_info_request")
    header = request.reply_message["header"]
    assert header["version"] == request.reply["protocol_version"]
    assert header["session"] and header["username"]
    # jupyter_client leaves a date as text where the seconds have more than six decimals.
    assert isinstance(header["date"], datetime), header["date"]


@pytest.mark.parametrize("msg_type, content", REQUESTS, ids=[kind for kind, _ in REQUESTS])
def test_a_request_is_answered_between_busy_and_idle(
    kernel: Kernel, msg_type: str, content: dict[str, object]
) -> None:
    assert kernel.ask(msg_type, **content).reply["status"] in ("ok", "complete")


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_an_unknown_request_gets_an_error_of_its_own_type(kernel: Kernel, channel: str) -> None:
    request = kernel.ask("invented_request", channel, anything=[1, 2])
    assert request.status == "error"
    assert "invented_request" in request.reply["evalue"]


@pytest.mark.parametrize("msg_type", ["connect_request", "debug_request", "interrupt_request"])
def test_a_request_of_another_channel_is_not_echoed(kernel: Kernel, msg_type: str) -> None:
    assert kernel.ask(msg_type).reply_message is not None


def test_kernel_info_is_answered_on_control_while_a_cell_runs(kernel: Kernel) -> None:
    cell = kernel.start("std::future::pending::<()>().await")
    info = kernel.ask("kernel_info_request", "control")
    assert info.reply["implementation"] == "morceaux"
    assert not cell.is_done
    kernel.stop()
    kernel.finish(cell)


def test_requests_during_a_cell_leave_the_kernel_idle_behind_it(kernel: Kernel) -> None:
    # The client refuses a cell that is said to be busy after its idle.
    for _ in range(5):
        cell = kernel.start("1")
        while not cell.is_done:
            kernel.ask("kernel_info_request")
            kernel.ask("kernel_info_request", "control")


def test_completion_and_inspection_answer_while_a_cell_runs(kernel: Kernel) -> None:
    cell = kernel.start('println!("on"); std::future::pending::<()>().await')
    kernel.wait_for(lambda: cell.stdout)
    kernel.ask("complete_request", code="Strin", cursor_pos=5)
    kernel.ask("inspect_request", code="String", cursor_pos=6, detail_level=0)
    assert not cell.is_done
    kernel.stop()
    kernel.finish(cell)


@pytest.mark.parametrize(
    "code, status",
    [
        ("", "complete"),
        ("let x = f().await?;", "complete"),
        ("loop { tokio::select! { _ = f() => break } }", "complete"),
        (":dep serde", "complete"),
        ("fn f() {", "incomplete"),
        ("f(1,", "incomplete"),
        ('println!("a', "incomplete"),
        ("let x =", "incomplete"),
        ("fn f() }", "invalid"),
        ("let let", "invalid"),
    ],
)
def test_is_complete_tells_what_can_be_run(kernel: Kernel, code: str, status: str) -> None:
    assert kernel.ask("is_complete_request", code=code).reply["status"] == status


def test_a_method_of_a_variable_is_completed(kernel: Kernel) -> None:
    kernel.ok("let mut texte = String::new();")
    # Offsets count characters, of which the first two here have several bytes.
    code = '"é𝔸"; texte.push_s'
    reply = kernel.ask("complete_request", code=code, cursor_pos=len(code)).reply
    assert any(match.startswith("push_str") for match in reply["matches"]), reply
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "push_s"


def test_the_methods_behind_a_short_beginning_hold_push_str(kernel: Kernel) -> None:
    kernel.ok("let mut s = String::new();")
    reply = kernel.ask("complete_request", code="s.pu", cursor_pos=4).reply
    assert any(match.startswith("push_str") for match in reply["matches"]), reply


def test_a_type_of_std_is_explained(kernel: Kernel) -> None:
    reply = kernel.ask("inspect_request", code="String::new()", cursor_pos=3, detail_level=0).reply
    assert reply["found"], reply
    assert "String" in reply["data"]["text/plain"]


def test_nothing_is_found_where_nothing_stands(kernel: Kernel) -> None:
    reply = kernel.ask("inspect_request", code="   ", cursor_pos=1, detail_level=0).reply
    assert (reply["status"], reply["found"]) == ("ok", False)


@pytest.mark.parametrize("cursor_pos", [0, 1, 1000])
def test_a_cursor_may_be_anywhere(kernel: Kernel, cursor_pos: int) -> None:
    assert kernel.ask("complete_request", code="é.", cursor_pos=cursor_pos).status == "ok"
    inspect = kernel.ask("inspect_request", code="é.", cursor_pos=cursor_pos, detail_level=1)
    assert inspect.status == "ok"


def test_each_cell_has_the_next_number_also_behind_an_error(kernel: Kernel) -> None:
    first = kernel.ok("1").count
    assert kernel.fails('panic!("as wanted")', "Panic").count == first + 1
    assert kernel.ok("2").count == first + 2


def test_a_silent_cell_is_not_counted_and_shows_nothing(kernel: Kernel) -> None:
    count = kernel.ok("1").count
    silent = kernel.run("20 + 1", silent=True)
    assert (silent.status, silent.published) == ("ok", [])
    failing = kernel.run('panic!("unheard")', silent=True)
    assert (failing.status, failing.published) == ("error", [])
    kept_out = kernel.run("20 + 2", store_history=False)
    assert kept_out.text == "22"
    assert kernel.ok("2").count == count + 1


def test_cells_behind_an_error_are_aborted(kernel: Kernel) -> None:
    cells = [kernel.start(code) for code in ('panic!("as wanted")', "1", "2")]
    for cell in cells:
        kernel.finish(cell)
    assert [cell.status for cell in cells] == ["error", "aborted", "aborted"]
    assert cells[1].published == cells[2].published == []
    assert kernel.ok("3").text == "3"


def test_cells_behind_a_success_run(kernel: Kernel) -> None:
    cells = [kernel.start(code) for code in ("1", "2", "3")]
    assert [kernel.finish(cell).text for cell in cells] == ["1", "2", "3"]


def test_cells_behind_an_error_run_if_their_sender_wants_it(kernel: Kernel) -> None:
    failing = kernel.start('panic!("as wanted")', stop_on_error=False)
    behind = kernel.start("1")
    assert kernel.finish(failing).status == "error"
    assert kernel.finish(behind).text == "1"


def test_an_interrupt_while_nothing_runs_does_nothing(kernel: Kernel) -> None:
    for _ in range(3):
        assert kernel.stop().status == "ok"
    waiting = "tokio::time::sleep(std::time::Duration::from_millis(50)).await; 5"
    assert kernel.ok(waiting).text == "5"
