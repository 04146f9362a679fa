"""``/api/overview`` and ``/api/workers``: what goes on, and who does it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromQuery

from handlers.gateway import Gateway
from handlers.http.api.access import Asked, accept, answer, asker, gateway_of, scope
from handlers.http.api.shapes_activity import Overview, WorkerList
from schema import workers
from schema.reading import overview
from schema.workers import Worker


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
    body: dict[str, Any] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    body["workers"] = await _workers(gateway, projects)
    return answer(Overview, msgspec.json.encode(body))


@get("/workers")
async def list_workers(
    request: Asked, project: FromQuery[UUID | None] = None
) -> Response[WorkerList]:
    """List workers that are connected, hold runs or went a moment ago, with the runs they hold."""
    projects = scope(asker(request), project)
    body = {"workers": await _workers(gateway_of(request), projects)}
    return answer(WorkerList, msgspec.json.encode(body), keep=True)


async def _workers(gateway: Gateway, projects: list[UUID]) -> list[Worker]:
    gone_after = gateway.settings.worker_gone_after
    return accept(await workers.connected(gateway.repo, projects, gone_after_s=gone_after))
