"""One dataclip with its body and request, or the fact that they were wiped."""

from typing import Final
from uuid import UUID

from schema.refused import Refused
from schema.repo import Runner, Statement

# Put together as text: a body may be large, and is not to be copied into another JSON value.
DATACLIP: Final = Statement(
    "dataclip.show",
    """
SELECT json_build_object('id', d.id, 'project_id', d.project_id, 'type', d.type, 'name', d.name,
  'inserted_at', d.inserted_at, 'wiped', d.wiped_at IS NOT NULL, 'wiped_at', d.wiped_at,
  'body', d.body, 'request', d.request)::text AS payload
FROM dataclips d WHERE d.id = $1 AND d.project_id = ANY($2)""",
)


async def dataclip(repo: Runner, dataclip_id: UUID, projects: list[UUID]) -> str | Refused | None:
    """Return a dataclip as JSON text; None if there is none in these projects."""
    row = await repo.fetchrow(DATACLIP, dataclip_id, projects)
    return row if row is None or isinstance(row, Refused) else row["payload"]
