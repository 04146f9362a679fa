"""SIGTERM to a real server process: each clause of the drain, seen from outside."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from channel_server.client_errors import ConnectFailed, ConnectRefused, Disconnected
from channel_server.client_frames import Frame
from channel_server.testing.peer import WirePeer
from channel_server.testing.proxy import FaultProxy
from channel_server.testing.raw import RawClient
from schema.repo import connection
from tests.handlers.bench import Bench, project_with_credential
from tests.handlers.cli_bench import variables
from tests.handlers.conftest import MakeBench
from tests.handlers.process import PATIENCE, Process, command
from tests.plain_http import PLAIN
from tests.schema.world import workflow
from tests.waiting import until

DASHBOARDS = 20


def two_workflows() -> Any:
    """One whose callers wait for the end of the run, beside the usual one."""
    waits = workflow("waits")
    trigger = waits.triggers[0]
    trigger.webhook_reply = "after_completion"
    trigger.webhook_response_config = None
    spec = project_with_credential()
    spec.workflows.append(waits)
    return spec


@dataclass
class Server:
    """A server process, and an application in this process on the same database."""

    process: Process
    bench: Bench
    url: str
    stack: AsyncExitStack

    async def _connect(self, mount: str, token: str) -> WirePeer:
        url = f"ws{self.url.removeprefix('http')}{mount}"
        peer = await WirePeer.connect(url, {"token": token}, timeout=PATIENCE)
        self.stack.push_async_callback(peer.abort)
        return peer

    async def worker(self) -> WirePeer:
        return await self._connect("/worker", self.bench.app.gateway.worker_tokens.issue("w"))

    async def dashboard(self) -> WirePeer:
        projects = (self.bench.world.project.id,)
        token = self.bench.app.gateway.user_tokens.issue("ana", projects, "viewer", 3600)
        return await self._connect("/socket", token)

    async def drains(self) -> None:
        """Wait until an upgrade is refused; the listener may be gone by then."""
        await until(self._refuses, PATIENCE)

    async def _refuses(self) -> bool:
        try:
            peer = await self.dashboard()
        except ConnectRefused as refused:
            if (refused.status, refused.body) != (503, "server is shutting down"):
                raise
            return True
        except ConnectFailed:
            return True
        await peer.abort()
        return False


@pytest.fixture
async def server(
    make_bench: MakeBench, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    bench = await make_bench(two_workflows())
    env = variables(bench.app.settings) | {
        "CHANNEL_SERVER_LOG_FORMAT": "json",
        "CHANNEL_SERVER_DRAIN_WINDOW": str(getattr(request, "param", 1.0)),
    }
    words = ("serve", "--json", "--port", "0")
    async with command(*words, folder=tmp_path, env=env) as process, AsyncExitStack() as stack:
        url = str(json.loads(await process.line_with("listening"))["listening"])
        yield Server(process, bench, url, stack)


def reply_to(ref: str) -> Callable[[Frame], bool]:
    return lambda frame: frame.ref == ref


async def join(peer: WirePeer, topic: str, payload: Any = None) -> Frame:
    await peer.send(Frame(topic, f"join {topic}", topic, "phx_join", payload or {}))
    return await peer.take(reply_to(f"join {topic}"))


async def ask(peer: WirePeer, topic: str, event: str, payload: Any) -> Frame:
    await peer.send(Frame(topic, event, topic, event, payload))
    return await peer.take(reply_to(event))


async def claimed(server: Server, worker: WirePeer) -> tuple[UUID, str]:
    """A run that a worker of the process has claimed and joined, and its token."""
    created = await server.bench.enqueue()
    assert (await join(worker, "worker:queue")).payload["status"] == "ok"
    offers: list[Any] = []

    async def offered() -> bool:
        # It hears of the run by a notice.
        answer = await ask(worker, "worker:queue", "claim", {"demand": 1})
        offers.extend(answer.payload["response"]["runs"])
        return bool(offers)

    await until(offered, PATIENCE)
    token = cast("str", offers[0]["token"])
    joined = await join(worker, f"run:{created.run_id}", {"token": token})
    assert joined.payload["status"] == "ok"
    return created.run_id, token


async def closes(peer: WirePeer, closed: list[float]) -> int:
    code = await peer.wait_closed(PATIENCE)
    closed.append(asyncio.get_running_loop().time())
    return code


async def test_what_is_in_flight_is_answered_before_the_close_with_1012(server: Server) -> None:
    worker = await server.worker()
    run_id, _ = await claimed(server, worker)
    topic = f"run:{run_id}"
    async with connection(server.bench.app.settings.database_url) as other:
        async with other.transaction():
            await other.execute("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", run_id)
            await worker.send(Frame(topic, "start", topic, "run:start", {}))
            await waits_for_a_lock(server)
            server.process.tell(signal.SIGTERM)
            await server.drains()
        answer = await worker.take(reply_to("start"))
    assert answer.payload["status"] == "ok"
    assert await worker.wait_closed(PATIENCE) == 1012
    assert await server.process.end() == 0, server.process.text
    assert await server.bench.state(run_id) == "started"


async def waits_for_a_lock(server: Server) -> None:
    async with connection(server.bench.app.settings.database_url) as admin:
        await until(
            lambda: admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ),
            PATIENCE,
        )


@pytest.mark.parametrize("server", [2.0], indirect=True)
async def test_claims_get_no_runs_joins_are_refused_and_closes_are_spread(server: Server) -> None:
    dashboards = [await server.dashboard() for _ in range(DASHBOARDS)]
    workers = [await server.worker() for _ in range(3)]
    run_id, token = await claimed(server, workers[0])
    for worker in workers[1:]:
        await join(worker, "worker:queue")
    project = f"project:{server.bench.world.project.id}"
    closed: list[float] = []
    waiting = [asyncio.ensure_future(closes(peer, closed)) for peer in dashboards + workers]
    server.process.tell(signal.SIGTERM)
    await server.drains()
    await server.bench.enqueue()

    async def unless_closed(asked: Any) -> Any:
        try:
            return (await asked).payload
        except Disconnected:
            return None

    joins = await asyncio.gather(*(unless_closed(join(peer, project)) for peer in dashboards))
    assert {json.dumps(answer) for answer in joins} <= {
        json.dumps({"status": "error", "response": {"reason": "draining"}}),
        json.dumps({"response": {"reason": "draining"}, "status": "error"}),
        "null",
    }
    claims = [ask(worker, "worker:queue", "claim", {"demand": 5}) for worker in workers]
    for answer in await asyncio.gather(*map(unless_closed, claims)):
        assert answer in ({"status": "ok", "response": {"runs": []}}, None)
    rejoined = await unless_closed(join(workers[0], f"run:{run_id}", {"token": token}))
    assert rejoined is None or rejoined["status"] == "ok"
    assert set(await asyncio.gather(*waiting)) == {1012}
    assert max(closed) - min(closed) >= 0.8 * (DASHBOARDS + 3) * 0.02
    assert await server.process.end() == 0, server.process.text
    assert await server.bench.state(run_id) == "claimed"


async def test_callers_and_streams_are_answered_and_idle_connections_end(server: Server) -> None:
    hook = server.bench.world.workflow(1).triggers["webhook"]
    address = urlsplit(server.url)
    idle = RawClient(address.hostname or "", address.port or 0, timeout=PATIENCE)
    async with (
        idle,
        httpx.AsyncClient(
            base_url=server.url, trust_env=False, verify=PLAIN, timeout=PATIENCE
        ) as http,
    ):
        assert (await idle.request("/healthz")).status == 200
        calling = asyncio.ensure_future(http.post(f"/i/{hook}", json={"order": 1}))
        run = await one_run(server)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        streaming = asyncio.create_task(stream(server, http, opened))
        await opened
        server.process.tell(signal.SIGTERM)
        await streaming
        answer = await calling
        assert answer.status_code == 202
        assert answer.json()["run_id"] == str(run)
        await idle.ended()
        assert await server.process.end() == 0, server.process.text
    assert await server.bench.state(run) == "available"


async def stream(server: Server, http: httpx.AsyncClient, opened: asyncio.Future[None]) -> None:
    """Read an event stream until the server ends it; a stream that is torn raises."""
    project = server.bench.world.project.id
    token = server.bench.app.gateway.user_tokens.issue("ana", (project,), "viewer", 3600)
    path = f"/api/projects/{project}/events"
    async with http.stream("GET", path, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status_code == 200, await answer.aread()
        opened.set_result(None)
        async for _ in answer.aiter_bytes():
            pass


async def one_run(server: Server) -> UUID:
    async with connection(server.bench.app.settings.database_url) as admin:
        await until(lambda: admin.fetchval("SELECT id FROM runs"), PATIENCE)
        return cast("UUID", await admin.fetchval("SELECT id FROM runs"))


@pytest.mark.parametrize("server", [15.0], indirect=True)
async def test_a_second_signal_stops_at_once(server: Server) -> None:
    dashboards = [await server.dashboard() for _ in range(3)]
    worker = await server.worker()
    run_id, _ = await claimed(server, worker)
    topic = f"run:{run_id}"
    async with connection(server.bench.app.settings.database_url) as other, other.transaction():
        await other.execute("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", run_id)
        await worker.send(Frame(topic, "start", topic, "run:start", {}))
        await waits_for_a_lock(server)
        server.process.tell(signal.SIGTERM)
        await server.drains()
        assert await server.process.end(signal.SIGTERM) == 0, server.process.text
    assert re.search(r"stopped_at_once", server.process.text)
    codes = [await peer.wait_closed(PATIENCE) for peer in [*dashboards, worker]]
    assert set(codes) <= {1006, 1012}
    assert await server.bench.state(run_id) in ("claimed", "started")


async def test_a_hung_database_does_not_keep_the_process(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    """What waits for an answer that never comes is cut: the process still ends."""
    bench = await make_bench(two_workflows())
    async with FaultProxy.before_database(bench.app.settings.database_url) as proxy:
        env = variables(bench.app.settings) | {
            "DATABASE_URL": proxy.dsn,
            "CHANNEL_SERVER_DRAIN_WINDOW": "0",
        }
        words = ("serve", "--json", "--port", "0")
        async with command(*words, folder=tmp_path, env=env) as process:
            await process.line_with("listening")
            proxy.to_server.stalled = proxy.to_client.stalled = True
            assert await process.end(signal.SIGTERM) == 0, process.text
    assert "Traceback" not in process.text
