"""Whatever anybody sends to the kernel's sockets, the next request is answered."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import zmq
from jupyter_client.session import Session

from client import Kernel

CHANNELS = ["shell", "control", "stdin"]
DELIMITER = b"<IDS|MSG>"

# What carries no valid signature.
UNSIGNED = {
    "garbage": [b"garbage"],
    "nothing": [b""],
    "bytes": [b"\xff" * 300, b"\x00"],
    "many frames": [b"x"] * 200,
    "only a delimiter": [DELIMITER],
    "no contents": [DELIMITER, b"0" * 64],
    "a signature that is not hexadecimal": [DELIMITER, b"zz", b"{}", b"{}", b"{}", b"{}"],
    "no signature": [DELIMITER, b"", b"{}", b"{}", b"{}", b"{}"],
}

# What is signed, but no request. Each is the header's and the content's text.
SIGNED = {
    "a header without fields": ("{}", "{}"),
    "a header that is a list": ("[1]", "{}"),
    "a header that is no JSON": ("{", "{}"),
    "a header that is no UTF-8": (b"\xff", "{}"),
    "content that is no JSON": (None, "{"),
    "content that is a list": (None, "[]"),
    "content without fields": (None, "{}"),
    "content with wrong types": (None, '{"code": 1, "cursor_pos": "a", "silent": []}'),
    "a cursor before the code": (None, '{"code": ["a"], "cursor_pos": -1}'),
}


@contextmanager
def intruder(kernel: Kernel, channel: str, kind: int = zmq.DEALER) -> Iterator[zmq.Socket]:
    """A socket of somebody else."""
    own = zmq.Context.instance().socket(kind)
    own.connect(kernel.manager._make_url(channel))
    try:
        yield own
    finally:
        own.close(linger=1000)


def check_alive(kernel: Kernel) -> None:
    """The kernel answers at once on both channels."""
    assert kernel.ask("kernel_info_request").status == "ok"
    assert kernel.ask("kernel_info_request", "control").status == "ok"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("frames", UNSIGNED.values(), ids=UNSIGNED.keys())
def test_what_is_not_signed_is_dropped(kernel: Kernel, channel: str, frames: list[bytes]) -> None:
    with intruder(kernel, channel) as own:
        own.send_multipart(frames)
        check_alive(kernel)


@pytest.mark.parametrize("msg_type", ["execute_request", "complete_request", "shutdown_request"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_request_with_a_wrong_signature_has_no_effect(
    kernel: Kernel, channel: str, msg_type: str
) -> None:
    stranger = Session(key=b"another key")
    content = {"code": 'println!("obeyed")', "cursor_pos": 1, "restart": False}
    with intruder(kernel, channel) as own:
        stranger.send(own, msg_type, content)
        # The client refuses whatever is published for a request that it does not know.
        check_alive(kernel)
        assert not own.poll(0), "a stranger was answered"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("cut", range(1, 6))
def test_a_message_that_was_cut_is_dropped(kernel: Kernel, channel: str, cut: int) -> None:
    session = kernel.client.session
    message = session.msg("kernel_info_request", {})
    kernel.ignore(message["header"]["msg_id"])
    with intruder(kernel, channel) as own:
        own.send_multipart(session.serialize(message)[:cut])
        check_alive(kernel)


@pytest.mark.parametrize("msg_type", ["execute_request", "complete_request", "is_complete_request"])
@pytest.mark.parametrize("header, content", SIGNED.values(), ids=SIGNED.keys())
def test_a_signed_message_that_is_no_request_does_no_harm(
    kernel: Kernel, msg_type: str, header: str | bytes | None, content: str
) -> None:
    session = kernel.client.session
    proper = session.msg_header(msg_type)
    kernel.ignore(proper["msg_id"])
    proper_header = json.dumps(proper, default=str)
    header = proper_header if header is None else header
    texts = [header, "{}", "{}", content]
    frames = [text if isinstance(text, bytes) else text.encode() for text in texts]
    for channel in CHANNELS:
        with intruder(kernel, channel) as own:
            own.send_multipart([DELIMITER, session.sign(frames), *frames])
            check_alive(kernel)
            if channel != "stdin" and header == proper_header:
                # It is known who sent it and what for, so it is answered.
                assert own.poll(10_000)
                answered = own.recv_multipart()
                reply_header, reply = json.loads(answered[2]), json.loads(answered[5])
                assert reply_header["msg_type"] == msg_type.replace("request", "reply")
                assert reply["status"] == "error" and reply["evalue"]


def test_a_client_may_leave_out_what_has_a_default(kernel: Kernel) -> None:
    session = kernel.client.session
    message = session.msg("execute_request", {"code": "1 + 1"})
    kernel.ignore(message["header"]["msg_id"])
    with intruder(kernel, "shell") as own:
        own.send_multipart(session.serialize(message))
        assert own.poll(60_000)
        assert json.loads(own.recv_multipart()[5])["status"] == "ok"


def test_a_request_that_is_sent_again_is_answered_to_its_sender(kernel: Kernel) -> None:
    kernel.ok("let mut times = 0;")
    session = kernel.client.session
    message = session.msg("execute_request", {"code": "times += 1; times", "silent": False})
    kernel.ignore(message["header"]["msg_id"])
    frames = session.serialize(message)
    with intruder(kernel, "shell") as own, intruder(kernel, "shell") as other:
        for sender in (own, other, own):
            sender.send_multipart(frames)
            assert sender.poll(60_000)
            reply = session.feed_identities(sender.recv_multipart())[1]
            assert json.loads(reply[4])["status"] == "ok"
        assert not own.poll(0) and not other.poll(0)
    assert kernel.ok("times").text == "3"


def test_a_flood_of_requests_is_answered_request_by_request(kernel: Kernel) -> None:
    requests = [kernel.send("kernel_info_request") for _ in range(5_000)]
    kernel.wait_for(lambda: all(request.is_done for request in requests))
    assert {request.status for request in requests} == {"ok"}


def test_clients_that_vanish_before_their_reply_cost_nobody_anything(kernel: Kernel) -> None:
    process = psutil.Process(kernel.manager.provisioner.pid)
    files = process.num_fds()
    session = kernel.client.session
    for number in range(50):
        with intruder(kernel, "shell") as own:
            content = {"code": f"{number}", "silent": True}
            kind = "execute_request" if number % 10 == 0 else "kernel_info_request"
            message = session.msg(kind, content)
            kernel.ignore(message["header"]["msg_id"])
            own.send_multipart(session.serialize(message))
            own.close(linger=1000 if number % 2 else 0)
    check_alive(kernel)
    assert kernel.ok("1 + 1").text == "2"
    kernel.wait_for(lambda: process.num_fds() <= files)


def test_a_cell_of_many_megabytes_runs(kernel: Kernel) -> None:
    text = "x" * (20 << 20)
    assert kernel.ok(f'"{text}".len()').text == str(len(text))


def test_what_belongs_to_a_session_is_its_owners(kernel: Kernel) -> None:
    (folder,) = kernel.sessions()
    shared = stat.S_IRWXG | stat.S_IRWXO
    for path in (folder, folder.parent, Path(kernel.manager.connection_file)):
        assert not path.stat().st_mode & shared, path
    listening = [
        connection.laddr.ip
        for process in kernel.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 5
    assert set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize("channel", [*CHANNELS, "iopub", "hb"])
def test_a_client_that_does_not_speak_zeromq_does_no_harm(kernel: Kernel, channel: str) -> None:
    port = getattr(kernel.manager, f"{channel}_port")
    for said in (b"GET / HTTP/1.1\r\nHost: kernel\r\n\r\n", b"\xff" * 64, b""):
        with socket.create_connection((kernel.manager.ip, port)) as own:
            own.sendall(said)
            own.shutdown(socket.SHUT_WR)
        check_alive(kernel)


def beats(kernel: Kernel) -> bool:
    """Whether a heartbeat comes back as it was sent."""
    with intruder(kernel, "hb", zmq.REQ) as own:
        own.send(b"\x00 beat")
        return bool(own.poll(5000)) and own.recv_multipart() == [b"\x00 beat"]


def test_the_heart_beats_also_while_a_cell_computes(kernel: Kernel) -> None:
    assert beats(kernel)
    cell = kernel.start('println!("on"); loop { std::hint::spin_loop(); }')
    kernel.wait_for(lambda: cell.stdout)
    assert beats(kernel)
    kernel.stop()
    kernel.stop()
    kernel.finish(cell)


def test_the_heart_goes_on_behind_something_else(kernel: Kernel) -> None:
    with intruder(kernel, "hb") as own:
        own.send_multipart([b"no", b"heartbeat"])
        own.send(b"")
        assert beats(kernel)


def test_cells_run_as_before_behind_all_of_this(kernel: Kernel) -> None:
    assert kernel.ok("1 + 1").text == "2"
