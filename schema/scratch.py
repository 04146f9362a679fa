"""A PostgreSQL for the length of a test session, and a fresh migrated database for each test.

One server is shared by all processes of the session. Whoever needs it first starts it; it ends with
the process that made the session, see :mod:`schema.watchdog`.
"""

import asyncio
import atexit
import hashlib
import itertools
import os
import secrets
import subprocess
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from schema import databases, recycling
from schema.embedded import EmbeddedPostgres
from schema.repo import connect
from schema.watchdog import watch

_T = TypeVar("_T")
# Each process of a session keeps the connections of its applications, pools and children.
_SETTINGS: Final = {"max_connections": "500"}
_serial: Final = itertools.count(1)
_watchdogs: Final[list["subprocess.Popen[bytes]"]] = []


@atexit.register
def _let_go() -> None:
    # They outlive us on purpose, which a Popen that is collected complains about.
    for watchdog in _watchdogs:
        watchdog.returncode = 0


class Scratch:
    """A server to make test databases on.

    Args:
        admin_dsn: URL of a database of it, of a user who may create databases.
        migrate: Called with the URL of an empty database, to fill the template.
        revision: Changes whenever what ``migrate`` does changes.

    Attributes:
        template: Name of the database that the others are copies of.
    """

    def __init__(
        self, admin_dsn: str, migrate: Callable[[str], Awaitable[object]], revision: str
    ) -> None:
        digest = hashlib.blake2b(revision.encode(), digest_size=6).hexdigest()
        self.admin_dsn = admin_dsn
        self.template = f"channel_server_template_{digest}"
        self._migrate = migrate
        self._made: recycling.Made | None = None
        self._empty: list[str] = []
        self._thread = LoopThread()
        # By URL: emptying a database over a connection that knows it is cheaper by half.
        self._connected: dict[str, Any] = {}

    def create(self, *, empty: bool = False) -> str:
        """Return the URL of a database without rows, migrated unless it is to be empty. Blocking.

        It is new, or one that was given back.
        """
        if self._empty and not empty:
            return self._empty.pop()
        name = f"channel_server_test_{os.getpid()}_{secrets.token_hex(2)}_{next(_serial)}"
        return self._thread.run(self._create(name, empty=empty))

    def drop(self, dsn: str) -> None:
        """Drop a database that :meth:`create` made, throwing out who is connected. Blocking."""
        self._thread.run(self._drop(dsn))

    def give_back(self, dsn: str) -> None:
        """Take a migrated database that :meth:`create` made, to be used again. Blocking.

        It is dropped instead if more than rows was left in it.
        """
        if self._thread.run(self._emptied(dsn)):
            self._empty.append(dsn)
        else:
            self.drop(dsn)

    @property
    def waiting(self) -> int:
        """How many databases wait to be used again."""
        return len(self._empty)

    def close(self) -> None:
        """Drop what was given back. Blocking."""
        while self._empty:
            self.drop(self._empty.pop())
        self._thread.close()

    async def _emptied(self, dsn: str) -> bool:
        try:
            return self._made is not None and await recycling.empty(await self._to(dsn), self._made)
        except Exception:
            # Whatever it is, a new one is right.
            return False

    async def _to(self, dsn: str) -> Any:
        conn = self._connected.get(dsn)
        if conn is None or conn.is_closed():
            conn = self._connected[dsn] = await connect(dsn)
        return conn

    async def _drop(self, dsn: str) -> None:
        conn = self._connected.pop(dsn, None)
        if conn is not None:
            conn.terminate()
        await databases.drop(self.admin_dsn, databases.database_name(dsn))

    async def _create(self, name: str, *, empty: bool) -> str:
        if empty:
            return await databases.create(self.admin_dsn, name)
        if self._made is None:
            await databases.ensure_template(self.admin_dsn, self.template, self._migrate)
        dsn = await databases.create(self.admin_dsn, name, template=self.template)
        if self._made is None:
            self._made = await recycling.made(await self._to(dsn))
        return dsn


class LoopThread:
    """A loop on a thread of its own, for those who block, whether or not a loop runs there."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end. Blocking."""
        return self._pool.submit(self._runner.run, coroutine).result()

    def close(self) -> None:
        """Cancel what still runs and end the thread. Blocking."""
        with self._pool as pool:
            pool.submit(self._runner.close).result()


def shared_server(session: Path) -> str:
    """Start the server of a session, or join it, and return its URL.

    Args:
        session: The folder of the session, see :class:`Session`.
    """
    server = EmbeddedPostgres(session / "server", fast=True, settings=_SETTINGS)
    if not server.running():
        _watchdogs.append(watch(session))
    return server.start()
