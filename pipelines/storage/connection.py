"""Connections of the job engine, and which of their errors pass by themselves.

The engine has a pool of its own: a job may hold a transaction for minutes, and heartbeats must
never wait behind those who serve sockets.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
from asyncpg import exceptions as pg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

Record: TypeAlias = asyncpg.Record
"""One row; columns by name."""

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[Record] | PoolConnectionProxy[Record]
    Pool: TypeAlias = asyncpg.Pool[Record]
else:
    # Neither can be subscribed when the program runs.
    Connection = PoolConnectionProxy
    """A connection, from a pool or not. Not for use by two tasks at once."""
    Pool = asyncpg.Pool
    """A pool of connections."""

UniqueViolation = pg.UniqueViolationError
"""A unique index refused a row; ``constraint_name`` says which."""


class DatabaseUnavailableError(Exception):
    """No connection is to be had."""

    def __str__(self) -> str:
        return f"the database is out of reach: {self.__cause__!r}"


_PASSING: Final = (
    DatabaseUnavailableError,
    pg.PostgresConnectionError,
    pg.InterfaceError,
    pg.InternalClientError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.CannotConnectNowError,
    pg.ReadOnlySQLTransactionError,
    pg.InsufficientResourcesError,
    pg.DeadlockDetectedError,
    pg.SerializationError,
    pg.LockNotAvailableError,
    pg.IdleInTransactionSessionTimeoutError,
)


async def open_pool(
    dsn: str,
    *,
    concurrency: int,
    application_name: str = "pipelines",
    longest_idle: timedelta | None = None,
) -> Pool:
    """Open the pool of an engine.

    Args:
        dsn: URL of the database.
        concurrency: Jobs that run at once; each may hold one connection. Three more are kept for
            heartbeats, progress and the poller.
        application_name: Shown in ``pg_stat_activity``.
        longest_idle: A transaction that waits for us for longer is ended by the server, so that a
            process that is frozen or cut off keeps no lock. None: the default of the server.

    Raises:
        OSError: The server cannot be reached.
    """
    settings = {"application_name": application_name, "timezone": "UTC", "jit": "off"}
    if longest_idle is not None:
        milliseconds = max(1, round(longest_idle.total_seconds() * 1_000))
        settings["idle_in_transaction_session_timeout"] = str(milliseconds)
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=concurrency + 3,
        max_inactive_connection_lifetime=60.0,
        server_settings=settings,
        target_session_attrs=SessionAttribute.read_write,
    )


def is_passing(error: BaseException, connection: Connection | None = None) -> bool:
    """Say whether an error lies in the database or the way to it, and not in what was asked.

    Args:
        error: What was raised.
        connection: The connection it was raised on; any error of one that was lost is passing.
    """
    if isinstance(error, _PASSING):
        return True
    if connection is None or not isinstance(error, OSError | asyncpg.PostgresError):
        return False
    try:
        return connection.is_closed()
    except pg.InterfaceError:
        return True


def is_outage(error: BaseException) -> bool:
    """Say whether an error of our own statements means that the database is out of reach."""
    return isinstance(error, (*_PASSING, OSError))
