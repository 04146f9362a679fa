"""What the driver says of connections that it mends itself, for those who debug.

It says so with tracebacks, each time: while the database is away, and when a task is cancelled in
the moment in which its transaction begins. Readiness tells operators what they need to know.
"""

import logging
from typing import Final

from asyncpg import PostgresConnectionError

_MENDED: Final = (
    "Failed to restore the pool connection floor",
    "Resetting connection with an active transaction",
)
# A statement, or the return of a connection to its pool, whose waiter was cancelled just before the
# connection went. Tasks of our own are no business of this.
_UNHEARD: Final = "Future exception was never retrieved"
_UNHEARD_RELEASE: Final = "PoolConnectionHolder.release() done"
_LOGGERS: Final = ("asyncio", "asyncpg.pool")


class _Mended(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not _is_mended(record):
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.exc_info = record.exc_text = None
        return logging.getLogger().isEnabledFor(logging.DEBUG)


def _is_mended(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    if record.exc_info and (said.startswith(_UNHEARD) or _UNHEARD_RELEASE in said):
        return isinstance(record.exc_info[1], PostgresConnectionError)
    return said.startswith(_MENDED)


_FILTER: Final = _Mended()


def calm() -> None:
    """Let such lines be of level debug and without a traceback. Twice is fine."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
