"""What all followers of a feed share: channels and event streams."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol

import msgspec

PAGE: Final = 200
"""Events that are read, and sent to a follower, in one go."""

REPLAY_LIMIT: Final = 10_000
"""Events that are replayed at most; whoever missed more gets a snapshot."""


class Told(msgspec.Struct, frozen=True):
    """One event on its way to a follower.

    Attributes:
        name: Such as ``run:updated``.
        payload: JSON.
        mark: Where its follower is after it: a version or a cursor, as text.
    """

    name: str
    payload: bytes
    mark: str


class Start(msgspec.Struct, frozen=True):
    """Where a follower begins.

    Attributes:
        complete: Everything after what it knows follows.
        position: What it knows: all that comes after it is told. A version or a cursor.
        snapshot_json: JSON text of what it cannot be told; None when it is complete.
    """

    complete: bool
    position: int | str
    snapshot_json: str | None = None

    def reply(self, name: str) -> dict[str, Any]:
        """The answer to a join; ``name`` is that of the position."""
        shown: dict[str, Any] = {"complete": self.complete, name: self.position}
        if self.snapshot_json is not None:
            shown["snapshot"] = msgspec.Raw(self.snapshot_json.encode())
        return shown


class Sink(Protocol):
    """Where a follower takes events; nothing in here may raise."""

    @property
    def connected(self) -> bool:
        """Whether there is still somebody."""
        ...

    def take(self, told: Told) -> None:
        """Take a replayed event."""
        ...

    def go_live(self) -> None:
        """Take the broadcasts of the topic from now on."""
        ...

    async def keep_pace(self) -> None:
        """Wait while there is too much that was not taken away."""
        ...


class Tasks:
    """Background work that ends with its owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin; a crash is for the event loop to report."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def settle(self) -> None:
        """Wait until nothing is under way. For tests."""
        while self._running:
            await asyncio.wait(self._running)

    async def stop(self) -> None:
        """Cancel everything and wait for it."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
