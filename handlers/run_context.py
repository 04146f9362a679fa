"""What the event modules of one worker's run channel share, and how a result becomes a reply."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from channel_server.channel import Reply
from channel_server.log import get_logger
from handlers import wire_errors
from handlers.gateway import Gateway
from handlers.remark_writer import remark_of
from handlers.scrubber import Scrubber
from schema import run_events
from schema.outcomes import Applied, Owner, Resent, TooLate
from schema.refused import Refused
from schema.remarks import Remark

T = TypeVar("T")
Change: TypeAlias = Applied | Resent | TooLate | Refused
"""What the schema says of an event that changes something."""

OUTCOME_PATIENCE = 20.0
"""Seconds that a write is tried again whose outcome is unknown; below the 30 s of the workers."""

FIRST_RETRY = 0.05
LONGEST_RETRY = 1.0

OK_NULL = Reply("ok", None)
TOO_LATE = Reply("ok", {"status": "too_late"})

log = get_logger(__name__)


class RunContext:
    """One worker's view of one run, for as long as its channel lives.

    Attributes:
        gateway: the shared parts.
        owner: the run, and the lease in the worker's token; perhaps no longer the current one.
        project_id: the run's project.
        save_dataclips: whether bodies of dataclips are stored.
        plan_json: JSON text of the plan.
        scrubber: the secrets that the run has fetched.
        uncertain: whether the last write may have been committed by a try whose answer was lost.
    """

    __slots__ = (
        "gateway",
        "owner",
        "plan_json",
        "project_id",
        "save_dataclips",
        "scrubber",
        "uncertain",
    )

    def __init__(
        self,
        gateway: Gateway,
        owner: Owner,
        *,
        project_id: UUID,
        save_dataclips: bool,
        plan_json: str,
        scrubber: Scrubber,
    ) -> None:
        self.gateway = gateway
        self.owner = owner
        self.project_id = project_id
        self.save_dataclips = save_dataclips
        self.plan_json = plan_json
        self.scrubber = scrubber
        self.uncertain = False

    def publish(self, applied: Applied) -> None:
        """Tell dashboards of a committed change of this run."""
        self.gateway.publish(self.owner.run_id, self.project_id, applied)

    async def persist(
        self, write: Callable[[], Awaitable[T | Refused]], *, patience: float | None = None
    ) -> T | Refused:
        """Write, and write again while the database is away; every write is idempotent.

        Args:
            write: sends one statement.
            patience: seconds to go on trying; default the setting `database_patience`.
        """
        limit = self.gateway.settings.database_patience if patience is None else patience
        self.uncertain = False
        return await insist(write, limit, self._retrying)

    async def change(self, write: Callable[[], Awaitable[Change]], event: str) -> Change:
        """Persist a change that dashboards are told of.

        If an earlier try was committed and only its answer was lost, the change is found in place
        of the re-send that the last try looks like, so that it is told after all, once.

        Args:
            write: sends one statement.
            event: name of the event that it records.
        """
        result = await self.persist(write)
        if not (self.uncertain and isinstance(result, Resent)):
            return result
        found = await run_events.latest(self.gateway.repo, self.owner.run_id, event)
        if found is None or isinstance(found, Refused):
            return result
        return Applied(found.version, found.name, found.payload_json, found.seq)

    def _retrying(self, refused: Refused) -> None:
        self.uncertain |= refused.outcome_unknown
        self.gateway.metrics.retries += 1
        log.debug("statement_retried", run=str(self.owner.run_id), kind=refused.kind)

    def answer(
        self,
        result: Change,
        event: str,
        reply: Reply = OK_NULL,
        *,
        step_id: UUID | None = None,
        wrapped: frozenset[str] = wire_errors.NO_FIELDS,
    ) -> Reply:
        """The reply to a write; what was applied is told to dashboards, once.

        What was odd about it is remarked: with the change, or later if nothing was changed.

        Args:
            result: what the schema said.
            event: name of the event.
            reply: for the event, sent for the first time or again.
            step_id: the step that it names.
            wrapped: fields whose missing row has the wrapped shape.
        """
        dropped = self.gateway.metrics.events_dropped
        if isinstance(result, Applied):
            self.publish(result)
            self.gateway.remarks.tell(self.owner.run_id, result.remarks)
            return reply
        remark = remark_of(result, event, step_id)
        if remark is not None:
            self.remark(remark)
        if isinstance(result, Resent):
            dropped["resent"] += 1
            return reply
        if isinstance(result, TooLate):
            dropped["too_late"] += 1
            return TOO_LATE
        if result.kind == "lease_lost":
            dropped["lease_lost"] += 1
        return wire_errors.refusal(result, wrapped)

    def remark(self, remark: Remark) -> None:
        """Remark on an event that changed nothing; the reply does not wait for it."""
        # An event that looks like a re-send because its first answer was lost on the way to us is
        # none: the worker sent it once.
        if remark.kind != "resent" or not self.uncertain:
            self.gateway.remarks.note(self.owner, remark)


async def insist(
    write: Callable[[], Awaitable[T | Refused]],
    patience: float,
    retrying: Callable[[Refused], Any] = lambda _refused: None,
) -> T | Refused:
    """Call `write` until it is answered, refused for good, or `patience` seconds went by.

    A try whose answer was lost may have been committed. To refuse it then would be a guess, so it
    is tried for `OUTCOME_PATIENCE` seconds at least; every write is idempotent.
    """
    began = monotonic()
    delay = FIRST_RETRY
    while True:
        result = await write()
        if not isinstance(result, Refused) or not result.retryable:
            return result
        if result.outcome_unknown:
            patience = max(patience, OUTCOME_PATIENCE)
        if monotonic() + delay > began + patience:
            return result
        retrying(result)
        await asyncio.sleep(delay)
        delay = min(2 * delay, LONGEST_RETRY)


def response(**fields: Any) -> Reply:
    """An ok reply with these fields."""
    return Reply("ok", fields)
