"""Cron triggers that are in force: those of enabled workflows, with an expression."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from schema.refused import Refused
from schema.repo import Runner, Statement

ENABLED: Final = Statement(
    "cron_triggers.enabled",
    """SELECT t.id, t.cron_expression, greatest(t.updated_at, w.updated_at) AS since
FROM triggers t JOIN workflows w ON w.id = t.workflow_id
WHERE t.type = 'cron' AND t.enabled AND w.enabled AND t.cron_expression IS NOT NULL
ORDER BY t.id""",
)


class CronTrigger(msgspec.Struct, frozen=True):
    """A trigger that starts runs by the clock.

    Attributes:
        id: Of the trigger.
        cron_expression: Five fields, UTC.
        since: When it was stored or last provisioned; earlier ticks are not for it.
    """

    id: UUID
    cron_expression: str
    since: datetime


async def enabled(repo: Runner) -> list[CronTrigger] | Refused:
    """Return all cron triggers that are switched on, in workflows that are."""
    rows = await repo.fetch(ENABLED)
    if isinstance(rows, Refused):
        return rows
    return [CronTrigger(row["id"], row["cron_expression"], row["since"]) for row in rows]
