"""What a job handler returns, and what it may raise to be run again. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from pipelines.enums import JobResult
from pipelines.meta import LONGEST_MESSAGE, clean_text

_DEFAULT_MESSAGES: Final = {
    JobResult.SUCCESS: "Success",
    JobResult.WARNING: "Finished with warnings",
    JobResult.ERROR: "Failed",
}


class Outcome(msgspec.Struct, frozen=True):
    """How a job ended.

    Attributes:
        result: With ``ERROR`` everything that the handler wrote is rolled back, and nothing that it
            chained is inserted.
        message: For people. By default it is derived from the result, and "Success" with another
            result is not kept: a message tells the truth.
        meta: Merged over the metadata of the job.
    """

    result: JobResult = JobResult.SUCCESS
    message: str | None = None
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def status_message(self) -> str:
        """The message to store."""
        message = (self.message or "").strip()
        lies = self.result is not JobResult.SUCCESS and message.casefold() == "success"
        if not message or lies:
            message = _DEFAULT_MESSAGES[self.result]
        return clean_text(message, LONGEST_MESSAGE)


def outcome_of(returned: Outcome | Mapping[str, Any] | None) -> Outcome:
    """Return the outcome that a handler's return value stands for.

    A mapping is read as ``result`` (default SUCCESS) and ``status_message``; all of it becomes
    metadata.

    Raises:
        TypeError: It is none of the allowed types.
        ValueError: The mapping has an unknown result.
    """
    if returned is None:
        return Outcome()
    if isinstance(returned, Outcome):
        return returned
    if not isinstance(returned, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] (callers)
        raise TypeError(f"a job handler returned {type(returned).__name__}")
    result = returned.get("result") or JobResult.SUCCESS
    message = returned.get("status_message")
    return Outcome(
        result=JobResult(str(result)),
        message=None if message is None else str(message),
        meta=dict(returned),
    )


def failure(error: BaseException) -> Outcome:
    """Return the outcome of a handler that raised: its text, or its type if it has none."""
    return Outcome(JobResult.ERROR, str(error) or type(error).__name__)


class RetryJob(Exception):  # noqa: N818 (it asks for something, it does not report an error)
    """Raised by a handler that wants to be run again: something passing was in the way.

    Everything that it wrote is rolled back. The job goes back to the queue if it has attempts left;
    otherwise it ends with this as its error.

    Attributes:
        reason: For people.
        delay: How long to wait before the next attempt.
    """

    def __init__(self, reason: str, delay: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay

    def __str__(self) -> str:
        return self.reason
