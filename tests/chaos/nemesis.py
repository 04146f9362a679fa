"""Makes the troubles of a plan happen, each for its time, and everything good again afterwards."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from schema.repo import connection
from tests.chaos.cluster import STATEMENT_TIMEOUT, Cluster, Server
from tests.chaos.plan import Plan, Trouble

TERMINATE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""
RELOAD = "SELECT pg_reload_conf()"


class Nemesis:
    """All that goes wrong.

    Args:
        cluster: What it goes wrong with.
        plan: When.

    Attributes:
        done: How often each kind happened.
        left_out: Kinds that need a disk of their own, where mounting one is not permitted.
    """

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self.done: Counter[str] = Counter()
        self.left_out: set[str] = set()

    async def run(self) -> None:
        """Let every trouble happen at its time; returns when all are over."""
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for trouble in self._plan.troubles:
                late = asyncio.get_running_loop().time() - begun
                await asyncio.sleep(max(0.0, trouble.at - late))
                group.create_task(self._happen(trouble))

    async def _happen(self, trouble: Trouble) -> None:
        if trouble.kind == "fill_disk" and not self._cluster.disk.mounted:
            self.left_out.add(trouble.kind)
            return
        server = self._cluster.servers[trouble.server]
        act: Callable[[Server, Trouble], Awaitable[None]] = getattr(self, f"_{trouble.kind}")
        await act(server, trouble)
        self.done[trouble.kind] += 1

    async def _kill_server(self, server: Server, trouble: Trouble) -> None:
        async with server.lock:
            await server.kill()
            await asyncio.sleep(trouble.seconds / 4)
            await server.start()
            await server.listening()

    async def _drain_server(self, server: Server, _trouble: Trouble) -> None:
        async with server.lock:
            await server.stop()
            await server.start()
            await server.listening()

    async def _kill_postgres(self, _server: Server, trouble: Trouble) -> None:
        cluster = self._cluster
        async with cluster.postgres_lock:
            await asyncio.to_thread(cluster.postgres.kill)
            await asyncio.sleep(trouble.seconds / 2)
            await asyncio.to_thread(cluster.postgres.start)

    async def _terminate_backends(self, _server: Server, _trouble: Trouble) -> None:
        async with self._cluster.postgres_lock:
            await self._cluster.fetch(TERMINATE)

    async def _terminate_listener(self, _server: Server, _trouble: Trouble) -> None:
        async with self._cluster.postgres_lock:
            await self._cluster.fetch(f"{TERMINATE} AND query ILIKE 'LISTEN%'")

    async def _cut_clients(self, server: Server, _trouble: Trouble) -> None:
        server.clients.cut()

    async def _cut_clients_after(self, server: Server, trouble: Trouble) -> None:
        half = server.clients.to_client if trouble.number % 2 else server.clients.to_server
        half.cut_after = trouble.number

    async def _half_open(self, server: Server, trouble: Trouble) -> None:
        proxy = server.clients
        proxy.to_client.stalled = proxy.to_server.stalled = True
        await asyncio.sleep(trouble.seconds)
        proxy.cut()
        proxy.to_client.stalled = proxy.to_server.stalled = False

    async def _throttle(self, server: Server, trouble: Trouble) -> None:
        server.clients.to_client.rate = trouble.number
        await asyncio.sleep(trouble.seconds)
        server.clients.to_client.rate = None

    async def _duplicate_frames(self, server: Server, trouble: Trouble) -> None:
        server.clients.to_server.duplicate_frames = trouble.number

    async def _cut_database(self, server: Server, _trouble: Trouble) -> None:
        server.database.cut()

    async def _stall_database(self, server: Server, trouble: Trouble) -> None:
        proxy = server.database
        proxy.to_client.stalled = proxy.to_server.stalled = True
        await asyncio.sleep(trouble.seconds)
        proxy.to_client.stalled = proxy.to_server.stalled = False

    async def _exhaust_pool(self, _server: Server, trouble: Trouble) -> None:
        """Every statement on runs waits, so that all connections of both pools are taken."""
        await self._lock("runs", trouble.seconds)

    async def _time_out_statements(self, _server: Server, _trouble: Trouble) -> None:
        """Steps and log lines cannot be written for longer than a statement may take."""
        await self._lock("steps, log_lines", 1.5 * STATEMENT_TIMEOUT)

    async def _lock(self, tables: str, seconds: float) -> None:
        async with (
            self._cluster.postgres_lock,
            connection(self._cluster.settings.database_url) as admin,
            admin.transaction(),
        ):
            await admin.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(seconds)

    async def _read_only_database(self, _server: Server, trouble: Trouble) -> None:
        """As after a fail-over to a server that is not the primary yet."""
        cluster = self._cluster
        async with cluster.postgres_lock:
            await cluster.execute("ALTER SYSTEM SET default_transaction_read_only = on", RELOAD)
            await asyncio.sleep(trouble.seconds)
            await cluster.execute("ALTER SYSTEM RESET default_transaction_read_only", RELOAD)

    async def _fill_disk(self, _server: Server, trouble: Trouble) -> None:
        """Nothing more fits on the disk; a PostgreSQL that ends because of it is started again."""
        cluster = self._cluster
        async with cluster.postgres_lock:
            cluster.disk.fill()
            await asyncio.sleep(trouble.seconds)
            cluster.disk.clear()
            await asyncio.to_thread(cluster.postgres.start)

    async def _step_clock(self, server: Server, trouble: Trouble) -> None:
        # A process that only begins has no handler for the signal yet.
        async with server.lock:
            number = signal.SIGUSR1 if trouble.number > 0 else signal.SIGUSR2
            server.send(number)
            await asyncio.sleep(trouble.seconds)
            server.send(number)
