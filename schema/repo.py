"""The only door to the database: one statement, one round trip, one mapped answer.

A refusal is returned, not raised. What is raised is a bug of ours: a constraint that nobody
declared, SQL that does not parse, a wrong number of arguments.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final, Literal, Protocol

import asyncpg
import msgspec
from asyncpg import exceptions as pg
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy import Table

from schema import violations
from schema.changeset import Changeset
from schema.refused import Kind, Refused
from schema.sql import insert_statement, update_statement
from schema.triggers import OBSERVE_SETTING
from schema.violations import UndeclaredConstraintError

Record = asyncpg.Record
"""One row; columns by name or position."""

StateMachine = Literal["enforce", "observe"]

_NOT_FOUND: Final = Refused(kind="not_found", code="not_found")
_CACHED_STATEMENTS: Final = 500

ANSWER_MARGIN: Final = 2.0
"""Seconds past the statement timeout after which a connection counts as dead."""


class Statement(msgspec.Struct, frozen=True):
    """One SQL statement with what it may violate.

    Attributes:
        name: Name for logs and metrics.
        sql: The statement, with ``$1``, ``$2`` ... for its arguments.
        constraints: Field and message of each constraint that it may violate, by name.
        deletes: Whether it deletes rows that others may refer to.
    """

    name: str
    sql: str
    constraints: Mapping[str, tuple[str, str]] = msgspec.field(
        default_factory=dict[str, tuple[str, str]]
    )
    deletes: bool = False


class _Connection(asyncpg.Connection):
    """A connection that is returned to the pool as it is: no statement of ours leaves a trace."""

    def get_reset_query(self) -> str:
        return ""


class _Queries(Protocol):
    def fetch(self, query: str, *args: Any) -> Any: ...

    def is_closed(self) -> bool: ...

    def terminate(self) -> None: ...


class Runner:
    """Runs statements; the part that :class:`Repo` and :class:`Transaction` share."""

    async def fetch(self, statement: Statement, *args: Any) -> list[Record] | Refused:
        """Run a statement and return its rows, or why it was refused.

        Raises:
            UndeclaredConstraintError: It violated a constraint that it does not declare.
            asyncpg.PostgresError: A bug of ours.
        """
        raise NotImplementedError

    async def fetchrow(self, statement: Statement, *args: Any) -> Record | Refused | None:
        """Run a statement and return its first row, None if there is none, or a refusal."""
        rows = await self.fetch(statement, *args)
        if isinstance(rows, Refused):
            return rows
        return rows[0] if rows else None

    async def execute(self, statement: Statement, *args: Any) -> int | Refused:
        """Run a statement for its effect.

        Returns:
            The number of rows that it returned: give it a RETURNING to count rows changed.
        """
        rows = await self.fetch(statement, *args)
        return rows if isinstance(rows, Refused) else len(rows)

    async def insert(self, table: Table, changeset: Changeset) -> Record | Refused:
        """Insert one row and return it whole; an invalid changeset is refused unasked."""
        refusal = changeset.refusal()
        if refusal is not None:
            return refusal
        sql, args = insert_statement(table, changeset.changes)
        return await self._one(f"{table.name}.insert", sql, args, changeset)

    async def update(
        self, table: Table, changeset: Changeset, where: Mapping[str, Any]
    ) -> Record | Refused:
        """Change the one row that matches, compare-and-set, and return it whole.

        Args:
            table: Table to change.
            changeset: Values to set; an invalid one is refused and nothing is asked.
            where: What must hold, by column: a value, None for null, or a list of values. Must not
                be empty.

        Returns:
            The row; a refusal of kind ``not_found`` when no row matches.
        """
        refusal = changeset.refusal()
        if refusal is not None:
            return refusal
        sql, args = update_statement(table, changeset.changes, where)
        return await self._one(f"{table.name}.update", sql, args, changeset)

    async def _one(
        self, name: str, sql: str, args: list[Any], changeset: Changeset
    ) -> Record | Refused:
        row = await self.fetchrow(Statement(name, sql, changeset.constraints), *args)
        return _NOT_FOUND if row is None else row


class Repo(Runner):
    """A pool of connections, and the statements that go through it.

    Made by :meth:`connect`. Not promised: fairness between those who wait for a connection beyond
    first come, first served; statements of one caller may run on different connections.

    Attributes:
        dsn: URL of the database.
        statements_run: Number of statements sent, transactions' own left out. For tests.
        violations_observed: Illegal transitions that were let through in ``observe``.
        reachable: Whether the last statement reached a server that takes writes.
        closed: Whether it was closed or cut.
        changed: Called, if set, whenever `reachable` has changed; must not block or raise.
    """

    def __init__(
        self,
        dsn: str,
        pool: "asyncpg.Pool[Record]",
        acquire_timeout: float,
        *,
        observes: bool = False,
    ) -> None:
        self.dsn = dsn
        self.statements_run = 0
        self.violations_observed = 0
        self.reachable = True
        self.closed = False
        self.changed: Callable[[], None] | None = None
        self._pool = pool
        self._acquire_timeout = acquire_timeout
        self._observes = observes

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        min_size: int = 2,
        max_size: int = 10,
        statement_timeout_ms: int = 5_000,
        acquire_timeout: float = 5.0,
        state_machine: StateMachine = "enforce",
        application_name: str = "channel_server",
    ) -> "Repo":
        """Open a pool; only servers that take writes are connected to.

        Args:
            dsn: URL of a PostgreSQL of version 15 to 18. It may name several hosts, with commas
                between (``postgresql://user@one,two/name``): the first that takes writes is used.
            min_size: Connections that are always open.
            max_size: Connections at most.
            statement_timeout_ms: After this long a statement is cancelled: refused as ``busy``.
                A server that says nothing for `ANSWER_MARGIN` more is given up: ``unavailable``.
            acquire_timeout: Seconds to wait for a free connection: then refused as ``busy``.
            state_machine: ``observe`` counts illegal transitions of runs and lets them through.
            application_name: What ``pg_stat_activity`` calls the connections.

        Raises:
            OSError: The server cannot be reached.
            asyncpg.PostgresError: It refused us.
        """
        settings = {
            "application_name": application_name,
            "timezone": "UTC",
            "jit": "off",
            "statement_timeout": str(statement_timeout_ms),
            "idle_in_transaction_session_timeout": "60000",
            OBSERVE_SETTING: state_machine,
        }
        pool: asyncpg.Pool[Record] = await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            max_inactive_connection_lifetime=300.0,
            statement_cache_size=_CACHED_STATEMENTS,
            max_cached_statement_lifetime=0,
            command_timeout=statement_timeout_ms / 1000 + ANSWER_MARGIN,
            target_session_attrs=SessionAttribute.read_write,
            connection_class=_Connection,
            server_settings=settings,
        )
        return cls(dsn, pool, acquire_timeout, observes=state_machine == "observe")

    async def close(self, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Wait for statements under way and close all connections. Twice is fine.

        Args:
            timeout: Seconds to wait; then connections are cut.
        """
        self.closed = True
        try:
            async with asyncio.timeout(timeout):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def terminate(self) -> None:
        """Cut all connections, whatever they do."""
        self.closed = True
        self._pool.terminate()

    async def fetch(self, statement: Statement, *args: Any) -> list[Record] | Refused:
        """Run a statement and return its rows, or why it was refused. One round trip."""
        connection = await self._acquire()
        if isinstance(connection, Refused):
            return connection
        try:
            self.statements_run += 1
            rows = await _run(connection, statement, args)
        finally:
            await self._release(connection)
        reached = not isinstance(rows, Refused) or rows.kind != "unavailable"
        if reached is not self.reachable:
            self._note(reached)
        return rows

    async def renew(self) -> None:
        """Replace every connection: those that are free at their next use, others when they are."""
        await self._pool.expire_connections()

    def _note(self, reachable: bool) -> None:
        self.reachable = reachable
        if self.changed is not None:
            self.changed()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Transaction"]:
        """Run several statements as one; committed at the end, rolled back by an exception.

        A refused statement does not end the transaction by itself: PostgreSQL refuses all further
        ones. Raise :class:`Rollback` with the refusal to leave.

        Raises:
            Rollback: As raised inside, or when no connection is to be had, or at the commit.
        """
        connection = await self._acquire()
        if isinstance(connection, Refused):
            raise Rollback(connection)
        try:
            async with connection.transaction():
                yield Transaction(self, connection)
        except (OSError, pg.InterfaceError, pg.InternalClientError, pg.PostgresError) as error:
            refusal = violations.classify(
                error, statement="commit", constraints={}, connection_lost=_lost(connection, error)
            )
            if refusal is None:
                raise
            raise Rollback(refusal) from error
        finally:
            await self._release(connection)

    async def _acquire(self) -> Any:
        try:
            connection: Any = await self._pool.acquire(timeout=self._acquire_timeout)
        except (OSError, pg.InterfaceError, pg.InternalClientError, pg.PostgresError) as error:
            refusal = violations.connecting(error)
            if refusal is None:
                raise
            if refusal.kind == "unavailable" and self.reachable:
                self._note(False)
            return refusal
        if self._observes:
            connection.add_log_listener(self._observe)
        return connection

    async def _release(self, connection: Any) -> None:
        # A connection that died is replaced by the pool; what its end has to say is of no interest.
        if self._observes:
            with contextlib.suppress(pg.InterfaceError):
                connection.remove_log_listener(self._observe)
        with contextlib.suppress(OSError, pg.InterfaceError, pg.InternalClientError):
            await self._pool.release(connection)

    def _observe(self, _connection: Any, message: Any) -> None:
        if "illegal transition of run" in str(message.message):
            self.violations_observed += 1


class Rollback(Exception):  # noqa: N818 (it is raised to roll back, not because of an error)
    """Ends a transaction without effect.

    Attributes:
        refused: Why.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused)
        self.refused = refused


class Transaction(Runner):
    """Statements of one transaction, on one connection, one after the other."""

    def __init__(self, repo: Repo, connection: Any) -> None:
        self._repo = repo
        self._connection = connection

    async def fetch(self, statement: Statement, *args: Any) -> list[Record] | Refused:
        """Run a statement and return its rows, or why it was refused."""
        self._repo.statements_run += 1
        return await _run(self._connection, statement, args)


async def _run(
    connection: _Queries, statement: Statement, args: tuple[Any, ...]
) -> list[Record] | Refused:
    try:
        return await connection.fetch(statement.sql, *args)
    except (OSError, pg.InterfaceError, pg.InternalClientError, pg.PostgresError) as error:
        refusal = violations.classify(
            error,
            statement=statement.name,
            constraints=statement.constraints,
            deletes=statement.deletes,
            connection_lost=_lost(connection, error),
        )
        if refusal is None:
            violations.hide_contents(error)
            raise
        if isinstance(error, (pg.ReadOnlySQLTransactionError, TimeoutError)):
            # The server was made a standby, or is silent: another connection may do better.
            connection.terminate()
        return refusal


def _lost(connection: _Queries, error: BaseException) -> bool:
    try:
        return connection.is_closed()
    except pg.InterfaceError:
        # The pool has taken the closed connection away from us already.
        return True


async def connect(dsn: str) -> "asyncpg.Connection[Record]":
    """Open one connection outside any pool, which the caller closes."""
    return await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})


@contextlib.asynccontextmanager
async def connection(dsn: str) -> AsyncGenerator["asyncpg.Connection[Record]"]:
    """Open one connection outside any pool, for migrations and administration."""
    opened = await connect(dsn)
    try:
        yield opened
    finally:
        # One that died meanwhile cannot say goodbye.
        with contextlib.suppress(OSError, pg.InterfaceError, pg.InternalClientError):
            await opened.close()


__all__ = [
    "Kind",
    "Record",
    "Refused",
    "Repo",
    "Rollback",
    "Runner",
    "Statement",
    "Transaction",
    "UndeclaredConstraintError",
    "connect",
    "connection",
]
