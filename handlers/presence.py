"""Presence: this server's heartbeat, and the sockets of its workers, in the database.

Sockets are written in the background, many at a time, so that no upgrade waits for the database; a
claim or a join on a socket waits for its row, which is there by then. What could not be written is
written again. One heartbeat per server stands for all of its sockets: those themselves are closed
by the transport when they are silent for too long.

What if it is lost? A server that is killed stops its heartbeat, and its sockets end with it. A
server that cannot reach the database is not seen; once it is back it writes what it has, and for
`worker_gone_after` nobody is judged by it.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from importlib import metadata
from time import monotonic
from typing import Any, Final
from uuid import uuid4

from channel_server.log import get_logger
from channel_server.service import Service
from handlers.config import Settings
from schema import worker_sessions
from schema.outcomes import Event, Watch
from schema.refused import Refused
from schema.repo import Repo
from schema.worker_sessions import Server, Session

LARGEST: Final = 500
"""Sockets in one statement."""

RETRY: Final = 1.0
"""Seconds until what the database did not take is tried again."""

PRUNE_INTERVAL: Final = 3600.0
KEPT_FOR: Final = 86400.0
"""Seconds that sockets which are gone are remembered."""

STOP_PATIENCE: Final = 2.0
"""Seconds that the last words may take; the end of the heartbeat says the same, later."""

LONGEST_TEXT: Final = 255

log = get_logger(__name__)

Released = Callable[[list[Event]], None]


class WorkerSession:
    """A socket of a worker, as long as it is open.

    Attributes:
        row: As it is stored, or will be.
        stored: Set once there is a row, so that runs may name it.
    """

    __slots__ = ("row", "stored")

    def __init__(self, row: Session) -> None:
        self.row = row
        self.stored = asyncio.Event()


class Presence(Service):
    """Who is connected to this server; emits `beat` and `written`.

    Args:
        settings: the configuration.
        repo: the door to the database.
        released: told of the runs that went back to the queue when a worker said goodbye.

    Attributes:
        server: this process.
        watch: this process as a judge of absence.
        changed: called when workers came or went here, and after each heartbeat.
    """

    name = "presence"

    def __init__(self, settings: Settings, repo: Repo, released: Released) -> None:
        super().__init__()
        name = f"{socket.gethostname()}:{os.getpid()}"
        self.server = Server(uuid4(), name, metadata.version("channel-server"))
        self.watch = Watch(self.server.id, settings.heartbeat_gap)
        self.changed: Callable[[], None] = lambda: None
        self._settings = settings
        self._repo = repo
        self._released = released
        self._open: dict[Any, WorkerSession] = {}
        self._unwritten: dict[Any, WorkerSession] = {}
        self._writing: asyncio.Task[None] | None = None
        self._closed = False
        self._prune_at = monotonic() + PRUNE_INTERVAL

    @property
    def connected(self) -> int:
        """How many sockets of workers are open here."""
        return len(self._open)

    # From sockets and channels; none of these waits.

    def opened(self, worker_id: str | None, params: dict[str, Any]) -> WorkerSession:
        """A worker connected; the row of its socket will be there soon."""
        session_id = uuid4()
        row = Session(
            id=session_id,
            worker_id=worker_id or str(session_id),
            worker_version=_text(params.get("worker_version")),
            api_version=_text(params.get("api_version")),
        )
        session = self._open[session_id] = WorkerSession(row)
        self._write_soon(session)
        return session

    def described(
        self, session: WorkerSession, *, name: str | None = None, capacity: Any = None
    ) -> None:
        """The worker said more of itself; None says nothing."""
        row = session.row
        before = (row.worker_name, row.capacity)
        row.worker_name = name or row.worker_name
        if type(capacity) is int and 0 <= capacity < 1 << 31:
            row.capacity = capacity
        if (row.worker_name, row.capacity) != before:
            self._write_soon(session)

    def ended(self, session: WorkerSession, *, clean: bool) -> None:
        """The socket is gone; if the worker said goodbye, what it did not start is released."""
        if self._open.pop(session.row.id, None) is not None:
            session.row.closed, session.row.clean = True, clean
            self._write_soon(session)

    async def stored(self, session: WorkerSession, patience: float = 5.0) -> bool:
        """Wait until runs may name the socket; False if the database does not take it in time."""
        if not session.stored.is_set():
            try:
                async with asyncio.timeout(patience):
                    await session.stored.wait()
            except TimeoutError:
                return False
        return True

    # In the background.

    async def run(self) -> None:
        """Beat, wait, beat again."""
        while True:
            well = await self.beat()
            self.changed()
            self.ready()
            self.signals.emit("beat", well)
            interval = self._settings.heartbeat_interval
            await asyncio.sleep(interval if well else min(interval, RETRY))

    async def beat(self) -> bool:
        """Say that this server lives; whether the database heard it."""
        fresh = await worker_sessions.beat(self._repo, self.server, self.watch.longest_gap_s)
        if isinstance(fresh, Refused):
            log.debug("heartbeat_refused", kind=fresh.kind)
            return False
        if fresh:
            # Forgotten after a long absence, and the sockets with it.
            for session in self._open.values():
                self._write_soon(session)
        if monotonic() >= self._prune_at:
            self._prune_at = monotonic() + PRUNE_INTERVAL
            await worker_sessions.prune(self._repo, KEPT_FOR)
        return True

    async def close(self) -> None:
        """Write what is left, for a moment; nothing is written afterwards."""
        await self.stop()
        await self.settled(STOP_PATIENCE)
        self._closed = True
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])

    async def settled(self, patience: float) -> None:
        """Wait until everything is written, but no longer than this many seconds."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=patience)

    def _write_soon(self, session: WorkerSession) -> None:
        self._unwritten[session.row.id] = session
        if not self._closed and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._unwritten:
            batch = list(self._unwritten.values())[:LARGEST]
            for session in batch:
                del self._unwritten[session.row.id]
            if not await self._write_batch(batch):
                for session in batch:
                    self._unwritten.setdefault(session.row.id, session)
                await asyncio.sleep(RETRY)
            self.signals.emit("written", len(batch))

    async def _write_batch(self, batch: list[WorkerSession]) -> bool:
        try:
            rows = [session.row for session in batch]
            if isinstance(await worker_sessions.write(self._repo, self.server, rows), Refused):
                return False
            self.changed()
            goodbyes = [row for row in rows if row.clean]
            for session in batch:
                session.stored.set()
            return all([await self._release(row) for row in goodbyes])
        except Exception:
            log.exception("presence_failed")
            return True

    async def _release(self, row: Session) -> bool:
        gone_after = self._settings.worker_gone_after
        events = await worker_sessions.release(self._repo, row.id, gone_after)
        if isinstance(events, Refused):
            return not events.retryable
        if events:
            self._released(events)
        return True


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value.replace("\0", "\ufffd")[:LONGEST_TEXT] or None
