"""What the driver says of connections that it mends itself, for those who debug.

It says so with tracebacks, each time: while the database is away, and when a task is cancelled in
the moment in which its transaction begins. Readiness tells operators what they need to know.
"""

import logging
from typing import Final

_MENDED: Final = (
    "Failed to restore the pool connection floor",
    "Resetting connection with an active transaction",
)
_LOGGERS: Final = ("asyncio", "asyncpg.pool")


class _Mended(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not record.getMessage().startswith(_MENDED):
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.exc_info = record.exc_text = None
        return logging.getLogger().isEnabledFor(logging.DEBUG)


_FILTER: Final = _Mended()


def calm() -> None:
    """Let such lines be of level debug and without a traceback. Twice is fine."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
