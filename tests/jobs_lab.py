"""The database of a room of tests about jobs: made once, emptied for each test.

All tests of a process use the same connections, on one loop: PostgreSQL takes longer to learn the
tables on a new connection than most of these tests take.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from pipelines import Engine, EngineSettings, Registry, open_pool
from pipelines.storage.connection import Pool
from schema import recycling
from schema.scratch import Scratch
from tests.waiting import until

_LARGE = 1024 * 1024
_SIZE = "SELECT pg_relation_size('pipeline_jobs') + pg_relation_size('data_entries')"
_SHRINK = "VACUUM pipelines, pipeline_jobs, data_entries, data_entry_emissions"


class JobsDatabase:
    """A database, and connections to it that outlive a test.

    Args:
        url: URL of the database.
        pool: For tests.
        engine_pool: For the engines of tests.
        forget: SQL that deletes all rows.
    """

    def __init__(self, url: str, pool: Pool, engine_pool: Pool, forget: str) -> None:
        self.url = url
        self.pool = pool
        self.engine_pool = engine_pool
        self._forget = forget

    async def empty(self) -> None:
        """Delete all rows."""
        async with self.pool.acquire() as connection:
            await connection.execute(self._forget)
            if await connection.fetchval(_SIZE) > _LARGE:
                await connection.execute(_SHRINK)

    async def calm(self) -> None:
        """Wait until all connections were given back: a test must not leave one in use."""
        pools = (self.pool, self.engine_pool)
        await until(lambda: all(pool.get_idle_size() == pool.get_size() for pool in pools))


@asynccontextmanager
async def jobs_database(server: Scratch, tables: str = "") -> AsyncGenerator[JobsDatabase]:
    """Make a database.

    Args:
        server: Where.
        tables: SQL that makes further tables.
    """
    url = server.create()
    async with (
        await open_pool(url, concurrency=8, application_name="tests") as pool,
        await open_pool(url, concurrency=16) as engine_pool,
    ):
        async with pool.acquire() as connection:
            if tables:
                await connection.execute(tables)
            made = await recycling.made(connection)
        yield JobsDatabase(url, pool, engine_pool, made.forget)
    server.drop(url)


class JobsLab:
    """What tests about jobs do to a database.

    Attributes:
        url: URL of the database.
        pool: A pool beside those of engines.
    """

    def __init__(self, database: JobsDatabase, stack: AsyncExitStack) -> None:
        self.url = database.url
        self.pool = database.pool
        self._database = database
        self._stack = stack

    def make_engine(
        self, registry: Registry, settings: EngineSettings, *, own_pool: bool, **options: Any
    ) -> Engine:
        """An engine that is stopped after the test; not started."""
        pool = None if own_pool else self._database.engine_pool
        engine = Engine(self.url, registry, settings, pool=pool, **options)
        self._stack.push_async_callback(engine.stop)
        return engine

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Run SQL."""
        return await self.pool.fetch(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:
        """Run SQL and return its first value."""
        return await self.pool.fetchval(sql, *args)

    async def pass_window(self, by: timedelta = timedelta(hours=2)) -> None:
        """Make the locks of running jobs old, as if nobody had refreshed them for so long.

        What a killed process had under way is rolled back by then.
        """
        await self.pool.execute(
            "UPDATE pipeline_jobs SET locked_at = locked_at - $1::interval WHERE state = 'RUNNING'",
            by,
        )

    async def blocked(self) -> None:
        """Wait until some statement on this database waits for a lock."""
        async with self.pool.acquire() as watcher:
            await until(
                lambda: watcher.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                ),
                10,
            )
