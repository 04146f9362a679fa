"""Runs, newest first, a page at a time; and how many there are by state.

The statement is composed of the filters that are given, so that each has an index to walk along:
of the workflow, of the worker, of workflow and state, or of the project. A page reads as many rows
as it shows, for each project or workflow that it is asked for; rows that are inserted meanwhile
come before the first page and move nothing.

A search for text has no index. It looks at no more than ``MOST_SEARCHED`` runs for a page, and the
next page goes on where it stopped: such a page may be short, even empty, while there is a next one.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.fragments import run_json
from schema.graph_writer import run
from schema.lifecycle import RUN_STATES
from schema.reading.keyset import Place, like, parse_cursor
from schema.refused import Refused, invalid
from schema.repo import Repo, Rollback, Runner, Statement

LARGEST_PAGE: Final = 500
MOST_SEARCHED: Final = 2000
"""Runs that one page of a search looks at."""

COUNTED: Final = 10_000
"""Runs of one state are counted up to this many; it stands for "so many or more"."""

COUNTED_OF_WORKER: Final = 20_000
"""Of a worker only the latest runs are counted, for no index has its states; of each project."""

SEARCH_TIMEOUT: Final = "SET LOCAL statement_timeout = '5s'"
_LIMIT_TIME: Final = Statement("run_list.limit_time", SEARCH_TIMEOUT)

_SHOWN: Final = f"""{run_json("r")} || jsonb_build_object(
    'workflow_name', (SELECT name FROM workflows f WHERE f.id = r.workflow_id),
    'project_name', (SELECT name FROM projects p WHERE p.id = r.project_id))"""

_PROJECTS: Final = "(SELECT id FROM projects WHERE $1::uuid[] IS NULL OR id = ANY($1)) p"
_WORKFLOWS: Final = """(SELECT id FROM workflows
    WHERE ($1::uuid[] IS NULL OR project_id = ANY($1)) AND ($2::uuid IS NULL OR id = $2)) w"""

# $1 projects, $2 workflow, $3 states, $4 worker, $5 from, $6 to, $7 and $8 the place, $9 how many,
# $10 the text. Each is mentioned even where it is not used: the driver must know all their types.
_TYPES: Final = """(SELECT $1::uuid[], $2::uuid, $3::text[], $4::text, $5::timestamptz,
    $6::timestamptz, $7::timestamptz, $8::uuid, $9::int, $10::text)"""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are asked for.

    Attributes:
        projects: Of these projects; None is all, for those who may see all.
        workflow: Of this workflow only.
        states: In these states only; empty is any.
        worker: Claimed by the worker of this name.
        since: Created at this time or later.
        until: Created before this time.
        text: With this in the error or in a log line, in any case of letters.
    """

    projects: Sequence[UUID] | None = None
    workflow: UUID | None = None
    states: Sequence[str] = ()
    worker: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


class RunPage(msgspec.Struct, frozen=True):
    """A page of runs.

    Attributes:
        ids: Ids of the runs, in order.
        runs_json: The same as JSON texts.
        next: Cursor of the next page; None on the last one.
    """

    ids: list[UUID]
    runs_json: list[str]
    next: str | None


def check(wanted: RunFilter, cursor: str | None) -> Place | Refused | None:
    """Return the place that a cursor names, or what is wrong with the filter or the cursor."""
    if not set(wanted.states) <= set(RUN_STATES):
        return invalid("state", "is invalid")
    try:
        return None if cursor is None else parse_cursor(cursor)
    except ValueError:
        return invalid("cursor", "is invalid")


async def page(
    repo: Repo, wanted: RunFilter, *, cursor: str | None = None, limit: int = 50
) -> RunPage | Refused:
    """Return a page of runs, newest first.

    Args:
        repo: Where to.
        wanted: Which runs.
        cursor: Where the page before ended.
        limit: How many at most, up to ``LARGEST_PAGE``.

    Returns:
        A page; ``is invalid`` on ``state`` or ``cursor``; ``busy`` for a search that took too long.
    """
    place = check(wanted, cursor)
    if isinstance(place, Refused):
        return place
    limit = max(1, min(limit, LARGEST_PAGE))
    at, last = place or (None, None)
    arguments = (*filter_arguments(wanted), at, last, limit + 1)
    statement = page_statement(given_filters(wanted, place))
    if wanted.text is None:
        rows = await repo.fetch(statement, *arguments, None)
    else:
        rows = await _search(repo, statement, *arguments, like(wanted.text))
    if isinstance(rows, Refused):
        return rows
    shown = [row for row in rows if row["id"] is not None][:limit]
    following: Place | None = None
    if len(shown) < len(rows):
        end = shown[-1] if len(shown) == limit else rows[-1]
        following = Place(end["at"], end["id"] or end["seen"])
    ids, texts = [row["id"] for row in shown], [row["run"] for row in shown]
    return RunPage(ids, texts, following and following.cursor())


async def counts(repo: Runner, wanted: RunFilter) -> dict[str, int] | Refused:
    """Return how many runs there are by state, of any state and with any text, up to a bound."""
    rows = await repo.fetch(
        counts_statement(given_filters(wanted, None)),
        *filter_arguments(wanted),
        None,
        None,
        COUNTED,
        None,
    )
    return rows if isinstance(rows, Refused) else {row["state"]: row["runs"] for row in rows}


async def _search(repo: Repo, statement: Statement, *arguments: Any) -> list[Any] | Refused:
    try:
        async with repo.transaction() as transaction:
            await run(transaction, _LIMIT_TIME)
            return await run(transaction, statement, *arguments)
    except Rollback as rollback:
        return rollback.refused


def filter_arguments(wanted: RunFilter) -> tuple[Any, ...]:
    """Return the first arguments of both statements."""
    projects = None if wanted.projects is None else list(wanted.projects)
    states = list(wanted.states or RUN_STATES)
    return (projects, wanted.workflow, states, wanted.worker, wanted.since, wanted.until)


def given_filters(wanted: RunFilter, place: Place | None) -> frozenset[str]:
    """Return the names of the filters that are given: what the statements are composed of."""
    filters = ("workflow", "states", "worker", "since", "until", "text")
    names = {name for name in filters if getattr(wanted, name)}
    return frozenset(names | ({"place"} if place else set[str]()))


def _conditions(given: frozenset[str]) -> str:
    known = {
        "worker": "r.worker_name = $4",
        "since": "r.inserted_at >= $5",
        "until": "r.inserted_at < $6",
        "place": "(r.inserted_at, r.id) < ($7, $8)",
    }
    return "".join(f" AND {sql}" for name, sql in known.items() if name in given)


def _source(given: frozenset[str], states: str) -> str:
    """Return what is walked along, and the condition that ties runs to it."""
    if "workflow" in given or ("states" in given and "worker" not in given):
        return (
            f"{_WORKFLOWS}, unnest({states}) s (state)|r.workflow_id = w.id AND r.state = s.state"
        )
    some = f" AND r.state = ANY({states})" if "states" in given else ""
    return f"{_PROJECTS}|r.project_id = p.id{some}"


@cache
def page_statement(given: frozenset[str]) -> Statement:
    """Return the statement of a page for the names of the filters that are given."""
    walked, tied = _source(given, "$3::text[]").split("|")
    rows = str(MOST_SEARCHED) if "text" in given else "$9"
    order = "inserted_at DESC, id DESC"
    seen = f"""
SELECT r.* FROM {walked} CROSS JOIN LATERAL (
    SELECT * FROM runs r WHERE {tied}{_conditions(given)}
    ORDER BY {order} LIMIT {rows}) r
  ORDER BY r.inserted_at DESC, r.id DESC LIMIT {rows}"""
    if "text" not in given:
        sql = f"""
WITH seen AS ({seen})
SELECT r.id, r.inserted_at AS at, NULL::uuid AS seen, ({_SHOWN})::text AS run
FROM seen r LEFT JOIN {_TYPES} types ON false ORDER BY r.inserted_at DESC, r.id DESC"""
        return Statement("run_list.page", sql)
    # The rows of `seen` come in order and only as many as are needed; the last one that was looked
    # at is told where the page is not full and there was more to look at.
    sql = f"""
WITH seen AS MATERIALIZED ({seen}), found AS MATERIALIZED (
  SELECT r.* FROM seen r WHERE r.error_type ILIKE $10 OR r.error_message ILIKE $10
    OR EXISTS (SELECT 1 FROM log_lines l WHERE l.run_id = r.id AND l.message ILIKE $10)
  LIMIT $9
), further AS (
  SELECT s.inserted_at, s.id FROM seen s WHERE (SELECT count(*) FROM found) < $9
    AND (SELECT count(*) FROM seen) >= {MOST_SEARCHED}
  ORDER BY s.inserted_at, s.id LIMIT 1
)
SELECT every.* FROM (
  SELECT r.id, r.inserted_at AS at, NULL::uuid AS seen, ({_SHOWN})::text AS run FROM found r
  UNION ALL SELECT NULL, inserted_at, id, NULL FROM further
) every LEFT JOIN {_TYPES} types ON false
ORDER BY every.id IS NULL, every.at DESC, every.id DESC"""
    return Statement("run_list.search", sql)


@cache
def counts_statement(given: frozenset[str]) -> Statement:
    """Return the statement that counts by state, for the filters that are given."""
    conditions = _conditions(given - {"place"})
    states = ", ".join(f"('{state}')" for state in RUN_STATES)
    if "worker" in given:
        tied = "WHERE r.workflow_id = $2" if "workflow" in given else ""
        sql = f"""
SELECT s.state, coalesce(n.runs, 0) AS runs FROM (VALUES {states}) s (state) LEFT JOIN (
  SELECT r.state, least(count(*), $9)::int AS runs FROM {_PROJECTS} CROSS JOIN LATERAL (
    SELECT state, workflow_id FROM runs r WHERE r.project_id = p.id{conditions}
    ORDER BY inserted_at DESC LIMIT {COUNTED_OF_WORKER}) r {tied} GROUP BY 1) n USING (state)
LEFT JOIN {_TYPES} types ON false"""
        return Statement("run_list.counts", sql)
    sql = f"""
SELECT s.state, n.runs FROM (VALUES {states}) s (state) CROSS JOIN LATERAL (
  SELECT count(*)::int AS runs FROM (
    SELECT 1 FROM {_WORKFLOWS} JOIN runs r ON r.workflow_id = w.id
    WHERE r.state = s.state{conditions} LIMIT $9) counted) n
LEFT JOIN {_TYPES} types ON false"""
    return Statement("run_list.counts", sql)
