"""Health, readiness and metrics over a real port: ready means that work can be done."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

import migrations
from handlers.application import Application
from handlers.config import Settings
from handlers.http import health
from tests.plain_http import PLAIN


@pytest.fixture
async def client(live_app: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=live_app.endpoint.http_url, trust_env=False, verify=PLAIN
    ) as opened:
        yield opened


async def readiness(client: httpx.AsyncClient) -> tuple[int, bool, dict[str, Any]]:
    answer = await client.get("/readyz")
    body = answer.json()
    failing = {name: check["detail"] for name, check in body["checks"].items() if not check["ok"]}
    return answer.status_code, body["ready"], failing


async def test_a_server_that_can_work_is_ready(client: httpx.AsyncClient) -> None:
    assert await readiness(client) == (200, True, {})


async def test_a_server_that_drains_is_not_ready(
    live_app: Application, client: httpx.AsyncClient
) -> None:
    live_app.gateway.draining = True
    assert await readiness(client) == (503, False, {"drain": "the server is shutting down"})


async def test_a_server_without_its_database_is_not_ready_but_healthy(
    live_app: Application, client: httpx.AsyncClient
) -> None:
    await live_app.repo.close()
    assert await readiness(client) == (503, False, {"database": "the database is unavailable"})
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_database_that_does_not_answer_counts_as_dead(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.0)
    status, _, failing = await readiness(client)
    assert status == 503
    assert failing["database"] == "the database did not answer in time"


async def test_pending_migrations_are_named_and_not_ready(
    empty_database_url: str, app_settings: Settings
) -> None:
    known = migrations.revisions()
    await migrations.up(empty_database_url, known[0])
    settings = msgspec.structs.replace(app_settings, database_url=empty_database_url)
    with capture_logs():  # each service tells at length of the tables that it misses
        app = await Application(settings).start()
        try:
            url = app.endpoint.http_url
            async with httpx.AsyncClient(
                base_url=url, trust_env=False, verify=PLAIN, timeout=30
            ) as client:
                pending = f"pending: {', '.join(known[1:])}"
                assert await readiness(client) == (503, False, {"migrations": pending})
        finally:
            await app.stop(drain=False)


async def test_the_metrics_are_in_the_format_of_prometheus(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "channel_server_connections 0.0" in answer.text
    assert "run_gateway_" in answer.text


async def test_the_api_is_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/schema/openapi.json")).json()["paths"]
    assert {"/i/{trigger_id}", "/healthz", "/readyz", "/metrics"} <= set(paths)
