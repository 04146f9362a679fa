"""``/api/health/stale-stats``: totals that do not say what the data says, and why.

Also the statistics of runs, which are derived in the same way. Read-only: nothing is tried again.
"""

from datetime import date, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromQuery

from handlers.http.auth import viewer_of
from handlers.http.pipeline_access import Asked, connection, gateway_of, number
from handlers.http.pipeline_shapes import Time
from handlers.jobs.staleness import stale_run_statistics
from pipelines.storage.listing import Staleness, staleness

WhyStale = Literal[
    "no_aggregation_ever",
    "pending_aggregation_stuck",
    "last_aggregation_failed",
    "last_aggregation_too_old",
]

INPUTS: Final = (
    "csv_ingest",
    "api_ingest",
    "factor_ingest",
    "emission_recalc",
    "module_emission_recalc",
)
"""What an aggregation reads the work of."""

MOST_MINUTES: Final = 10 * 366 * 24 * 60

_SCOPES: Final = """SELECT DISTINCT module.module_type_id, report.year
FROM carbon_report_modules AS module
JOIN carbon_reports AS report ON report.id = module.carbon_report_id"""


class StaleStats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module of a year whose totals are not to be trusted.

    Attributes:
        last_finished_aggregation_at: Null unless the last aggregation finished.
        why_stale: The first reason that applies.
        age_minutes: How long ago that was.
        inputs_newer: An ingest or recalculation of the scope finished after the aggregation was
            claimed: it did not see it. Then the age does not matter; alerts should use this field.
    """

    module_type_id: int
    year: int
    last_finished_aggregation_at: Time | None
    why_stale: WhyStale
    last_aggregation_job_id: int | None
    age_minutes: float | None
    inputs_newer: bool


class StaleRunStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workflow and day whose statistics are older than its runs."""

    workflow_id: UUID
    day: date
    why_stale: WhyStale
    last_aggregation_job_id: int | None
    age_minutes: float | None
    inputs_newer: bool


@get("/stale-stats")
async def stale_stats(
    request: Asked, older_than_minutes: FromQuery[str | None] = None
) -> Response[list[StaleStats]]:
    """List modules with stale totals, by year and module. 422 unless minutes are at least 1."""
    viewer_of(request)
    window = timedelta(minutes=number(older_than_minutes, "older_than_minutes", 60, MOST_MINUTES))
    async with connection(gateway_of(request)) as lent:
        scopes = [(row["module_type_id"], row["year"]) for row in await lent.fetch(_SCOPES)]
        found = await staleness(
            lent, scopes, older_than=window, terminal="aggregation", inputs=INPUTS
        )
    entries = [_entry(each, why) for each in found if (why := why_stale(each)) is not None]
    return Response(entries)


@get("/stale-stats/runs")
async def stale_runs(request: Asked) -> Response[list[StaleRunStatistics]]:
    """List workflows and days of the last week whose run statistics are behind their runs.

    Those of the projects of the token.
    """
    user = viewer_of(request)
    async with connection(gateway_of(request)) as lent:
        found = await stale_run_statistics(lent, sorted(user.projects))
    return Response(
        [
            StaleRunStatistics(
                workflow_id=each.workflow_id,
                day=each.day,
                why_stale=_why(each.job_id, each.state, each.result) or "last_aggregation_too_old",
                last_aggregation_job_id=each.job_id,
                age_minutes=each.age_minutes,
                inputs_newer=each.inputs_newer,
            )
            for each in found
        ]
    )


def why_stale(last: Staleness) -> WhyStale | None:
    """Return the first reason for which a scope is stale; None if it is not."""
    why = _why(last.job_id, last.state, last.result)
    if why is not None:
        return why
    return "last_aggregation_too_old" if last.too_old or last.inputs_newer else None


def _why(job_id: int | None, state: str | None, result: str | None) -> WhyStale | None:
    if job_id is None:
        return "no_aggregation_ever"
    if state != "FINISHED":
        return "pending_aggregation_stuck"
    return "last_aggregation_failed" if result == "ERROR" else None


def _entry(last: Staleness, why: WhyStale) -> StaleStats:
    finished = last.finished_at if last.state == "FINISHED" else None
    return StaleStats(
        module_type_id=last.module_type_id,
        year=last.year,
        last_finished_aggregation_at=finished,
        why_stale=why,
        last_aggregation_job_id=last.job_id,
        age_minutes=last.age_minutes,
        inputs_newer=last.inputs_newer,
    )
