"""Log lines of a run, a page at a time, in the order in which they arrived."""

from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.fragments import log_line_json
from schema.reading.keyset import like
from schema.refused import Refused
from schema.repo import Runner, Statement

LARGEST_PAGE: Final = 5000

_TYPES: Final = """(SELECT $1::uuid, $2::bigint, $3::bigint, $4::text[], $5::uuid, $6::text,
    $7::int)"""


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are asked for.

    Attributes:
        after: Later than this version.
        before: Earlier than this version; then the latest of them, still in order.
        levels: Of these levels only; empty is any.
        step_id: Of this step only.
        text: With this in the message, in any case of letters.
    """

    after: int | None = None
    before: int | None = None
    levels: tuple[str, ...] = ()
    step_id: UUID | None = None
    text: str | None = None


class LogPage(msgspec.Struct, frozen=True):
    """A page of lines.

    Attributes:
        lines_json: JSON texts, in order.
        next: Version to go on from: with ``after``, or with ``before`` where that was given.
        total: How many there are with this filter, on the first page; else None.
    """

    lines_json: list[str]
    next: int | None
    total: int | None


async def page(
    repo: Runner, run_id: UUID, wanted: LogFilter, *, limit: int = 1000, total: bool = True
) -> LogPage | Refused:
    """Return a page of a run's lines; who may see the run was asked before.

    Args:
        repo: Where to.
        run_id: The run.
        wanted: Which lines.
        limit: How many at most, up to ``LARGEST_PAGE``.
        total: Also count all lines with this filter, if this is the first page.
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    names = {
        name for name in LogFilter.__struct_fields__ if getattr(wanted, name) not in (None, ())
    }
    if total and not names & {"after", "before"}:
        names.add("total")
    rows = await repo.fetch(
        page_statement(frozenset(names)),
        run_id,
        wanted.after,
        wanted.before,
        list(wanted.levels),
        wanted.step_id,
        None if wanted.text is None else like(wanted.text),
        limit + 1,
    )
    if isinstance(rows, Refused):
        return rows
    count = rows[0]["total"] if rows else (0 if "total" in names else None)
    if wanted.before is not None:
        shown = rows[-limit:]
        following = shown[0]["version"] if len(rows) > limit else None
    else:
        shown = rows[:limit]
        following = shown[-1]["version"] if len(rows) > limit else None
    return LogPage([row["line"] for row in shown], following, count)


@cache
def page_statement(given: frozenset[str]) -> Statement:
    """Return the statement for the names of the filters that are given."""
    filters: dict[str, Any] = {
        "levels": "l.level = ANY($4)",
        "step_id": "l.step_id = $5",
        "text": "l.message ILIKE $6",
    }
    places = {"after": "l.version > $2", "before": "l.version < $3"}
    always = "".join(f" AND {sql}" for name, sql in filters.items() if name in given)
    place = "".join(f" AND {sql}" for name, sql in places.items() if name in given)
    order = "DESC" if "before" in given else ""
    total = (
        f"(SELECT count(*) FROM log_lines l WHERE l.run_id = $1{always})"
        if "total" in given
        else "NULL::bigint"
    )
    sql = f"""
SELECT l.version, {log_line_json("l")}::text AS line, {total} AS total
FROM (SELECT * FROM log_lines l WHERE l.run_id = $1{always}{place}
  ORDER BY l.version {order} LIMIT $7) l LEFT JOIN {_TYPES} types ON false
ORDER BY l.version"""
    return Statement("run_logs.page", sql)
