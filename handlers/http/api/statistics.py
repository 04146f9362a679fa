"""``/api/stats``: throughput, durations and failures per workflow and day."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from handlers.http.api.access import Asked, accept, answer, asker, gateway_of, scope
from handlers.http.api.shapes_activity import Statistics
from handlers.http.errors import field_problem
from schema.reading import statistics

DAYS: Final = 30
"""How many days are shown when nothing else is asked for, today included."""


@get("/stats")
async def show_statistics(
    request: Asked,
    project: FromQuery[UUID | None] = None,
    workflow: FromQuery[UUID | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> Response[Statistics]:
    """Show what became of runs, per workflow and day (UTC), as the aggregation last counted them.

    Args:
        request: The request.
        project: Of this project only.
        workflow: Of this workflow only.
        since: From this day on, as 2026-01-31, or the day of a time; 30 days unless given.
        until: To this day, which is included; today unless given.
    """
    projects = scope(asker(request), project)
    last = _day("to", until) or datetime.now(UTC).date()
    first = _day("from", since) or last - min(timedelta(days=DAYS - 1), last - date.min)
    if first > last:
        raise field_problem("from", "is later than to")
    text = accept(await statistics.days(gateway_of(request).repo, projects, workflow, first, last))
    return answer(Statistics, f'{{"days":{text}}}', keep=True)


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise field_problem(name, "must be a day, as 2026-01-31") from None
