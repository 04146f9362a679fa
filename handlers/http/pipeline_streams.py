"""``/api/pipelines/{id}/stream`` and ``/api/pipelines/jobs/{id}/stream``: server-sent events."""

from typing import Any
from uuid import UUID

from litestar import get
from litestar.params import FromPath
from litestar.response import Stream

from handlers.gateway import Gateway
from handlers.http.auth import require_tenant, viewer_of
from handlers.http.event_stream import (
    HEADERS,
    MEDIA_TYPE,
    UPDATE,
    Watched,
    frame,
    job_essence,
    pipeline_essence,
    stream,
)
from handlers.http.pipeline_access import Asked, find_job, gateway_of, seen_pipeline
from handlers.pipeline_feed import PipelinesUnavailableError
from handlers.run_tokens import User
from pipelines import Job, job_to_wire
from pipelines.storage.connection import is_outage


@get("/{pipeline_id:uuid}/stream")
async def stream_pipeline(request: Asked, pipeline_id: FromPath[UUID]) -> Stream:
    """Stream a pipeline: ``event: pipeline-update`` with what ``GET`` shows, and pings.

    The first event is a snapshot; the last one says ``stream_closed``. 401, 403 and 404 come before
    the first byte.
    """
    user, gateway = viewer_of(request, in_query=True), gateway_of(request)
    await seen_pipeline(gateway, user, pipeline_id)
    watched = Watched(
        event=UPDATE,
        look=lambda: gateway.feed.read(pipeline_id),
        over=lambda wire: bool(wire["progress"]["done"]),
        essence=pipeline_essence,
        subscribe=lambda told: gateway.engine.hub.subscribe(told, pipeline_id=pipeline_id),
    )
    return _answer(gateway, watched, user)


@get("/jobs/{job_id:int}/stream")
async def stream_job(request: Asked, job_id: FromPath[int]) -> Stream:
    """Stream one job: unnamed events with what ``GET`` shows; the last says ``stream_closed``.

    A job that does not exist is told in one event. 401 and 403 come before the first byte.
    """
    user, gateway = viewer_of(request, in_query=True), gateway_of(request)
    job = await find_job(gateway, job_id)
    if job is None:
        gone = frame(None, {"job_id": job_id, "status_message": "Job not found"})
        return Stream([gone], media_type=MEDIA_TYPE, headers=HEADERS)
    require_tenant(user, job.tenant_id)
    watched = Watched(
        event=None,
        look=lambda: _look(gateway, job),
        over=lambda wire: wire["state"] == "FINISHED",
        essence=job_essence,
        subscribe=lambda told: gateway.engine.hub.subscribe(told, pipeline_id=job.pipeline_id),
    )
    return _answer(gateway, watched, user)


async def _look(gateway: Gateway, job: Job) -> dict[str, Any] | None:
    try:
        found = await gateway.engine.job(job.id)
    except Exception as error:
        if isinstance(error, RuntimeError) or is_outage(error):
            raise PipelinesUnavailableError from error
        raise
    return None if found is None else job_to_wire(found)


def _answer(gateway: Gateway, watched: Watched, user: User) -> Stream:
    events = stream(
        watched,
        gateway.feed,
        gateway.settings,
        user.expires_at,
        may_stay=lambda: gateway.user_tokens.good(user),
    )
    return Stream(events, media_type=MEDIA_TYPE, headers=HEADERS)
