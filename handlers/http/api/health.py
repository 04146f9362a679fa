"""``/api/health``: what ``/readyz`` checks, and more, for those who are signed in."""

import asyncio
import platform
from importlib import metadata
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Response, get

import migrations
from channel_server.limits import SocketLimits
from handlers.config import Settings
from handlers.gateway import Gateway
from handlers.http.api.access import Asked, asker, gateway_of, scope
from handlers.http.api.run_bulk import MOST
from handlers.http.backend import backend_of
from handlers.http.health import Check, check_database, check_migrations
from handlers.jobs.staleness import stale_run_statistics
from handlers.settings_fields import hints_of
from handlers.sockets import user_limits, worker_limits
from pipelines.storage.connection import is_outage
from schema.reading import queue_lag, run_list, run_logs
from schema.reading.queue_lag import QueueLag
from schema.refused import Refused
from schema.repo import Statement

_SERVER: Final = Statement("health.version", "SHOW server_version")

Shown = str | int | float | bool | None | list[str]


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server can do its work, and within which bounds.

    Attributes:
        ready: Whether every check is ok.
        database: It answers.
        listener: This process hears of changes that others commit.
        migrations: The tables are those of this release.
        drain: The process is not shutting down.
        queue: What waits in the projects of the token; null while the database is away.
        stale_stats: Workflow days of the last week whose statistics are behind, in the projects of
            the token; null if unknown.
        versions: Of the parts.
        limits: Bounds that are in force, by name; seconds and bytes.
    """

    ready: bool
    database: Check
    listener: Check
    migrations: Check
    drain: Check
    queue: QueueLag | None
    stale_stats: int | None
    versions: dict[str, str]
    limits: dict[str, Shown]


@get("/health")
async def show_health(request: Asked) -> Response[ServerHealth]:
    """Show whether the server can do its work: checks, queue, versions, limits.

    Answers 200 also when it cannot; ``ready`` says so.
    """
    user, gateway = asker(request), gateway_of(request)
    backend = backend_of(request)
    database, tables, queue, stale, versions = await asyncio.gather(
        check_database(backend),
        check_migrations(backend),
        queue_lag.lag(gateway.repo, scope(user)),
        _stale(gateway, scope(user)),
        _versions(gateway),
    )
    listener = Check(gateway.listening(), None if gateway.listening() else "it is not connected")
    drain = Check(not gateway.draining, "shutting down" if gateway.draining else None)
    checks = (database, listener, tables, drain)
    body = ServerHealth(
        ready=all(check.ok for check in checks),
        database=database,
        listener=listener,
        migrations=tables,
        drain=drain,
        queue=None if isinstance(queue, Refused) else queue,
        stale_stats=stale,
        versions=versions,
        limits=limits_in_force(gateway.settings),
    )
    return Response(body, headers={"Cache-Control": "no-store"})


def limits_in_force(settings: Settings) -> dict[str, Shown]:
    """Return the bounds by name: of both sockets, of the settings, and of the API; no secrets."""
    found: dict[str, Shown] = {
        "api.page": run_list.LARGEST_PAGE,
        "api.log_page": run_logs.LARGEST_PAGE,
        "api.searched_per_page": run_list.MOST_SEARCHED,
        "api.bulk": MOST,
    }
    for name, limits in (("user", user_limits(settings)), ("worker", worker_limits(settings))):
        found.update(_of_socket(name, limits))
    for name, hint in hints_of(type(settings)).items():
        value = getattr(settings, name)
        shown = isinstance(value, int | float) and not hint.__metadata__[0].secret
        if shown and name != "port":
            found[name] = value
    return found


def _of_socket(name: str, limits: SocketLimits) -> dict[str, Shown]:
    values: dict[str, Any] = msgspec.structs.asdict(limits)
    return {
        f"socket.{name}.{field}": value
        for field, value in values.items()
        if isinstance(value, int | float | str)
    }


async def _stale(gateway: Gateway, projects: list[UUID]) -> int | None:
    if not gateway.engine.running:
        return None
    try:
        async with gateway.engine.pool.acquire(timeout=1.0) as lent:
            return len(await stale_run_statistics(lent, projects))
    except Exception as error:
        if is_outage(error):
            return None
        raise


async def _versions(gateway: Gateway) -> dict[str, str]:
    row = await gateway.repo.fetchrow(_SERVER)
    found = {
        "channel_server": metadata.version("channel-server"),
        "python": platform.python_version(),
        "migration": migrations.revisions()[-1],
    }
    if row is not None and not isinstance(row, Refused):
        found["postgresql"] = row[0]
    return found
