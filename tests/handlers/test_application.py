"""The whole application over the wire: start, serve, refuse, drain, stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from channel_server.client_errors import ConnectRefused
from channel_server.testing.client import SocketClient, connect_url
from handlers.application import Application, NotOpenError
from handlers.config import Settings
from tests.handlers.bench import TIMEOUT, project_with_credential, settings, stamp
from tests.schema.world import World

Started = Callable[..., Awaitable[Application]]


@pytest.fixture
async def start(database_url: str) -> AsyncIterator[Started]:
    """A function that starts an application on a free port."""
    made: list[Application] = []

    async def run(**more: Any) -> Application:
        made.append(Application(settings(database_url, **more)))
        return await made[-1].start()

    yield run
    for app in made:
        await app.stop(drain=False)


async def worker(app: Application) -> SocketClient:
    token = app.gateway.worker_tokens.issue("w")
    params = {"token": token, "api_version": "1.2", "worker_version": "1.25.0"}
    return await connect_url(f"{app.endpoint.url}/worker", params)


async def test_a_run_goes_from_the_queue_to_its_end_over_the_wire(start: Started) -> None:
    app = await start()
    world = await World.create(app.repo, project_with_credential())
    socket = await worker(app)
    queue = await socket.join("worker:queue", {"capacity": 1})
    token = app.gateway.user_tokens.issue("ana", [world.project.id], "viewer", 60)
    dashboard = await connect_url(f"{app.endpoint.url}/socket", auth_token=token)
    project = await dashboard.join(f"project:{world.project.id}")
    created = await world.enqueue()
    await queue.assert_broadcast("work-available")
    await project.assert_broadcast("run:created", {"run": {"id": str(created.run_id)}})
    (offer,) = (await queue.call("claim", {"demand": 1}))["runs"]
    run = await socket.join(f"run:{offer['id']}", {"token": offer["token"]})
    assert (await run.call("fetch:plan"))["id"] == str(created.run_id)
    assert b'"order": 1' in await run.call("fetch:dataclip", {"id": "x"})
    await run.call("run:start", {"timestamp": stamp()})
    await run.call("run:complete", {"reason": "success", "timestamp": stamp(1)})
    for state in ("claimed", "started", "success"):
        await project.assert_broadcast("run:updated", {"run": {"state": state}})
    await run.leave()
    await socket.close()
    await dashboard.close()


async def test_a_frame_of_32_mib_is_served_and_a_larger_one_hurts_only_its_sender(
    start: Started,
) -> None:
    app = await start()
    world = await World.create(app.repo, project_with_credential())
    created = await world.enqueue()
    socket, other = await worker(app), await worker(app)
    queue = await socket.join("worker:queue")
    (offer,) = (await queue.call("claim"))["runs"]
    run = await socket.join(f"run:{created.run_id}", {"token": offer["token"]})
    large = "x" * (32 * 1024 * 1024 - 1024)
    pushed = await run.push("run:complete", {"reason": "success", "final_state": {"data": large}})
    await run.assert_reply(pushed, "ok", None, timeout=60)
    await run.push("run:log", {"message": "y" * (32 * 1024 * 1024)})
    await socket.assert_closed(1009, timeout=30)
    await (await other.join("worker:queue")).call("claim")
    await other.close()


async def test_bad_tokens_are_refused_at_the_upgrade(start: Started) -> None:
    app = await start()
    for path in ("worker", "socket"):
        for params in ({}, {"token": "x"}):
            with pytest.raises(ConnectRefused) as refused:
                await connect_url(f"{app.endpoint.url}/{path}", params)
            assert refused.value.status == 403


async def test_no_origin_is_needed_by_workers_and_a_foreign_one_is_refused_to_dashboards(
    start: Started,
) -> None:
    app = await start()
    evil = {"Origin": "https://evil.example"}
    token = app.gateway.worker_tokens.issue("w")
    socket = await connect_url(f"{app.endpoint.url}/worker", {"token": token})
    await socket.close()
    user = app.gateway.user_tokens.issue("ana", [], "viewer", 60)
    with pytest.raises(ConnectRefused) as refused:
        await connect_url(f"{app.endpoint.url}/socket", {"token": user}, headers=evil)
    assert refused.value.status == 403


async def test_upgrades_are_refused_with_503_while_the_database_is_not_migrated(
    empty_database_url: str,
) -> None:
    with capture_logs():  # each service tells at length of the tables that it misses
        app = await Application(settings(empty_database_url)).start()
        token = app.gateway.worker_tokens.issue("w")
        with pytest.raises(ConnectRefused) as refused:
            await connect_url(f"{app.endpoint.url}/worker", {"token": token})
        assert refused.value.status == 503
        await app.stop()


async def test_a_stop_answers_claims_and_closes_with_1012(start: Started) -> None:
    app = await start()
    sockets = [await worker(app) for _ in range(3)]
    queues = [await socket.join("worker:queue") for socket in sockets]
    claims = [await queue.push("claim", {"demand": 1}) for queue in queues]
    stopping = asyncio.create_task(app.stop())
    for queue, claim in zip(queues, claims, strict=True):
        await queue.assert_reply(claim, "ok", {"runs": []}, timeout=TIMEOUT)
    for socket in sockets:
        await socket.assert_closed(1012, timeout=TIMEOUT)
    await stopping
    for queue in queues:
        closes = [frame for frame in sockets[0].peer.frames if frame.event == "phx_close"]
        assert closes == [], queue.topic


async def test_stop_is_fine_twice_and_before_start(database_url: str) -> None:
    app = Application(settings(database_url))
    await app.stop()
    await app.start()
    assert set(app.services) > {"lease_watch", "janitor", "job_engine", "readiness", "feeds"}
    await app.stop()
    await app.stop()
    with pytest.raises(NotOpenError):
        _ = app.endpoint
    await app.start()
    await app.stop()


async def test_a_part_that_is_not_open_says_so(database_url: str) -> None:
    app = Application(settings(database_url))
    with pytest.raises(NotOpenError, match="open"):
        _ = app.repo


async def test_a_port_that_is_taken_fails_and_leaves_nothing_behind(start: Started) -> None:
    app = await start()
    other = Application(
        Settings(
            **{f: getattr(app.settings, f) for f in Settings.__struct_fields__ if f != "port"},
            port=app.endpoint.port,
        )
    )
    with pytest.raises(OSError, match="in use"):
        await other.start()
    with pytest.raises(NotOpenError):
        _ = other.repo


async def test_a_run_survives_the_restart_of_the_server(start: Started) -> None:
    first = await start()
    world = await World.create(first.repo, project_with_credential())
    created = await world.enqueue()
    socket = await worker(first)
    queue = await socket.join("worker:queue")
    (offer,) = (await queue.call("claim"))["runs"]
    topic, join = f"run:{created.run_id}", {"token": offer["token"]}
    run = await socket.join(topic, join)
    await run.call("run:start", {"timestamp": stamp()})
    await first.stop()
    second = await start()
    again = await worker(second)
    rejoined = await again.join(topic, join)
    step = {"step_id": str(uuid4()), "job_id": str(world.job)}
    await rejoined.call("step:start", step)
    await rejoined.call("run:complete", {"reason": "success"})
    await again.close()
