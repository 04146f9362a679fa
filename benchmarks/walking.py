"""A worker that reports one run after the other, and waits for each reply, as real ones do.

A walk is a join, 14 messages (run:start, step:start, 10 times run:log, step:complete,
run:complete) and a leave.
"""

import math
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from benchmarks.wire import Peer, PeerError, split, text

_LOGS: Final = 10


class Run(msgspec.Struct, frozen=True):
    """A run that was claimed.

    Attributes:
        token: What its channel is joined with.
        job: What its step executes.
    """

    id: UUID
    token: str
    job: UUID


class Worker:
    """One connection, and where in its walk it is.

    Args:
        peer: The connection.
        pace: Least seconds between two messages.

    Attributes:
        peer: The connection.
        done: Runs that it has walked.
        times: Seconds that each reply took.
        due: When the next message is to be sent, by the clock of the times; infinite if none is.
    """

    __slots__ = (
        "_buffer",
        "_frame",
        "_messages",
        "_pace",
        "_ref",
        "_sent",
        "done",
        "due",
        "peer",
        "times",
    )

    def __init__(self, peer: Peer, pace: float = 0.0) -> None:
        self.peer = peer
        self.done = 0
        self.times: list[float] = []
        self.due = math.inf
        self._pace = pace
        self._messages: Iterator[tuple[str, str, Any]] = iter(())
        self._ref = 10
        self._sent = 0.0
        self._buffer = b""
        self._frame = b""

    def walk(self, run: Run) -> None:
        """Begin a run."""
        self._messages = _messages(run)
        self._next()

    def _next(self) -> bool:
        message = next(self._messages, None)
        if message is None:
            return False
        topic, event, payload = message
        self._ref += 1
        self._frame = text("1", str(self._ref), topic, event, payload)
        if self._pace:
            self.due = self._sent + self._pace
        else:
            self.send()
        return True

    def send(self) -> None:
        """Send the message that is due."""
        self.due = math.inf
        self._sent = time.perf_counter()
        self.peer.sock.sendall(self._frame)

    def received(self, data: memoryview) -> bool:
        """Take replies; whether the run is over."""
        self._buffer += data
        over = False
        while (found := split(self._buffer)) is not None:
            payload, used = found
            self._buffer = self._buffer[used:]
            if b'"phx_reply"' not in payload[:120]:
                continue
            if b'"status":"ok"' not in payload:
                raise PeerError(payload.decode())
            self.times.append(time.perf_counter() - self._sent)
            over = not self._next()
        return over


def _messages(run: Run) -> Iterator[tuple[str, str, Any]]:
    topic, step = f"run:{run.id}", str(uuid4())
    yield topic, "phx_join", {"token": run.token}
    yield topic, "run:start", {"timestamp": _now()}
    yield topic, "step:start", {"step_id": step, "job_id": str(run.job), "timestamp": _now()}
    for number in range(_LOGS):
        yield (
            topic,
            "run:log",
            {
                "message": [f"line {number} of what a job has to say", {"number": number}],
                "source": "JOB",
                "level": "info",
                "timestamp": _now(),
                "step_id": step,
            },
        )
    yield (
        topic,
        "step:complete",
        {
            "step_id": step,
            "reason": "success",
            "output_dataclip_id": str(uuid4()),
            "output_dataclip": '{"data":{"answer":42}}',
            "timestamp": _now(),
        },
    )
    yield (
        topic,
        "run:complete",
        {"reason": "success", "final_state": {"data": {"answer": 42}}, "timestamp": _now()},
    )
    yield topic, "phx_leave", {}


def _now() -> str:
    return str(time.time_ns() // 1000)
