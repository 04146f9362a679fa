"""``/api/overview`` and ``/api/workers``: what goes on, and who does it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromQuery

from handlers.http.api.access import Asked, accept, answer, asker, gateway_of, scope
from handlers.http.api.shapes import Overview, WorkerList
from schema.reading import overview, worker_list


@get("/overview")
async def show_overview(
    request: Asked, project: FromQuery[UUID | None] = None
) -> Response[Overview]:
    """Show what goes on at this moment and went on in the last hour."""
    projects, gateway = scope(asker(request), project), gateway_of(request)
    settings = gateway.settings
    text = accept(
        await overview.overview(
            gateway.repo,
            projects,
            default_timeout_s=settings.run_timeout,
            counted=bool(settings.run_statistics_cron),
        )
    )
    workers = accept(await worker_list.workers(gateway.repo, projects))
    body: dict[str, Any] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    body["workers"] = msgspec.Raw(workers.encode())
    return answer(Overview, msgspec.json.encode(body))


@get("/workers")
async def list_workers(
    request: Asked, project: FromQuery[UUID | None] = None
) -> Response[WorkerList]:
    """List the workers that are connected, with the runs that they hold."""
    projects = scope(asker(request), project)
    text = accept(await worker_list.workers(gateway_of(request).repo, projects))
    return answer(WorkerList, f'{{"workers":{text}}}', keep=True)
