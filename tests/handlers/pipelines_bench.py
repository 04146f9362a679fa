"""A started application with a domain, and people who ask it over real sockets."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import msgspec

from channel_server.client import Client
from handlers.application import Application
from pipelines import NewJob, Registry, Submitted
from pipelines.storage import jobs
from tests.plain_http import PLAIN
from tests.schema.world import workflow

SAMPLE = Path(__file__).parents[2] / "examples" / "emissions"
PATIENCE = 20.0
QUIET = {"run_statistics_cron": "", "retention_cron": "", "pipelines_poll_interval": 30.0}
"""Settings in which nothing happens by the clock."""

STREAMING = {"stream_interval": 0.05, "stream_ping": 15.0}


class Bench:
    """The application of a test.

    Attributes:
        app: It.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    @property
    def registry(self) -> Registry:
        """Where further job types can be registered."""
        return self.app.gateway.engine.registry

    def token(self, role: Any = "operator", tenants: Any = ("*",), projects: Any = ()) -> str:
        """A user token; ``tenants=None`` is one without the claim."""
        tokens = self.app.gateway.user_tokens
        return tokens.issue("ana", list(projects), role, 3600, tenants=tenants)

    @asynccontextmanager
    async def http(
        self, role: Any = "operator", tenants: Any = ("*",), projects: Any = ()
    ) -> AsyncGenerator[httpx.AsyncClient]:
        """Somebody who asks."""
        async with httpx.AsyncClient(
            base_url=self.app.endpoint.http_url,
            trust_env=False,
            verify=PLAIN,
            timeout=PATIENCE,
            headers={"Authorization": f"Bearer {self.token(role, tenants, projects)}"},
        ) as client:
            yield client

    @asynccontextmanager
    async def socket(self, role: Any = "viewer", tenants: Any = ("*",)) -> AsyncGenerator[Client]:
        """Somebody with a dashboard."""
        url = f"{self.app.endpoint.url}/socket"
        async with Client(url, params={"token": self.token(role, tenants)}) as client:
            yield client

    async def submit(self, job_type: str = "idle", **values: Any) -> Submitted:
        """Create a pipeline without telling the poller of this process."""
        async with self.app.gateway.engine.pool.acquire() as connection:
            return await jobs.submit(connection, NewJob(job_type=job_type, **values))

    async def ended(self, pipeline_id: UUID | str) -> dict[str, Any]:
        """Wait until a pipeline is over and return it."""
        woken = asyncio.Event()
        identifier = UUID(str(pipeline_id))
        gateway = self.app.gateway
        unsubscribe = gateway.engine.hub.subscribe(lambda _e: woken.set(), pipeline_id=identifier)
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    woken.clear()
                    wire = await gateway.feed.read(identifier)
                    assert wire is not None
                    if wire["progress"]["done"]:
                        return wire
                    await woken.wait()
        finally:
            unsubscribe()

    async def run(self, sql: str, *args: Any) -> list[Any]:
        """Run a statement of the test."""
        async with self.app.gateway.engine.pool.acquire() as connection:
            return await connection.fetch(sql, *args)


async def events(
    response: httpx.Response, until: Callable[[str | None, Any], bool]
) -> list[tuple[str | None, Any]]:
    """Read on, up to and including the first event for which ``until`` holds, or the end."""
    found: list[tuple[str | None, Any]] = []
    name: str | None = None
    lines = response.extensions.setdefault("lines", response.aiter_lines())
    async with asyncio.timeout(PATIENCE):
        async for line in lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, msgspec.json.decode(line.removeprefix("data: "))))
                if until(*found[-1]):
                    break
                name = None
    return found


def closed(_name: str | None, data: Any) -> bool:
    """Whether an event is the last one."""
    return data.get("stream_closed") is True


def cron_flow(expression: str) -> Any:
    """A workflow with a cron trigger beside its webhook."""
    flow = workflow()
    webhook, start = flow.triggers[0], flow.edges[0]
    cron = {"key": "nightly", "type": "cron", "cron_expression": expression}
    flow.triggers.append(SimpleNamespace(**{**vars(webhook), **cron}))
    edge = {"key": "nightly->first", "source_trigger": "nightly"}
    flow.edges.append(SimpleNamespace(**{**vars(start), **edge}))
    return flow
