"""What the gateway's job handlers share: the gateway, and its statements inside a job."""

from typing import TYPE_CHECKING, TypeVar, cast

from pipelines import JobContext, RetryJob, Transaction
from schema.refused import Refused
from schema.repo import Runner
from schema.repo import Transaction as Statements

if TYPE_CHECKING:
    from handlers.gateway import Gateway

T = TypeVar("T")

GATEWAY = "gateway"
"""Name of the gateway among the services of the engine."""


def gateway_of(context: JobContext) -> "Gateway":
    """Return the gateway that the engine was made for."""
    return cast("Gateway", context.services[GATEWAY])


async def statements(context: JobContext, transaction: Transaction) -> Runner:
    """Return what runs the schema's statements in the transaction of the job."""
    return Statements(gateway_of(context).repo, await transaction.connection())


def accept(answer: T | Refused) -> T:
    """Return an answer of the schema.

    Raises:
        RetryJob: The database is busy or away; the job is run again.
        RefusedError: It said no.
    """
    if not isinstance(answer, Refused):
        return answer
    if answer.retryable or answer.kind in {"busy", "unavailable"}:
        raise RetryJob(f"the database is {answer.kind}")
    raise RefusedError(answer)


class RefusedError(Exception):
    """The schema refused what a job asked for.

    Attributes:
        refused: Its answer.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused)
        self.refused = refused

    def __str__(self) -> str:
        errors = "; ".join(
            f"{name} {', '.join(text)}" for name, text in self.refused.errors.items()
        )
        return errors or self.refused.code or self.refused.kind
