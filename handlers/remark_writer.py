"""Remarks on events that changed nothing: collected, stored in the background, told to dashboards.

The reply to the event was given before; a worker that sends the same event a thousand times costs
one statement now and then.

What if it is lost? A remark whose process dies within a moment of the reply is lost. Remarks that
belong to a change are stored with it and are not lost.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from channel_server.log import get_logger
from channel_server.pubsub import PubSub
from schema import remarks
from schema.outcomes import Applied, Owner, Resent, TooLate
from schema.refusals import COMPLETED, UNKNOWN_STEP
from schema.refused import Refused
from schema.remarks import Remark
from schema.repo import Repo

WAITING: Final = 10_000
"""Remarks that may wait; those beyond are counted as dropped."""

TRIES: Final = 20
RETRY: Final = 0.5
"""Seconds until what the database did not take is tried again."""

STOP_PATIENCE: Final = 1.0

_NO_STEP: Final = "step:complete named no step"

log = get_logger(__name__)

_Key = tuple[str, str, UUID | None]


def remark_of(
    result: Resent | TooLate | Refused | Applied, event: str, step_id: UUID | None
) -> Remark | None:
    """What is to be remarked on an event that changed nothing; None for an ordinary mistake."""
    if isinstance(result, Resent):
        return Remark("resent", event, step_id)
    if isinstance(result, TooLate):
        return Remark("late", event, step_id, "acknowledged, not applied: the run was marked lost")
    if not isinstance(result, Refused):
        return None
    if result.errors == COMPLETED.errors:
        return Remark("late", event, step_id, "refused: the run was over")
    if event == "step:complete" and "step_id" in result.errors:
        if result.errors == UNKNOWN_STEP.errors:
            return Remark("missing", "step:start", step_id, "step:complete came without it")
        if step_id is None:
            return Remark("missing", "step:start", None, _NO_STEP)
    return None


class RemarkWriter:
    """Stores remarks with few statements.

    Args:
        repo: where to.
        pubsub: where dashboards are subscribed.

    Attributes:
        dropped: remarks that were not stored.
    """

    def __init__(self, repo: Repo, pubsub: PubSub) -> None:
        self.dropped = 0
        self._repo = repo
        self._pubsub = pubsub
        self._waiting: dict[Owner, dict[_Key, Remark]] = {}
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    def note(self, owner: Owner, remark: Remark) -> None:
        """Store a remark soon; the same one again is counted."""
        of_run = self._waiting.get(owner, {})
        key = (remark.kind, remark.event, remark.step_id)
        before = of_run.get(key)
        if before is None and self._count >= WAITING:
            self.dropped += remark.count
            return
        self._count += before is None
        count = remark.count + (0 if before is None else before.count)
        of_run[key] = msgspec.structs.replace(remark, count=count)
        self._waiting[owner] = of_run
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    def tell(self, run_id: UUID, payloads: Sequence[str]) -> None:
        """Tell who watches a run here of new remarks."""
        for payload in payloads:
            told = {"remark": msgspec.Raw(payload.encode())}
            self._pubsub.broadcast(f"run:{run_id}", remarks.EVENT, told)

    async def settled(self) -> None:
        """Wait until nothing is waiting. For tests."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Store what is waiting, for a moment."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_PATIENCE)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _write(self) -> None:
        tries = 0
        while self._waiting:
            owner = next(iter(self._waiting))
            batch = self._waiting.pop(owner)
            self._count -= len(batch)
            stored = await self._store(owner, batch)
            if stored or tries >= TRIES:
                self.dropped += 0 if stored else sum(each.count for each in batch.values())
                tries = 0
                continue
            tries += 1
            for remark in batch.values():
                self.note(owner, remark)
            await asyncio.sleep(RETRY)

    async def _store(self, owner: Owner, batch: dict[_Key, Remark]) -> bool:
        try:
            told = await remarks.note(self._repo, owner, list(batch.values()))
        except Exception:
            log.exception("remark_failed", run=str(owner.run_id))
            return True
        if isinstance(told, Refused):
            return not told.retryable
        self.tell(owner.run_id, told)
        return True
