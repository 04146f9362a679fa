"""``/api/pipelines``: list, show, jobs, what is active; recover, cancel, abort."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from handlers.emissions.service import TypeStatus, recalculation_status
from handlers.http.auth import operator_of, viewer_of
from handlers.http.pipeline_access import (
    Asked,
    available,
    connection,
    gateway_of,
    number,
    refused,
    seen_job,
    seen_pipeline,
)
from handlers.http.pipeline_shapes import (
    PipelineDetail,
    PipelineJob,
    PipelineJobs,
    PipelineList,
    shown,
)
from pipelines import PipelineStatus, job_to_wire, pipeline_to_wire
from pipelines.storage.listing import Filter, list_pipelines, shown_pipelines

MOST_LISTED: Final = 200
MOST_MODULES: Final = 100
_LATEST_YEAR: Final = 9999
_LARGEST_MODULE: Final = 2**31 - 1


@get("/")
async def list_all(
    request: Asked,
    status: FromQuery[list[str] | None] = None,
    kind: FromQuery[list[str] | None] = None,
    year: FromQuery[int | None] = None,
    module: FromQuery[int | None] = None,
    limit: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[PipelineList]:
    """List pipelines, newest first; those of other tenants are left out.

    Each is as it is shown alone, without jobs and progress, and with the stored status. 422 for an
    unknown status, limit or cursor.
    """
    user = viewer_of(request)
    unknown = set(status or ()) - {each.value for each in PipelineStatus}
    if unknown:
        raise refused(422, f"Unknown status: {', '.join(sorted(unknown))}.")
    if not 0 <= (year or 0) <= _LATEST_YEAR or abs(module or 0) > _LARGEST_MODULE:
        raise refused(422, "The year or the module is out of range.")
    if any("\0" in each for each in kind or ()):
        raise refused(422, "There is no such kind.")
    wanted = Filter(
        tenants=user.tenant_filter(),
        statuses=status,
        kinds=kind,
        year=year,
        module_type_id=module,
        before=None if after is None else _position(after),
    )
    async with connection(gateway_of(request)) as lent:
        page = await list_pipelines(lent, wanted, number(limit, "limit", 50, MOST_LISTED))
    wire = {
        "pipelines": [pipeline_to_wire(each) for each in page.pipelines],
        "after": None if page.after is None else _cursor(*page.after),
    }
    return shown(PipelineList, wire)


@get("/{pipeline_id:uuid}")
async def show(request: Asked, pipeline_id: FromPath[UUID]) -> Response[PipelineDetail]:
    """Show a pipeline with its jobs and progress. 404 if there is none, 403 across tenants."""
    user = viewer_of(request)
    return shown(PipelineDetail, await seen_pipeline(gateway_of(request), user, pipeline_id))


@get("/{pipeline_id:uuid}/jobs")
async def show_jobs(request: Asked, pipeline_id: FromPath[UUID]) -> Response[PipelineJobs]:
    """Show the jobs of a pipeline, by id. 404 if there is none, 403 across tenants."""
    user = viewer_of(request)
    wire = await seen_pipeline(gateway_of(request), user, pipeline_id)
    return shown(PipelineJobs, {"pipeline_id": wire["pipeline_id"], "jobs": wire["jobs"]})


@get("/jobs/{job_id:int}")
async def show_job(request: Asked, job_id: FromPath[int]) -> Response[PipelineJob]:
    """Show one job. 404 if there is none, 403 across tenants."""
    user = viewer_of(request)
    return shown(PipelineJob, job_to_wire(await seen_job(gateway_of(request), user, job_id)))


@get("/active")
async def show_active(
    request: Asked, year: FromQuery[int], modules: FromQuery[str] = ""
) -> Response[dict[str, UUID]]:
    """Show which pipeline to watch for each of some modules of a year, as ``{module: id}``.

    That of the latest active job, else the latest pipeline if it did not succeed; absent is none.
    400 unless ``modules`` are numbers with commas between.
    """
    user = viewer_of(request)
    parts = [part.strip() for part in modules.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise refused(400, "modules must be numbers with commas between.")
    if len(parts) > MOST_MODULES or not 0 <= year <= _LATEST_YEAR:
        raise refused(422, f"A year, and at most {MOST_MODULES} modules, can be asked for.")
    if not parts:
        return Response({})
    async with connection(gateway_of(request)) as lent:
        found = await shown_pipelines(
            lent, year, [int(part) for part in parts], user.tenant_filter()
        )
    return Response({str(module): pipeline for module, pipeline in sorted(found.items())})


@get("/recalculation-status")
async def show_recalculation_status(
    request: Asked, year: FromQuery[int]
) -> Response[list[TypeStatus]]:
    """Show for each entry type whether its emissions are older than its factors."""
    viewer_of(request)
    if not 0 <= year <= _LATEST_YEAR:
        raise refused(422, "The year is out of range.")
    async with connection(gateway_of(request)) as lent:
        return Response(await recalculation_status(lent, year))


@post("/jobs/{job_id:int}/recover", status_code=200)
async def recover(request: Asked, job_id: FromPath[int]) -> Response[PipelineJob]:
    """Put a stale running job back with all its attempts.

    404 if there is none, 409 if it does not run or its owner was heard of within the stale window.
    """
    user, gateway = operator_of(request), gateway_of(request)
    await seen_job(gateway, user, job_id)
    with available():
        job = await gateway.engine.recover(job_id)
    if job is None:
        raise refused(409, "The job does not run, or is not stale.")
    return shown(PipelineJob, job_to_wire(job))


@post("/jobs/{job_id:int}/cancel", status_code=200)
async def cancel(request: Asked, job_id: FromPath[int]) -> Response[PipelineJob]:
    """End an active job. 404 if there is none, or it is over."""
    user, gateway = operator_of(request), gateway_of(request)
    await seen_job(gateway, user, job_id)
    with available():
        job = await gateway.engine.cancel(job_id)
    if job is None:
        raise NotFoundException("There is nothing to cancel: the job is over.")
    return shown(PipelineJob, job_to_wire(job))


@post("/{pipeline_id:uuid}/abort", status_code=200)
async def abort(request: Asked, pipeline_id: FromPath[UUID]) -> Response[PipelineDetail]:
    """End all active jobs of a pipeline and show it. 404 if there is none, 409 if it is over."""
    user, gateway = operator_of(request), gateway_of(request)
    await seen_pipeline(gateway, user, pipeline_id)
    with available():
        ended = await gateway.engine.abort(pipeline_id, user.subject)
    if not ended:
        raise refused(409, "All jobs of the pipeline are over.")
    return shown(PipelineDetail, await seen_pipeline(gateway, user, pipeline_id))


def _cursor(at: datetime, pipeline_id: UUID) -> str:
    return f"{at.isoformat()}~{pipeline_id}"


def _position(cursor: str) -> tuple[datetime, UUID]:
    at, _, pipeline_id = cursor.replace(" ", "+").partition("~")
    try:
        moment, last = datetime.fromisoformat(at), UUID(pipeline_id)
    except ValueError:
        moment, last = datetime.min, UUID(int=0)  # noqa: DTZ901 (naive: refused below)
    if moment.tzinfo != UTC:
        raise refused(422, "after is no cursor of a page.")
    return moment, last
