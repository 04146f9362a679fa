"""Two servers on one database, all of them real processes, with a proxy on every way between them.

::

    clients ── proxy ── server 0 ── proxy ──┐
                                            PostgreSQL (durable, of its own)
    clients ── proxy ── server 1 ── proxy ──┘
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import migrations
from channel_server.testing.proxy import FaultProxy
from handlers.config import Settings
from schema.embedded import EmbeddedPostgres
from schema.repo import connection
from tests.chaos.small_disk import SmallDisk
from tests.handlers.bench import settings
from tests.handlers.cli_bench import variables
from tests.ports import lasting_port

PATIENCE: Final = 60.0
CHILD: Final = Path(__file__).parent / "serve_child.py"

STATEMENT_TIMEOUT: Final = 1.5

PACE: Final = {
    "CHANNEL_SERVER_DATABASE_STATEMENT_TIMEOUT": f"{STATEMENT_TIMEOUT}",
    "CHANNEL_SERVER_UNHEARD_CLAIM_AFTER": "2",
    "CHANNEL_SERVER_LEASE_CHECK_INTERVAL": "0.5",
    "CHANNEL_SERVER_JANITOR_INTERVAL": "1",
    "CHANNEL_SERVER_RUN_TIMEOUT": "12",
    "CHANNEL_SERVER_RUN_GRACE": "0",
    "CHANNEL_SERVER_WORKER_GONE_AFTER": "5",
    "CHANNEL_SERVER_QUEUE_RECHECK": "1",
    "CHANNEL_SERVER_DRAIN_WINDOW": "1",
    "CHANNEL_SERVER_PIPELINES_STALE_WINDOW": "2",
    "CHANNEL_SERVER_PIPELINES_POLL_INTERVAL": "0.5",
    "CHANNEL_SERVER_LOG_FORMAT": "json",
    "CHANNEL_SERVER_LOG_LEVEL": "warning",
}
"""Everything that waits in production waits for seconds here."""


class Server:
    """One server process, restarted on the same port.

    Attributes:
        clients: What clients connect to.
        database: What the server connects to.
        log: Everything that its processes wrote.
        exits: Exit codes of processes that were asked to stop.
    """

    def __init__(self, number: int, given: Settings, folder: Path) -> None:
        self.number = number
        self.port = lasting_port()
        self.clients = FaultProxy("127.0.0.1", self.port, websockets=True)
        self.database = FaultProxy.before_database(given.database_url)
        self.log = folder / f"server-{number}.log"
        self.exits: list[int] = []
        self.lock = asyncio.Lock()
        self._settings = given
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process, and wait until it listens."""
        env = os.environ | variables(self._settings, self.port) | PACE
        env |= {"DATABASE_URL": self.database.dsn, "PYTHONPATH": str(Path.cwd())}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(CHILD), "serve", "--port", str(self.port)),
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def listening(self) -> None:
        """Wait until somebody listens on the port; start again what gave up without a database."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self._process is not None
                if self._process.returncode is not None:
                    await self.start()
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        assert self._process is not None
        if self._process.returncode is None:
            self.send(signal.SIGTERM)
            self.exits.append(await asyncio.wait_for(self._process.wait(), 30))

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process lives."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)


class Cluster:
    """The database and the servers.

    Attributes:
        settings: What both servers share.
        disk: What the database is on.
        postgres: The database server.
        servers: The two servers.
    """

    def __init__(self, folder: Path) -> None:
        self.disk = SmallDisk(folder / "disk")
        self.postgres = EmbeddedPostgres(
            self.disk.folder / "postgres", settings={"max_connections": "100"}
        )
        self.folder = folder
        self.servers: list[Server] = []
        self.settings: Settings
        self.postgres_lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Cluster"]:
        """Everything up; everything gone afterwards."""
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self.disk.in_place())
            stack.push_async_callback(asyncio.to_thread, self.postgres.destroy)
            url = await asyncio.to_thread(self.postgres.start)
            await migrations.up(url)
            self.settings = settings(url)
            self.servers = [Server(n, self.settings, self.folder) for n in range(2)]
            for server in self.servers:
                await stack.enter_async_context(server.clients)
                await stack.enter_async_context(server.database)
                await server.start()
                stack.push_async_callback(server.kill)
            await asyncio.gather(*(server.listening() for server in self.servers))
            yield self

    async def execute(self, *statements: str) -> None:
        """Say something to the database directly, past all proxies, outside of transactions."""
        async with connection(self.settings.database_url) as admin:
            for statement in statements:
                await admin.execute(statement)

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Ask the database directly, past all proxies."""
        async with connection(self.settings.database_url) as admin:
            return await admin.fetch(sql, *args)

    def said(self) -> list[str]:
        """What the servers wrote, line by line."""
        return [line for s in self.servers for line in s.log.read_text().splitlines()]
