"""Dataclips: what a run starts from."""

from typing import Final

import msgspec

from schema.fragments import dataclip_json
from schema.outcomes import Applied, Owner
from schema.refusals import ask
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

UPDATED: Final = "dataclip:updated"

# All parts see the same snapshot: `clip` is the body as it was before it is wiped.
FETCH_INPUT: Final = Statement(
    "dataclips.fetch_input",
    f"""
WITH owned AS (
  SELECT id, dataclip_id, save_dataclips FROM runs WHERE id = $1 AND lease = $2
), clip AS (
  SELECT CASE WHEN d.wiped_at IS NOT NULL THEN NULL
    WHEN d.type IN ('http_request', 'kafka') THEN '{{"data": ' || coalesce(d.body::text, 'null')
      || ', "request": ' || coalesce(d.request::text, 'null') || '}}'
    ELSE d.body::text END AS body
  FROM owned o JOIN dataclips d ON d.id = o.dataclip_id
), wiped AS (
  UPDATE dataclips d SET body = NULL, request = NULL, wiped_at = now()
  FROM owned o
  WHERE d.id = o.dataclip_id AND NOT o.save_dataclips AND d.type <> 'global'
    AND d.wiped_at IS NULL
  RETURNING d.*
), bumped AS (
  UPDATE runs r SET version = r.version + 1 FROM wiped w WHERE r.id = $1
  RETURNING r.id, r.version
), event AS (
  INSERT INTO run_events (run_id, version, event, payload)
  SELECT b.id, b.version, '{UPDATED}',
    jsonb_build_object('dataclip', {dataclip_json("w")}, 'version', b.version)
  FROM bumped b, wiped w
  RETURNING version, event, payload::text AS payload
)
SELECT coalesce((SELECT body FROM clip), 'null') AS body, e.version, e.event, e.payload
FROM owned o LEFT JOIN event e ON true""",
    declared("dataclips", "run_events"),
)


class Input(msgspec.Struct, frozen=True):
    """The input of a run.

    Attributes:
        body: JSON text for the wire; ``null`` for a dataclip that is wiped or missing.
        wiped: What to tell watchers when the dataclip was wiped by this fetch, else None.
    """

    body: str
    wiped: Applied | None


async def fetch_input(repo: Runner, owner: Owner) -> Input | Refused:
    """Return the input of a run, and wipe it when the run does not save dataclips.

    A ``global`` dataclip is never wiped. Fetching twice returns ``null`` the second time when the
    first one wiped it: whoever lost the answer to the first has lost the input, by design.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
    """
    row = await repo.fetchrow(FETCH_INPUT, owner.run_id, owner.lease)
    if isinstance(row, Refused):
        return row
    if row is None:
        why = await ask(repo, owner)
        return why if isinstance(why, Refused) else await fetch_input(repo, owner)
    wiped = row["version"] and Applied(row["version"], row["event"], row["payload"])
    return Input(row["body"], wiped)
