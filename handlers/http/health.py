"""``/healthz`` (the process answers) and ``/readyz`` (it can do its work)."""

import asyncio
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, get

import migrations
from handlers.http.backend import Backend, backend_of
from handlers.readiness import ALIVE
from schema.refused import Refused

PATIENCE: Final = 3.0
"""Seconds until a check that has not answered counts as failed."""


class Health(msgspec.Struct, frozen=True):
    """The answer of ``/healthz``: the event loop runs."""

    status: Literal["ok"] = "ok"


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold.

    Attributes:
        ok: Whether it does.
        detail: What is wrong, else nothing.
    """

    ok: bool
    detail: str | None = None


class Readiness(msgspec.Struct, frozen=True):
    """The answer of ``/readyz``: each check by its name."""

    ready: bool
    checks: dict[str, Check]


@get("/healthz", cache=False)
async def healthz() -> Health:
    """Answer ok; asks nothing of the database, so that its outage restarts nobody."""
    return Health()


@get("/readyz", cache=False)
async def readyz(request: Request[Any, Any, Any]) -> Response[Readiness]:
    """Answer 200 when requests can be served, else 503; the body says which check failed."""
    backend = backend_of(request)
    database, tables = await asyncio.gather(check_database(backend), check_migrations(backend))
    checks = {"database": database, "migrations": tables, "drain": _drain(backend)}
    ready = all(check.ok for check in checks.values())
    return Response(Readiness(ready, checks), status_code=200 if ready else 503)


def _drain(backend: Backend) -> Check:
    draining = backend.gateway.draining
    return Check(not draining, "the server is shutting down" if draining else None)


async def check_database(backend: Backend) -> Check:
    """Say whether the database answers."""
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await backend.gateway.repo.fetchrow(ALIVE)
    except TimeoutError:
        return Check(ok=False, detail="the database did not answer in time")
    if isinstance(answer, Refused):
        return Check(ok=False, detail=f"the database is {answer.kind}")
    if answer is None or not answer["writable"]:
        return Check(ok=False, detail="the database takes no writes")
    return Check(ok=True)


async def check_migrations(backend: Backend) -> Check:
    """Say whether the tables are those of this release."""
    try:
        async with asyncio.timeout(PATIENCE):
            status = await migrations.status(backend.gateway.settings.database_url)
    except migrations.UnknownRevisionError as error:
        return Check(ok=False, detail=str(error))
    except Exception:
        # Whatever the driver raises; the database check says more, and the address is no secret
        # to be told to whoever asks for readiness.
        return Check(ok=False, detail="the migrations could not be read")
    pending = ", ".join(status.pending)
    return Check(ok=not pending, detail=f"pending: {pending}" if pending else None)
