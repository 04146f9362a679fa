"""What a webhook call needs to know of its trigger before its body is read."""

from typing import Final
from uuid import UUID

import msgspec

from schema.refused import Refused
from schema.repo import Runner, Statement

FIND: Final = Statement(
    "webhook_triggers.find",
    """
SELECT w.project_id, t.enabled AND w.enabled AS enabled, t.webhook_reply,
  t.webhook_response_config::text AS webhook_response_config
FROM triggers t JOIN workflows w ON w.id = t.workflow_id
WHERE t.id = $1 AND t.type = 'webhook'""",
)

UNKNOWN: Final = Refused({"trigger_id": ["not found"]}, "not_found", code="not_found")


class WebhookTrigger(msgspec.Struct, frozen=True):
    """A trigger of type ``webhook``.

    Attributes:
        project_id: Whose it is.
        enabled: Whether it and its workflow are switched on.
        webhook_reply: ``before_start`` or ``after_completion``.
        webhook_response_config: JSON text, or None.
    """

    project_id: UUID
    enabled: bool
    webhook_reply: str
    webhook_response_config: str | None


async def find(repo: Runner, trigger_id: UUID) -> WebhookTrigger | Refused:
    """Return a trigger of type ``webhook``; refused as ``not_found`` if there is none."""
    row = await repo.fetchrow(FIND, trigger_id)
    if row is None:
        return UNKNOWN
    if isinstance(row, Refused):
        return row
    return WebhookTrigger(
        row["project_id"],
        row["enabled"],
        row["webhook_reply"],
        row["webhook_response_config"],
    )
