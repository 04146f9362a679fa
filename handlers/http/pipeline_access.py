"""What all controllers of pipelines share: connections, refusals, and the tenant rule."""

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any, Final
from uuid import UUID

from litestar import Request
from litestar.exceptions import HTTPException, NotFoundException

from handlers.gateway import Gateway
from handlers.http.auth import require_tenant
from handlers.http.backend import backend_of
from handlers.http.errors import RETRY_AFTER
from handlers.pipeline_feed import PipelinesUnavailableError
from handlers.run_tokens import User
from pipelines import Connection, Job
from pipelines.storage.connection import is_outage
from pipelines.storage.jobs import get_job

PATIENCE: Final = 5.0
"""Seconds that a request waits for a connection."""

Asked = Request[Any, Any, Any]


def gateway_of(request: Asked) -> Gateway:
    """Return the gateway that a request is for."""
    return backend_of(request).gateway


def refused(status: int, message: str) -> HTTPException:
    """Return what to raise to refuse a request."""
    return HTTPException(status_code=status, detail=message)


def unavailable() -> HTTPException:
    """Return what to raise while the engine or its database is away."""
    return HTTPException(
        status_code=503,
        detail="Pipelines are not available now; try again.",
        headers={"Retry-After": f"{RETRY_AFTER:.0f}"},
    )


@contextlib.contextmanager
def available() -> Generator[None]:
    """Answer 503 when the database goes away, or gives up, under what the block does.

    Raises:
        HTTPException: 503.
    """
    try:
        yield
    except Exception as error:
        if is_outage(error):
            raise unavailable() from error
        raise


@contextlib.asynccontextmanager
async def connection(gateway: Gateway) -> AsyncGenerator[Connection]:
    """Lend a connection of the engine; to be held for one answer, never for a stream.

    Raises:
        HTTPException: 503, while there is none.
    """
    if not gateway.engine.running:
        raise unavailable()
    with available():
        async with gateway.engine.pool.acquire(timeout=PATIENCE) as lent:
            yield lent


async def seen_pipeline(gateway: Gateway, user: User, pipeline_id: UUID) -> dict[str, Any]:
    """Return a pipeline as everybody is shown it, if the user may see it.

    Raises:
        HTTPException: 404, 403 or 503.
    """
    try:
        wire = await gateway.feed.read(pipeline_id)
    except PipelinesUnavailableError as error:
        raise unavailable() from error
    if wire is None:
        raise NotFoundException("There is no such pipeline.")
    require_tenant(user, wire["tenant_id"])
    return wire


async def seen_job(gateway: Gateway, user: User, job_id: int) -> Job:
    """Return a job, if the user may see it.

    Raises:
        HTTPException: 404, 403 or 503.
    """
    job = await find_job(gateway, job_id)
    if job is None:
        raise NotFoundException("There is no such job.")
    require_tenant(user, job.tenant_id)
    return job


async def find_job(gateway: Gateway, job_id: int) -> Job | None:
    """Return a job, whoever may see it; None if there is none.

    Raises:
        HTTPException: 503.
    """
    if not 0 < job_id < 2**63:
        return None
    async with connection(gateway) as lent:
        return await get_job(lent, job_id)


def number(text: str | None, name: str, default: int, most: int) -> int:
    """Return a number from 1 to ``most`` of the query.

    Raises:
        HTTPException: 422.
    """
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= most:
        raise refused(422, f"{name} must be a whole number from 1 to {most}.")
    return value
