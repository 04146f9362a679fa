"""Who may do what: each kind of token, each topic and event, on its own run and on another."""

from typing import Any
from uuid import uuid4

import pytest

from channel_server.client_errors import ConnectRefused, JoinRefused
from channel_server.testing.client import SocketClient, connect
from handlers.application import USER_MOUNT, WORKER_MOUNT
from handlers.run_tokens import UserTokens, WorkerTokens
from schema.outcomes import Owner
from tests.handlers.bench import TIMEOUT, Bench, settings, stamp

WORKER_EVENTS = (
    "fetch:plan",
    "fetch:credential",
    "fetch:dataclip",
    "run:start",
    "run:complete",
    "run:log",
    "run:batch_logs",
    "step:start",
    "step:complete",
)
VIEWER_EVENTS = ("fetch:run", "fetch:logs")
UNAUTHORIZED = {"reason": "unauthorized"}
NOT_FOUND = {"reason": "not_found"}
UNKNOWN = {"reason": "unknown event"}
UNMATCHED = {"reason": "unmatched topic"}


async def refused(socket: SocketClient, topic: str, payload: Any = None) -> Any:
    with pytest.raises(JoinRefused) as caught:
        await socket.join(topic, payload, timeout=TIMEOUT)
    return caught.value.response


async def test_a_worker_joins_a_run_only_with_the_token_of_that_run(bench: Bench) -> None:
    worker = await bench.worker()
    (mine, token), (other, other_token) = await bench.claimed(worker), await bench.claimed(worker)
    gateway = bench.app.gateway
    expired = gateway.run_tokens.issue(Owner(mine, uuid4()), -60)
    for wrong in (
        None,
        {},
        {"token": None},
        {"token": ""},
        {"token": "x.y.z"},
        {"token": other_token},
        {"token": expired},
        {"token": gateway.worker_tokens.issue("w")},
        {"token": gateway.user_tokens.issue("ana", [bench.world.project.id], "operator", 60)},
        {"token": [token]},
        "token",
        [token],
    ):
        assert await refused(worker, f"run:{mine}", wrong) == UNAUTHORIZED
    assert await refused(worker, "run:nonsense", {"token": token}) == UNAUTHORIZED
    assert await refused(worker, f"run:{other}", {"token": token}) == UNAUTHORIZED
    await bench.join(mine, token, worker)


async def test_a_genuine_token_for_a_run_that_does_not_exist_finds_nothing(bench: Bench) -> None:
    worker, owner = await bench.worker(), Owner(uuid4(), uuid4())
    token = bench.app.gateway.run_tokens.issue(owner, 60)
    assert await refused(worker, f"run:{owner.run_id}", {"token": token}) == NOT_FOUND


async def test_a_run_token_is_no_way_into_another_run_by_its_events(bench: Bench) -> None:
    worker = await bench.worker()
    mine, other = await bench.run(worker), await bench.run(worker)
    step_id = str(uuid4())
    await other.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    before = await bench.world.contents()
    complete = {"step_id": step_id, "reason": "success"}
    assert await mine.refused("step:complete", complete) == {"step_id": ["not found"]}
    foreign = {"message": "x", "step_id": step_id, "run_id": str(other.id)}
    assert await mine.refused("run:log", foreign) == {
        "step_id": ["must be associated with the run"]
    }
    assert await bench.world.contents() == before
    # The topic counts, never the run_id of a payload.
    await mine.call("run:log", {"message": "x", "run_id": str(other.id), "timestamp": stamp()})
    assert await bench.world.value("SELECT run_id FROM log_lines") == mine.id


async def test_events_of_a_run_that_was_not_joined_are_unmatched(bench: Bench) -> None:
    worker = await bench.worker()
    run_id, _ = await bench.claimed(worker)
    channel = worker.channel(f"run:{run_id}")
    for event in WORKER_EVENTS:
        pushed = await channel.push(event, {})
        await channel.assert_reply(pushed, "error", UNMATCHED)
    assert await bench.state(run_id) == "claimed"


async def test_workers_have_no_events_of_dashboards_and_the_other_way_round(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    for event in VIEWER_EVENTS:
        assert await run.refused(event) == UNKNOWN
    before = await bench.world.contents()
    for event in WORKER_EVENTS:
        pushed = await watcher.push(event, {"reason": "success", "message": "x"})
        await watcher.assert_reply(pushed, "error", UNKNOWN)
    assert await bench.world.contents() == before


async def test_each_socket_serves_its_own_topics_only(bench: Bench) -> None:
    worker, dashboard = await bench.worker(), await bench.dashboard()
    assert await refused(worker, f"project:{bench.world.project.id}") == UNMATCHED
    assert await refused(dashboard, "worker:queue") == UNMATCHED


async def test_a_worker_gets_no_broadcasts_of_dashboards(bench: Bench) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    await run.call("run:start", {"timestamp": stamp()})
    await run.call("run:log", {"message": "x", "timestamp": stamp()})
    await worker.settle()
    assert [frame.event for frame in worker.peer.frames if frame.event != "work-available"] == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_dashboard_sees_the_runs_of_its_projects_only(bench: Bench, role: str) -> None:
    run = await bench.run()
    topic, project = f"run:{run.id}", bench.world.project.id
    ours = await bench.dashboard(project, role=role)
    for event in VIEWER_EVENTS:
        await (await ours.join(topic, timeout=TIMEOUT)).call(event, timeout=TIMEOUT)
    await ours.join(f"project:{project}")
    theirs = await bench.dashboard(uuid4(), role=role)
    assert await refused(theirs, topic) == UNAUTHORIZED
    assert await refused(theirs, f"project:{project}") == UNAUTHORIZED


async def test_a_dashboard_finds_no_run_that_does_not_exist(bench: Bench) -> None:
    run = await bench.run()
    dashboard = await bench.dashboard()
    for topic in (f"run:{uuid4()}", "run:", "run:1", f"run:{str(run.id).upper()}"):
        assert await refused(dashboard, topic) == NOT_FOUND
    for topic in ("project:", "project:*", f"project:{uuid4()}"):
        assert await refused(dashboard, topic) == UNAUTHORIZED


async def test_the_dashboard_socket_opens_for_user_tokens_only(bench: Bench) -> None:
    gateway, socket = bench.app.gateway, bench.app.sockets[USER_MOUNT]
    _, run_token = await bench.claimed()
    expired = gateway.user_tokens.issue("ana", [], "viewer", -60)
    for token in (None, "", run_token, gateway.worker_tokens.issue("w"), expired):
        with pytest.raises(ConnectRefused) as caught:
            await connect(socket, {"token": token})
        assert caught.value.status == 403


async def test_tokens_of_another_deployment_open_nothing(bench: Bench, database_url: str) -> None:
    other = settings(database_url, worker_secret="the secret of somebody else")
    tokens = {
        WORKER_MOUNT: WorkerTokens(other.worker_secret).issue("w"),
        USER_MOUNT: UserTokens(other.user_key()).issue("ana", [], "viewer", 60),
    }
    for mount, token in tokens.items():
        with pytest.raises(ConnectRefused):
            await connect(bench.app.sockets[mount], {"token": token})


async def test_a_dashboard_is_closed_when_its_token_expires(bench: Bench) -> None:
    gateway = bench.app.gateway
    token = gateway.user_tokens.issue("ana", [], "viewer", 60)
    socket = bench.app.sockets[USER_MOUNT]()
    assert socket.connect({"token": token}, socket.info) is None
    user = gateway.user_tokens.verify(token)
    assert user is not None
    assert socket.expires_at == user.expires_at
    assert socket.id() == "user_socket:ana"
