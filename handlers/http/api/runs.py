"""``/api/runs``: the list with its filters, and one run with everything that is known of it."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from handlers.http.api.access import Asked, accept, answer, asker, found, gateway_of, scope
from handlers.http.api.run_query import RunQuery
from handlers.http.api.shapes import RunDetail, RunList
from handlers.http.errors import ProblemError
from schema.reading import run_detail, run_list
from schema.refused import Refused

_TIME = {"format": "date-time"}
Limit = Annotated[int, QueryParameter(ge=1, le=run_list.LARGEST_PAGE)]


@get("/runs")
async def list_runs(
    request: Asked,
    project: FromQuery[UUID | None] = None,
    workflow: FromQuery[UUID | None] = None,
    states: Annotated[str | None, QueryParameter(name="state")] = None,
    worker: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from", schema_extra=_TIME)] = None,
    until: Annotated[str | None, QueryParameter(name="to", schema_extra=_TIME)] = None,
    text: Annotated[str | None, QueryParameter(name="q", max_length=200)] = None,
    limit: Limit = 50,
    cursor: FromQuery[str | None] = None,
) -> Response[RunList]:
    """List runs, newest first.

    Args:
        request: The request.
        project: Of this project only.
        workflow: Of this workflow only.
        states: In this state; several with commas between.
        worker: Claimed by the worker of this name.
        since: Created at this time or later.
        until: Created before this time.
        text: With this text in the error or in a log line. Each page looks at no more than 2000
            runs; one that takes longer than 5 s is refused with 503 and the code `busy`.
        limit: How many at most.
        cursor: The `next` of the page before.
    """
    query = RunQuery(
        project=project,
        workflow=workflow,
        state=states,
        worker=worker,
        since=since,
        until=until,
        text=text,
    )
    wanted = query.filter(asker(request))
    repo = gateway_of(request).repo
    page = await run_list.page(repo, wanted, cursor=cursor, limit=limit)
    if isinstance(page, Refused) and page.kind == "busy" and wanted.text is not None:
        raise ProblemError(
            "busy", "The search took too long; narrow it by time, workflow, worker or state."
        )
    page = accept(page)
    counts = None if cursor else accept(await run_list.counts(repo, wanted))
    body = {
        "runs": [msgspec.Raw(run.encode()) for run in page.runs_json],
        "next": page.next,
        "counts": counts,
    }
    return answer(RunList, msgspec.json.encode(body), keep=True)


@get("/runs/{run_id:uuid}")
async def show_run(request: Asked, run_id: FromPath[UUID]) -> Response[RunDetail]:
    """Show a run: steps, graph, history, what is missing, and who holds it."""
    projects, gateway = scope(asker(request)), gateway_of(request)
    gone_after = gateway.settings.worker_gone_after
    text = await run_detail.run(gateway.repo, run_id, projects, gone_after_s=gone_after)
    return answer(RunDetail, found(text, "run"), keep=True)
