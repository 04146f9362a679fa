"""A dashboard that follows a topic, and a run that never stops changing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from channel_server.testing.client import ChannelClient, SocketClient
from handlers.application import Application
from schema import log_lines
from schema.log_lines import EVENT as LOGS
from schema.log_lines import Logged, LogLine
from schema.outcomes import Applied, Event, Owner
from tests.handlers.bench import TIMEOUT, Bench


@dataclass
class Follower:
    """One join of a topic, by a connection of its own.

    Attributes:
        reply: What the join was answered.
        got: Frames of the topic that are no replies, in order, as far as they were read.
    """

    socket: SocketClient
    channel: ChannelClient
    reply: dict[str, Any]
    got: list[Any] = field(default_factory=list[Any])

    @classmethod
    async def join(
        cls, bench: Bench, topic: str, since: Any = None, app: Application | None = None
    ) -> "Follower":
        """Join a topic with what a dashboard has of it."""
        there = Bench(app or bench.app, bench.world, bench.sockets)
        socket = await there.dashboard()
        channel = socket.channel(topic)
        payload = {} if since is None else {"since": since}
        return cls(socket, channel, await channel.join(payload, timeout=TIMEOUT))

    async def until(self, count: int) -> "Follower":
        """Read until it was told so many events."""
        while len(self.got) < count:
            self.got.append(await self.socket.peer.take(self._told, TIMEOUT))
        return self

    async def rest(self) -> "Follower":
        """Read what is there once nothing is under way."""
        await self.socket.settle()
        frames = self.socket.peer.frames
        self.got += [frame for frame in frames if self._told(frame)]
        frames[:] = [frame for frame in frames if not self._told(frame)]
        return self

    def _told(self, frame: Any) -> bool:
        return frame.topic == self.channel.topic and not frame.event.startswith("phx_")

    @property
    def versions(self) -> list[int]:
        """Versions of a run as they were told."""
        return [frame.payload["version"] for frame in self.got]

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Runs and versions as the watchers of a project were told."""
        return [(frame.payload["run"]["id"], frame.payload["version"]) for frame in self.got]

    @property
    def cursor(self) -> str:
        """The last cursor that it has."""
        return self.got[-1].payload["cursor"] if self.got else self.reply["cursor"]


@asynccontextmanager
async def opened(bench: Bench) -> AsyncGenerator[Application]:
    """Another process on the database of a bench, as far as its feeds are concerned."""
    app = await Application(bench.app.settings).open()
    try:
        yield app
    finally:
        await app.stop()


async def log(bench: Bench, owner: Owner, count: int = 1) -> list[Event]:
    """Store log lines of a run and tell nobody; the events that are to be told."""
    lines = [LogLine(f"line {n}", datetime.now(UTC)) for n in range(count)]
    logged = await log_lines.insert(bench.app.repo, owner, lines)
    assert isinstance(logged, Logged), logged
    project = bench.world.project.id
    return [Event(owner.run_id, project, n.version, LOGS, n.payload_json) for n in logged.lines]


def event(owner: Owner, project_id: UUID, applied: Any) -> Event:
    """What is to be told of a change."""
    assert isinstance(applied, Applied), applied
    return Event(
        *(owner.run_id, project_id, applied.version, applied.event, applied.payload_json),
        applied.seq,
    )


class Writer:
    """Writes log lines of a run as fast as it can, and tells of each.

    Args:
        bench: Whose process writes.
        owner: The run.
    """

    def __init__(self, bench: Bench, owner: Owner) -> None:
        self._bench = bench
        self._owner = owner
        self._stop = False
        self.version = 0
        self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while not self._stop:
            for told in await log(self._bench, self._owner, 3):
                self._bench.app.gateway.publish_event(told)
                self.version = told.version

    async def stop(self) -> int:
        """Stop; the version that the run came to."""
        self._stop = True
        await self._task
        return self.version
