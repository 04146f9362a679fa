"""What lists and dashboards ask: many pipelines at once, and never those of other tenants."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from pipelines.model import Pipeline, pipeline_from_row
from pipelines.storage.connection import Connection
from schema.tables.pipelines import ACTIVE

TENANTS: Final = "({tenants}::text[] IS NULL OR tenant_id IS NULL OR tenant_id = ANY({tenants}))"

_LIST: Final = f"""SELECT * FROM pipelines
WHERE {TENANTS.format(tenants="$1")}
  AND ($2::text[] IS NULL OR status = ANY($2)) AND ($3::text[] IS NULL OR kind = ANY($3))
  AND ($4::int IS NULL OR year = $4) AND ($5::int IS NULL OR module_type_id = $5)
  AND ($6::timestamptz IS NULL OR (created_at, id) < ($6, $7))
ORDER BY created_at DESC, id DESC LIMIT $8"""

# In one statement: between two, a job can end that was running for the first, and is over for the
# second. The stored status follows the jobs in a transaction of its own, so they are asked too.
_SHOWN: Final = f"""SELECT module, coalesce(
  (SELECT pipeline_id FROM pipeline_jobs
    WHERE module_type_id = module AND year = $3 AND {ACTIVE} AND {TENANTS.format(tenants="$1")}
    ORDER BY id DESC LIMIT 1),
  (SELECT CASE WHEN whole.status IN ('PARTIAL', 'FAILED') OR EXISTS (SELECT 1
      FROM pipeline_jobs WHERE pipeline_id = whole.id AND result = 'ERROR') THEN whole.id END
    FROM (SELECT pipeline_id FROM pipeline_jobs
      WHERE module_type_id = module AND year = $3 AND {TENANTS.format(tenants="$1")}
      ORDER BY id DESC LIMIT 1) AS latest
    JOIN pipelines AS whole ON whole.id = latest.pipeline_id)) AS pipeline_id
FROM unnest($2::int[]) AS module"""

_STALENESS: Final = """SELECT scope.module_type_id, scope.year, job.id, job.state, job.result,
  job.finished_at, extract(epoch FROM clock_timestamp() - job.finished_at)::float8 / 60 AS age,
  job.finished_at < clock_timestamp() - $3::interval AS too_old,
  EXISTS (SELECT 1 FROM pipeline_jobs AS input
    WHERE input.module_type_id = scope.module_type_id AND input.year = scope.year
      AND input.job_type = ANY($5) AND input.state = 'FINISHED' AND input.result <> 'ERROR'
      AND (job.claimed_at IS NULL OR input.finished_at > job.claimed_at)) AS inputs_newer
FROM unnest($1::int[], $2::int[]) AS scope (module_type_id, year)
LEFT JOIN LATERAL (SELECT * FROM pipeline_jobs
  WHERE job_type = $4 AND module_type_id = scope.module_type_id AND year = scope.year
  ORDER BY id DESC LIMIT 1) AS job ON true
ORDER BY scope.year, scope.module_type_id"""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which pipelines; None does not narrow.

    Attributes:
        tenants: Those of these tenants and of nobody in particular.
        statuses: With one of these stored statuses.
        kinds: With one of these root job types.
        before: Older than this position, as :attr:`Page.after` has it.
    """

    tenants: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    kinds: Sequence[str] | None = None
    year: int | None = None
    module_type_id: int | None = None
    before: tuple[datetime, UUID] | None = None


class Page(msgspec.Struct, frozen=True):
    """Some pipelines, newest first, and the position after them if there are more."""

    pipelines: tuple[Pipeline, ...]
    after: tuple[datetime, UUID] | None


class Staleness(msgspec.Struct, frozen=True, kw_only=True):
    """The last job of a scope's last stage, and what speaks against it.

    Attributes:
        job_id: That job; None if there never was one.
        state: Its state.
        result: Its result.
        finished_at: When it finished.
        age_minutes: How long ago that was.
        too_old: Longer ago than was asked for.
        inputs_newer: Something that it should have read finished after it was claimed.
    """

    module_type_id: int
    year: int
    job_id: int | None
    state: str | None
    result: str | None
    finished_at: datetime | None
    age_minutes: float | None
    too_old: bool
    inputs_newer: bool


async def list_pipelines(connection: Connection, wanted: Filter, limit: int) -> Page:
    """Return up to ``limit`` pipelines, newest first; statuses are the stored ones."""
    at, last = wanted.before or (None, None)
    rows = await connection.fetch(
        _LIST,
        *(wanted.tenants, wanted.statuses, wanted.kinds, wanted.year, wanted.module_type_id),
        *(at, last, limit + 1),
    )
    found = tuple(pipeline_from_row(row) for row in rows[:limit])
    more = len(rows) > limit
    return Page(found, (found[-1].created_at, found[-1].id) if more else None)


async def shown_pipelines(
    connection: Connection, year: int, modules: Sequence[int], tenants: Sequence[str] | None
) -> dict[int, UUID]:
    """Return the pipeline to show for each module of a year; absent is none.

    That of the latest active job; where nothing is active, the latest one if it did not succeed, so
    that a failure is still shown to somebody who comes back.
    """
    rows = await connection.fetch(_SHOWN, tenants, list(modules), year)
    return {row["module"]: row["pipeline_id"] for row in rows if row["pipeline_id"] is not None}


async def staleness(
    connection: Connection,
    scopes: Sequence[tuple[int, int]],
    *,
    older_than: timedelta,
    terminal: str,
    inputs: Sequence[str],
) -> list[Staleness]:
    """Return how the last stage of some scopes stands.

    Args:
        connection: Not necessarily in a transaction.
        scopes: Modules with years.
        older_than: What finished longer ago is too old.
        terminal: Job type of the last stage.
        inputs: Job types that it reads from.
    """
    rows = await connection.fetch(
        _STALENESS,
        [module for module, _ in scopes],
        [year for _, year in scopes],
        older_than,
        terminal,
        list(inputs),
    )
    return [
        Staleness(
            module_type_id=row["module_type_id"],
            year=row["year"],
            job_id=row["id"],
            state=row["state"],
            result=row["result"],
            finished_at=row["finished_at"],
            age_minutes=row["age"],
            too_old=bool(row["too_old"]),
            inputs_newer=row["inputs_newer"],
        )
        for row in rows
    ]
