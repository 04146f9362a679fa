"""Work orders with their attempts, newest first, a page at a time.

States of work orders have no index (they change with every run, and an index would make each change
dearer), so a filter by state looks at no more than ``MOST_LOOKED_AT`` work orders for a page and
goes on there with the next one: such a page may be short, even empty, while there is a next one.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Final
from uuid import UUID

import msgspec

from schema.fragments import work_order_json
from schema.lifecycle import WORK_ORDER_STATES
from schema.reading.keyset import Place, parse_cursor
from schema.refused import Refused, invalid
from schema.repo import Runner, Statement

LARGEST_PAGE: Final = 500
MOST_LOOKED_AT: Final = 5000
MOST_RUNS: Final = 100
"""Attempts that are listed of a work order, the latest ones."""

# $1 projects, $2 workflow, $3 states, $4 from, $5 to, $6 and $7 the place, $8 how many.
_TYPES: Final = """(SELECT $1::uuid[], $2::uuid, $3::text[], $4::timestamptz, $5::timestamptz,
    $6::timestamptz, $7::uuid, $8::int)"""

_SHOWN: Final = f"""{work_order_json("o")} || jsonb_build_object(
    'workflow_name', (SELECT name FROM workflows f WHERE f.id = o.workflow_id),
    'runs', coalesce((SELECT jsonb_agg(jsonb_build_object('id', r.id, 'state', r.state,
      'inserted_at', r.inserted_at, 'finished_at', r.finished_at, 'error_type', r.error_type)
      ORDER BY r.inserted_at, r.id)
      FROM (SELECT * FROM runs WHERE work_order_id = o.id
        ORDER BY inserted_at DESC, id DESC LIMIT {MOST_RUNS}) r), '[]'))"""


class WorkOrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which work orders are asked for.

    Attributes:
        projects: Of these projects.
        workflow: Of this workflow only.
        states: In these states only; empty is any.
        since: Created at this time or later.
        until: Created before this time.
    """

    projects: Sequence[UUID]
    workflow: UUID | None = None
    states: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None


class WorkOrderPage(msgspec.Struct, frozen=True):
    """A page: JSON texts, and the cursor of the next page or None."""

    orders_json: list[str]
    next: str | None


async def page(
    repo: Runner, wanted: WorkOrderFilter, *, cursor: str | None = None, limit: int = 50
) -> WorkOrderPage | Refused:
    """Return a page of work orders, newest first.

    Args:
        repo: Where to.
        wanted: Which.
        cursor: Where the page before ended.
        limit: How many at most, up to ``LARGEST_PAGE``.
    """
    if not set(wanted.states) <= set(WORK_ORDER_STATES):
        return invalid("state", "is invalid")
    try:
        place = None if cursor is None else parse_cursor(cursor)
    except ValueError:
        return invalid("cursor", "is invalid")
    names = {name for name in ("workflow", "states", "since", "until") if getattr(wanted, name)}
    limit = max(1, min(limit, LARGEST_PAGE))
    at, last = place or (None, None)
    rows = await repo.fetch(
        page_statement(frozenset(names | ({"place"} if place else set[str]()))),
        *(list(wanted.projects), wanted.workflow, list(wanted.states)),
        *(wanted.since, wanted.until, at, last, limit + 1),
    )
    if isinstance(rows, Refused):
        return rows
    shown = [row for row in rows if row["shown"] is not None][:limit]
    following = None
    if len(shown) < len(rows):
        end = shown[-1] if len(shown) == limit else rows[-1]
        following = Place(end["at"], end["id"]).cursor()
    return WorkOrderPage([row["shown"] for row in shown], following)


@cache
def page_statement(given: frozenset[str]) -> Statement:
    """Return the statement for the names of the filters that are given."""
    known = {
        "since": "o.inserted_at >= $4",
        "until": "o.inserted_at < $5",
        "place": "(o.inserted_at, o.id) < ($6, $7)",
    }
    conditions = "".join(f" AND {sql}" for name, sql in known.items() if name in given)
    rows = str(MOST_LOOKED_AT) if "states" in given else "$8"
    if "workflow" in given:
        walked = "(SELECT id FROM workflows WHERE id = $2 AND project_id = ANY($1)) w"
        tied = "o.workflow_id = w.id"
    else:
        walked, tied = "(SELECT id FROM projects WHERE id = ANY($1)) p", "o.project_id = p.id"
    seen = f"""
  SELECT o.* FROM {walked} CROSS JOIN LATERAL (
    SELECT * FROM work_orders o WHERE {tied}{conditions}
    ORDER BY inserted_at DESC, id DESC LIMIT {rows}) o
  ORDER BY o.inserted_at DESC, o.id DESC LIMIT {rows}"""
    wanted = "WHERE o.state = ANY($3)" if "states" in given else ""
    further = (
        f"""
  UNION ALL (SELECT o.id, o.inserted_at, NULL FROM seen o
    WHERE (SELECT count(*) FROM found) < $8 AND (SELECT count(*) FROM seen) >= {MOST_LOOKED_AT}
    ORDER BY o.inserted_at, o.id LIMIT 1)"""
        if "states" in given
        else ""
    )
    sql = f"""
WITH seen AS MATERIALIZED ({seen}
), found AS MATERIALIZED (SELECT o.* FROM seen o {wanted} LIMIT $8)
SELECT every.* FROM (
  SELECT o.id, o.inserted_at AS at, ({_SHOWN})::text AS shown FROM found o{further}
) every LEFT JOIN {_TYPES} types ON false
ORDER BY every.shown IS NULL, every.at DESC, every.id DESC"""
    return Statement("work_order_list.page", sql)
