"""How failures are logged: an outage of the database passes by itself, all else is for people."""

from typing import Any

from structlog.stdlib import BoundLogger

from pipelines.storage.connection import is_outage


def log_failure(log: BoundLogger, event: str, error: BaseException, **fields: Any) -> None:
    """Log an outage as a warning with its reason, and anything else as an error with a traceback.

    Args:
        log: Logger of the module that failed.
        event: What did not happen.
        error: Why.
        fields: What it was about.
    """
    if is_outage(error):
        log.warning(event, reason=str(error), **fields)
    else:
        log.error(event, exc_info=error, **fields)
