"""A strict client: drives the installed kernel as front ends do, and refuses what they forgive."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from request import Cell, ProtocolError, Request, validate

NAME = "morceaux"

# On a loaded machine a cell takes seconds to compile, and the first one waits for evcxr.
TIMEOUT = 90.0

# How long the kernel and its cell process may take to end.
SHUTDOWN_TIMEOUT = 10.0

# How long a request that tries whether the subscription has arrived waits for what it publishes.
CONNECT_TIMEOUT = 0.5


def program() -> Path:
    """The installed kernel program, as the kernelspec names it."""
    return Path(KernelSpecManager().get_kernel_spec(NAME).argv[0])


class Kernel:
    """A kernel of its own with a client on all of its channels.

    `cache` is the folder in which the kernel keeps what belongs to its session; `environment` is what
    differs from the tests' own; `through` are the words of a command that starts the kernel, whose own
    words follow; `own_program` is another program than the installed one.
    """

    def __init__(
        self,
        cache: Path,
        environment: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
        own_program: Path | None = None,
    ) -> None:
        self.cache = cache
        self.requests: dict[str, Request] = {}
        # Requests of which not every message must come, see `ignore`.
        self._ignored: set[str] = set()
        self._heard = False
        self.is_open = True
        self.manager = KernelManager(kernel_name=NAME)
        spec = self.manager.kernel_spec
        spec.argv = [*through, str(own_program or spec.argv[0]), *spec.argv[1:]]
        own = {"XDG_CACHE_HOME": str(cache), **(environment or {})}
        self.manager.start_kernel(env=os.environ | own)
        self.client = self.manager.blocking_client()
        self.client.start_channels(hb=False)
        self._channels = {
            channel.socket: channel
            for channel in (
                self.client.iopub_channel,
                self.client.shell_channel,
                self.client.control_channel,
                self.client.stdin_channel,
            )
        }
        self._poller = zmq.Poller()
        for socket in self._channels:
            self._poller.register(socket, zmq.POLLIN)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    # --- requests ---------------------------------------------------------------------------------

    def start(self, code: str, **options: Any) -> Cell:
        """Sends a cell. Options are fields of the execute_request."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        cell = self.send("execute_request", **content | options)
        assert isinstance(cell, Cell)
        return cell

    def run(self, code: str, timeout: float = TIMEOUT, **options: Any) -> Cell:
        """Runs a cell to its end, whatever that is."""
        return self.finish(self.start(code, **options), timeout)

    def ok(self, code: str, timeout: float = TIMEOUT) -> Cell:
        """Runs a cell that must succeed."""
        cell = self.run(code, timeout)
        assert cell.status == "ok", cell
        return cell

    def fails(self, code: str, ename: str) -> Cell:
        """Runs a cell that must end with the error of this name."""
        cell = self.run(code)
        assert (cell.status, cell.ename) == ("error", ename), cell
        return cell

    def stop(self) -> Request:
        """Presses the stop button."""
        return self.ask("interrupt_request", channel="control")

    def ask(self, msg_type: str, channel: str = "shell", **content: Any) -> Request:
        """Sends a request that is no cell, and waits for all of its answer."""
        return self.finish(self.send(msg_type, channel, **content))

    def question(self, cell: Cell, index: int = 0) -> dict[str, Any]:
        """Waits until a cell has asked its user for the `index`th time."""
        self.wait_for(lambda: len(cell.questions) > index, what="a question")
        return cell.questions[index]

    def answer(self, question: dict[str, Any], value: str, named: bool = True) -> None:
        """Types an answer. Clients need not say to which question."""
        parent = question if named else None
        message = self.client.session.msg("input_reply", {"value": value}, parent=parent)
        self.client.stdin_channel.send(message)

    def ignore(self, msg_id: str) -> None:
        """Accepts whatever comes, or does not come, for a request that was sent by other means."""
        self._ignored.add(msg_id)

    def send(self, msg_type: str, channel: str = "shell", **content: Any) -> Any:
        """Sends a request."""
        message = self.client.session.msg(msg_type, content)
        kind = Cell if msg_type == "execute_request" else Request
        request = kind(message)
        self.requests[request.id] = request
        getattr(self.client, f"{channel}_channel").send(message)
        return request

    # --- waiting ----------------------------------------------------------------------------------

    def finish(self, request: Any, timeout: float = TIMEOUT) -> Any:
        """Waits until a request is answered."""
        self.wait_for(lambda: request.is_done, timeout, f"the end of {request.type}")
        if isinstance(request, Cell):
            request.check_done()
        return request

    def wait_for(
        self, condition: Callable[[], Any], timeout: float = TIMEOUT, what: str = "the condition"
    ) -> None:
        """Takes messages until a condition holds that depends on them."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                cells = [r for r in self.requests.values() if isinstance(r, Cell)]
                raise AssertionError(
                    f"{what} has not come in {timeout} s; last cells: {cells[-3:]}"
                )
            if not self._receive(min(left, 1.0)) and not self.manager.is_alive():
                raise AssertionError(f"the kernel has ended before {what}")

    def _receive(self, timeout: float) -> bool:
        """Takes the messages that are there, else the next one; returns whether one came."""
        ready = self._poller.poll(timeout * 1000)
        for socket, _ in ready:
            channel = self._channels[socket]
            message = channel.get_msg(timeout=0)
            validate(message)
            if channel is self.client.iopub_channel:
                self._take_published(message)
            elif channel is self.client.stdin_channel:
                self._take_question(message)
            else:
                self._take_reply(message)
        return bool(ready)

    def _take_published(self, message: dict[str, Any]) -> None:
        parent = message["parent_header"].get("msg_id")
        state = message["content"].get("execution_state")
        self._heard = True
        if parent in self._ignored or (not parent and state == "starting"):
            return
        if parent not in self.requests:
            raise ProtocolError(f"nobody's child was published: {message}")
        self.requests[parent].take_published(message)

    def _take_question(self, message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] != "input_request":
            raise ProtocolError(f"no question: {message}")
        self.requests[message["parent_header"]["msg_id"]].questions.append(message)

    def _take_reply(self, message: dict[str, Any]) -> None:
        parent = message["parent_header"].get("msg_id")
        if parent in self._ignored:
            return
        if parent not in self.requests:
            raise ProtocolError(f"nobody's reply was sent: {message}")
        self.requests[parent].take_reply(message)

    def _connect(self) -> None:
        """Asks for something until iopub is heard: what was published before is lost."""
        deadline = time.monotonic() + TIMEOUT
        while not self._heard:
            assert time.monotonic() < deadline, "nothing is published"
            message = self.client.session.msg("kernel_info_request", {})
            self.ignore(message["header"]["msg_id"])
            self.client.shell_channel.send(message)
            while not self._heard and self._receive(CONNECT_TIMEOUT):
                pass

    # --- the end ----------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """The kernel's process, and all that it and its cells have started."""
        kernel = psutil.Process(self.manager.provisioner.pid)
        return [kernel, *kernel.children(recursive=True)]

    def process_names(self) -> set[str]:
        """The names of these processes, as far as they have not ended meanwhile."""
        names = set()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                names.add(process.name())
        return names

    def sessions(self) -> list[Path]:
        """The session folders that exist."""
        folder = self.cache / "morceaux" / "sessions"
        return [path for path in folder.glob("*") if path.is_dir()]

    def settle(self) -> None:
        """Stops the cells that still run after a test, and takes what has come late."""
        running = [r for r in self.requests.values() if isinstance(r, Cell) and not r.is_done]
        if running:
            # Twice, for the cell that reaches no await point.
            self.send("interrupt_request", "control")
            self.send("interrupt_request", "control")
            self.wait_for(lambda: all(cell.is_done for cell in running), what="a cell's end")
        while self._receive(0):
            pass

    def shut_down(self, restart: bool = False) -> None:
        """Ends the only kernel of its cache folder, and checks that nothing of it is left."""
        self.end(restart)
        assert not self.sessions(), f"left after the shutdown: {self.sessions()}"

    def end(self, restart: bool = False) -> None:
        """Ends the kernel as front ends do, and checks that no process of it is left."""
        processes = self.processes()
        try:
            self.send("interrupt_request", "control")
            request = self.send("shutdown_request", "control", restart=restart)
            self.wait_for(lambda: request.reply_message is not None, what="the shutdown's reply")
            assert request.reply["restart"] == restart
            _, alive = psutil.wait_procs(processes, timeout=SHUTDOWN_TIMEOUT)
            assert not alive, f"left after the shutdown: {alive}"
        finally:
            self.close()

    def close(self) -> None:
        """Ends what is left of the kernel, without asking it."""
        if not self.is_open:
            return
        self.is_open = False
        self.client.stop_channels()
        if self.manager.is_alive():
            for process in self.processes():
                process.kill()
        self.manager.cleanup_resources()
