"""LISTEN on a connection of its own: what other processes committed, as it happens.

Delivery is at most once: what is sent while the connection is down is lost. After every connect,
the first included, ``resync`` is called, to look at the tables instead.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Final

import asyncpg
from asyncpg import exceptions as pg
from asyncpg.connect_utils import SessionAttribute

CHANNEL: Final = "channel_server"
"""Name of the notification channel of this application."""

_CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a connection to stand; the network may swallow what it is asked."""

_CANCELLED_AGAIN: Final = 5.0
"""Seconds after which a listener that goes on is told once more to end."""

_ERRORS: Final = (OSError, pg.PostgresError, pg.InterfaceError, pg.InternalClientError)


class Listener:
    """Keeps one connection listening; reconnects with jittered back-off.

    Start, stop, stop twice and stop before start are fine; so is start after stop.

    Args:
        dsn: URL of the database.
        notified: Called with the payload of each notification.
        resync: Called after each connect: anything may have been missed.
        channel: Notification channel to listen on.
        backoff: Seconds before the first and before every later attempt at most.
        keepalive: Seconds without news after which the connection is tested.

    Attributes:
        connected: Set while it listens.
        disconnected: Set while it does not.
    """

    def __init__(
        self,
        dsn: str,
        notified: Callable[[str], None],
        resync: Callable[[], None],
        *,
        channel: str = CHANNEL,
        backoff: tuple[float, float] = (0.1, 0.5),
        keepalive: float = 30.0,
    ) -> None:
        self.connected = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.disconnected.set()
        self._dsn = dsn
        self._notified = notified
        self._resync = resync
        self._channel = channel
        self._backoff = backoff
        self._keepalive = keepalive
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin in the background; wait for :attr:`connected` to know that it listens."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="schema.listener")

    async def stop(self) -> None:
        """Stop listening and close the connection."""
        task, self._task = self._task, None
        if task is not None:
            # Again: a cancellation that comes with an answer is lost in a wait_for of Python 3.11.
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_CANCELLED_AGAIN)

    async def _run(self) -> None:
        first, most = self._backoff
        wait = first
        while True:
            attempt = asyncio.get_running_loop().time()
            with contextlib.suppress(*_ERRORS):
                await self._listen()
            lasted = asyncio.get_running_loop().time() - attempt
            wait = first if lasted > most else min(wait * 2, most)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 (only spreads load)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_CONNECT_TIMEOUT,
            server_settings={"application_name": "channel_server listener"},
            target_session_attrs=SessionAttribute.read_write,
        )
        closed = asyncio.Event()

        def terminated(_connection: Any) -> None:
            closed.set()

        def received(_connection: Any, _pid: int, _channel: str, payload: Any) -> None:
            self._notified(str(payload))

        try:
            connection.add_termination_listener(terminated)
            await connection.add_listener(self._channel, received)
            self.disconnected.clear()
            self.connected.set()
            self._resync()
            while not await self._ended(closed):
                # A connection that a firewall dropped says nothing; asking it shows.
                await connection.execute("SELECT 1", timeout=self._keepalive)
        finally:
            self.connected.clear()
            self.disconnected.set()
            # Not close(): it waits for a server that may be gone.
            connection.terminate()

    async def _ended(self, closed: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._keepalive):
                await closed.wait()
        except TimeoutError:
            return False
        return True
