"""The transaction of a job: its domain writes, its finish and its children commit together."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from pipelines.storage.connection import Connection, DatabaseUnavailableError, Pool, Record

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


class TransactionEndedError(Exception):
    """The job was aborted or is over; nothing can be written any more."""

    def __str__(self) -> str:
        return "the transaction of this job has ended"


class Transaction:
    """What a handler writes through. It begins with the first statement and the runner ends it.

    A handler that computes first and writes last holds no transaction while it computes. Not for
    use by two tasks at once.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None
        self._block: Any = None
        self._ended = False

    async def connection(self) -> Connection:
        """Return the connection, in its transaction, for what has no method here.

        Never commit or roll back on it; savepoints are fine.

        Raises:
            TransactionEndedError: The job was aborted.
            DatabaseUnavailableError: No connection is to be had; the job is run again later.
        """
        if self._ended:
            raise TransactionEndedError
        if self._connection is None:
            try:
                self._connection = await self._pool.acquire()
            except OSError as error:
                raise DatabaseUnavailableError from error
            self._block = self._connection.transaction()
            await self._block.start()
        return self._connection

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement; returns its command tag, for example ``UPDATE 3``."""
        return await (await self.connection()).execute(sql, *args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once per row of arguments."""
        await (await self.connection()).executemany(sql, rows)

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """Run a statement and return its rows."""
        return await (await self.connection()).fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        """Run a statement and return its first row."""
        return await (await self.connection()).fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """Run a statement and return the first column of its first row."""
        return await (await self.connection()).fetchval(sql, *args)

    async def copy(
        self, table: str, columns: Sequence[str], records: Iterable[Sequence[Any]]
    ) -> None:
        """Insert rows by COPY, the fastest way in."""
        connection = await self.connection()
        await connection.copy_records_to_table(table, records=records, columns=list(columns))

    async def lock(self, *key: object) -> None:
        """Take a mutex across all processes until the end of the transaction.

        Args:
            *key: What it is about, for example ``("emissions", module, year)``. Those who take
                several must take them in one order.
        """
        await self.fetchval(_LOCK, ":".join(str(part) for part in key))


class JobTransaction(Transaction):
    """The runner's side: ends the transaction."""

    @property
    def begun(self) -> Connection | None:
        """The connection, if the handler used one."""
        return self._connection

    async def commit(self) -> None:
        """Commit and give the connection back."""
        self._ended = True
        try:
            if self._block is not None:
                await self._block.commit()
        finally:
            await self._release()

    async def rollback(self, *, timeout: float) -> None:  # noqa: ASYNC109 (one bound for all of it)
        """Undo everything. After ``timeout`` seconds the connection is cut instead.

        Never raises: a connection that is gone has rolled back.
        """
        self._ended = True
        connection = self._connection
        if connection is None:
            return
        try:
            async with asyncio.timeout(timeout):
                if not connection.is_in_transaction():
                    return
                await self._block.rollback()
        except Exception:  # whatever it is, cutting the connection rolls back
            _cut(connection)
        finally:
            await self._release()

    def abandon(self) -> None:
        """Cut the connection: a handler that does not end can write nothing more."""
        self._ended = True
        if self._connection is not None:
            _cut(self._connection)

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await self._pool.release(connection)  # pyright: ignore[reportArgumentType] (from the pool)
        except Exception:  # it was cut or lost; the pool opens another one
            _cut(connection)


def _cut(connection: Connection) -> None:
    try:
        connection.terminate()
    except Exception:  # noqa: S110 (it is cut already)
        pass
