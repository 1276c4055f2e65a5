"""A request to the kernel and everything that came back for it, held against the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jupyter_kernel_test.msgspec_v5 import schema_fragments, validate_message

# What may still come for a cell that has been answered: a task that it spawned prints or shows.
LATE = {"stream", "display_data", "update_display_data", "clear_output"}

STREAMS = {"stdout", "stderr"}

KINDS = {
    "display_data": "display",
    "update_display_data": "update",
    "execute_result": "result",
}


class ProtocolError(AssertionError):
    """The kernel has sent what it must not send, or not there."""


def validate(message: dict[str, Any]) -> None:
    """Holds a message against the schema of its type, where the protocol names the type."""
    msg_type = message["header"]["msg_type"]
    # The schemas write "abort" for what the protocol and all clients call "aborted".
    is_aborted = message["content"].get("status") == "aborted"
    # They take a password's flag for a number, which the protocol and all clients have as a boolean.
    is_question = msg_type == "input_request"
    if msg_type in schema_fragments and not is_aborted and not is_question:
        validate_message(message, msg_type)


class Request:
    """A request, its reply, and what was published for it."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.id: str = message["header"]["msg_id"]
        self.type: str = message["header"]["msg_type"]
        self.reply_message: dict[str, Any] | None = None
        self.is_busy = False
        self.is_idle = False
        self.published: list[dict[str, Any]] = []
        self.late: list[dict[str, Any]] = []
        self.questions: list[dict[str, Any]] = []

    @property
    def is_done(self) -> bool:
        """Whether it was answered, and everything that belongs to the answer has come."""
        return self.is_idle and self.reply_message is not None

    @property
    def reply(self) -> dict[str, Any]:
        """The content of the reply."""
        assert self.reply_message is not None, f"no reply yet to {self}"
        return self.reply_message["content"]

    @property
    def status(self) -> str:
        """How it ended."""
        return self.reply["status"]

    def take_reply(self, message: dict[str, Any]) -> None:
        """Takes the one reply."""
        expected = self.type.replace("_request", "_reply")
        got = message["header"]["msg_type"]
        if got != expected:
            raise ProtocolError(f"{self} was answered by {got}")
        if self.reply_message is not None:
            raise ProtocolError(f"{self} was answered twice: {message['content']}")
        self.reply_message = message

    def take_published(self, message: dict[str, Any]) -> None:
        """Takes a message of iopub: busy first, then what is shown, then idle, then late output."""
        msg_type = message["header"]["msg_type"]
        if msg_type == "status":
            return self._take_status(message["content"]["execution_state"])
        if not self.is_busy:
            raise ProtocolError(f"{msg_type} came before busy for {self}")
        if self.is_idle and msg_type not in LATE:
            raise ProtocolError(f"{msg_type} came after idle for {self}: {message['content']}")
        self.keep(message)
        return None

    def keep(self, message: dict[str, Any]) -> None:
        """Keeps a message that is neither a status nor a reply."""
        (self.late if self.is_idle else self.published).append(message)

    def _take_status(self, state: str) -> None:
        """Takes a status. Busy may be repeated: it is, where another request was answered."""
        if state not in ("busy", "idle"):
            raise ProtocolError(f"the status {state} has a parent: {self}")
        if self.is_idle:
            raise ProtocolError(f"{state} came after idle for {self}")
        if state == "idle" and not self.is_busy:
            raise ProtocolError(f"idle came without busy for {self}")
        self.is_busy = True
        self.is_idle = state == "idle"

    def __repr__(self) -> str:
        return f"<{self.type}>"


class Cell(Request):
    """An execute_request. What it shows is read while it runs, or when it is done."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message)
        self.code: str = message["content"]["code"]
        self._shown = Shown()

    def keep(self, message: dict[str, Any]) -> None:
        """Keeps a message, and what it shows."""
        super().keep(message)
        self._shown.take(message)

    @property
    def outputs(self) -> list[tuple[str, Any]]:
        """All that stands below the cell, in order, as pairs of a kind and its content.

        The kinds are `stdout` and `stderr` (text, joined with what precedes it on the same
        stream), `display`, `update` and `result` (by MIME type), `clear` (whether it waits), and
        `error` (its name).
        """
        return self._shown.outputs()

    @property
    def late_outputs(self) -> list[tuple[str, Any]]:
        """The part of the outputs that came after idle."""
        return Shown(self.late).outputs()

    @property
    def stdout(self) -> str:
        """What was printed."""
        return self._joined("stdout")

    @property
    def stderr(self) -> str:
        """What was printed as an error."""
        return self._joined("stderr")

    @property
    def lines(self) -> list[str]:
        """The printed lines."""
        return self.stdout.splitlines()

    @property
    def result(self) -> dict[str, Any] | None:
        """The value of the last expression, by MIME type."""
        results = [data for kind, data in self.outputs if kind == "result"]
        assert len(results) <= 1, f"several results for {self}"
        return results[0] if results else None

    @property
    def text(self) -> str | None:
        """The value of the last expression as text."""
        return self.result.get("text/plain") if self.result else None

    @property
    def displays(self) -> list[dict[str, Any]]:
        """The values shown on the way, by MIME type."""
        return [data for kind, data in self.outputs if kind == "display"]

    @property
    def count(self) -> int:
        """The number in the cell's prompt."""
        return self.reply["execution_count"]

    @property
    def ename(self) -> str | None:
        """The name of the error with which it ended."""
        return self.reply.get("ename")

    @property
    def evalue(self) -> str:
        """The error's message."""
        return self.reply.get("evalue", "")

    @property
    def traceback(self) -> str:
        """The error as front ends show it, without its colours."""
        lines = "\n".join(self.reply.get("traceback", []))
        return without_colours(lines)

    def check_done(self) -> None:
        """Checks what is known only at the end: the reply fits what was published."""
        contents = {
            kind: [m["content"] for m in self.published if m["header"]["msg_type"] == kind]
            for kind in ("execute_input", "error", "execute_result")
        }
        for content in contents["execute_input"] + contents["execute_result"]:
            if content["execution_count"] != self.count:
                raise ProtocolError(f"another count than in the reply ({self.count}): {content}")
        if self.status == "error" and contents["error"]:
            error = {key: self.reply[key] for key in ("ename", "evalue", "traceback")}
            if contents["error"] != [error]:
                raise ProtocolError(f"another error than in the reply: {contents['error']}")
        if self.status != "error" and contents["error"]:
            raise ProtocolError(f"an error, but the reply says {self.status}: {contents['error']}")

    def _joined(self, kind: str) -> str:
        return "".join(text for _, text in self._shown.outputs(kind))

    def __repr__(self) -> str:
        lines = [f"cell {self.code!r}"]
        if self.reply_message is not None:
            lines.append(f"replied {self.status}")
        lines.append(f"showed {self.outputs}")
        if self.reply_message is not None and self.status == "error":
            lines.append(self.traceback)
        return "\n".join(lines)


class Shown:
    """What messages show, see `Cell.outputs`: taken one by one, since a flood is asked for often."""

    def __init__(self, messages: Iterable[dict[str, Any]] = ()) -> None:
        self._pieces: list[tuple[str, Any]] = []
        for message in messages:
            self.take(message)

    def take(self, message: dict[str, Any]) -> None:
        """Takes the next message."""
        msg_type, content = message["header"]["msg_type"], message["content"]
        if msg_type == "stream":
            if not self._pieces or self._pieces[-1][0] != content["name"]:
                self._pieces.append((content["name"], []))
            self._pieces[-1][1].append(content["text"])
        elif msg_type in KINDS:
            self._pieces.append((KINDS[msg_type], content["data"]))
        elif msg_type == "clear_output":
            self._pieces.append(("clear", content["wait"]))
        elif msg_type == "error":
            self._pieces.append(("error", content["ename"]))

    def outputs(self, of_kind: str | None = None) -> list[tuple[str, Any]]:
        """All, or those of one kind."""
        return [
            (kind, "".join(content) if kind in STREAMS else content)
            for kind, content in self._pieces
            if of_kind in (None, kind)
        ]


def without_colours(text: str) -> str:
    """Text without the terminal's colour codes."""
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])
