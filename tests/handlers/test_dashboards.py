"""Dashboards (section 7): what they fetch and what they are told, once, after the commit."""

import asyncio
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest

from schema.repo import connection
from tests.handlers.bench import TIMEOUT, Bench, stamp


async def whole_run(bench: Bench, watched: Any) -> tuple[UUID, str]:
    created = await bench.enqueue()
    await watched(created.run_id)
    queue = await (await bench.worker()).join("worker:queue")
    (offer,) = await bench.claim(queue)
    run = await bench.join(created.run_id, offer["token"])
    step_id = str(uuid4())
    await run.call("run:log", {"message": "first", "timestamp": stamp(9)})
    await run.call("run:start", {"timestamp": stamp()})
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    await run.call("run:log", {"message": "second", "timestamp": stamp(3), "step_id": step_id})
    await run.call("step:complete", {"step_id": step_id, "reason": "success"})
    await run.call("run:complete", {"reason": "success", "timestamp": stamp(20)})
    return run.id, step_id


async def test_every_change_is_told_once_in_order_with_its_version(bench: Bench) -> None:
    watcher: Any = None

    async def watch(run_id: UUID) -> None:
        nonlocal watcher
        watcher = await bench.watch(run_id)

    await whole_run(bench, watch)
    socket = bench.sockets[0]
    await socket.settle()
    frames = [frame for frame in socket.peer.frames if frame.event != "run:remark"]
    told = [(frame.event, frame.payload["version"]) for frame in frames]
    assert told == [
        ("run:updated", 2),
        ("logs", 3),
        ("run:updated", 4),
        ("step:started", 5),
        ("logs", 6),
        ("step:completed", 7),
        ("run:updated", 8),
    ]
    states = [f.payload["run"]["state"] for f in socket.peer.frames if f.event == "run:updated"]
    assert states == ["claimed", "started", "success"]


async def test_a_project_is_told_of_its_runs_and_of_nothing_else(bench: Bench) -> None:
    dashboard = await bench.dashboard()
    await dashboard.join(f"project:{bench.world.project.id}")

    async def nothing(_run_id: UUID) -> None: ...

    await whole_run(bench, nothing)
    await bench.app.gateway.feeds.settle()
    await dashboard.settle()
    frames = [f for f in dashboard.peer.frames if f.event != "workers:changed"]
    told = [(f.event, f.payload["run"]["state"]) for f in frames]
    assert told == [
        ("run:created", "available"),
        ("run:updated", "claimed"),
        ("run:updated", "started"),
        ("run:updated", "success"),
    ]


async def test_fetch_run_shows_steps_with_jobs_work_order_and_trigger(bench: Bench) -> None:
    async def nothing(_run_id: UUID) -> None: ...

    run_id, step_id = await whole_run(bench, nothing)
    watcher = await bench.watch(run_id)
    run = (await watcher.call("fetch:run", timeout=TIMEOUT))["run"]
    assert (run["id"], run["state"], run["created_by"]) == (str(run_id), "success", None)
    assert [step["id"] for step in run["steps"]] == [step_id]
    assert run["steps"][0]["job"]["name"] == "First"
    assert run["work_order"]["state"] == "success"
    trigger = bench.world.workflow().triggers["webhook"]
    assert run["starting_trigger"]["id"] == str(trigger)
    assert "lease" not in run


async def test_fetch_logs_is_in_time_order(bench: Bench) -> None:
    async def nothing(_run_id: UUID) -> None: ...

    run_id, _ = await whole_run(bench, nothing)
    watcher = await bench.watch(run_id)
    logs = (await watcher.call("fetch:logs", timeout=TIMEOUT))["logs"]
    assert [line["message"] for line in logs] == ["second", "first"]


async def test_what_is_told_is_committed(bench: Bench) -> None:
    run = await bench.run()
    await bench.watch(run)
    seen: list[str] = []
    repo = bench.app.repo

    class Reader:
        def deliver(self, broadcast: Any) -> None:
            if broadcast.event == "run:updated":
                seen.append(committed_state(repo.dsn, run.id))

    reader = Reader()
    bench.app.pubsub.subscribe(f"run:{run.id}", reader)
    await run.call("run:start", {"timestamp": stamp()})
    await run.call("run:complete", {"reason": "fail"})
    assert seen == ["started", "failed"]


def committed_state(dsn: str, run_id: UUID) -> str:
    """What another connection sees, asked while the broadcast is being delivered."""
    found: list[str] = []

    async def read() -> None:
        async with connection(dsn) as other:
            found.append(await other.fetchval("SELECT state FROM runs WHERE id = $1", run_id))

    thread = threading.Thread(target=lambda: asyncio.run(read()))
    thread.start()
    thread.join(10)
    return found[0]


@pytest.mark.parametrize("event", ["run:start", "step:start", "run:complete", "step:complete"])
async def test_a_refused_event_is_told_to_nobody(bench: Bench, event: str) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    await run.refused(event, {"reason": "nonsense", "step_id": "x", "timestamp": stamp(1)})
    for name in ("run:updated", "step:started", "step:completed"):
        await watcher.refute_broadcast(name)
    await project.refute_broadcast("run:updated")


async def test_a_dashboard_knows_no_other_events(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    for channel in (watcher, project):
        for event in ("cancel", "__proto__", "run:updated"):
            pushed = await channel.push(event, {})
            await channel.assert_reply(pushed, "error", {"reason": "unknown event"})
        await channel.refute_crashed()


async def test_a_dashboard_is_told_to_try_again_while_the_database_is_away(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    dashboard = await bench.dashboard()
    await bench.app.repo.close()
    for event in ("fetch:run", "fetch:logs"):
        pushed = await watcher.push(event, {})
        answer = await watcher.assert_reply(pushed, "error", {"retryable": True})
        assert answer["reason"] in ("unavailable", "busy")
    late = dashboard.channel(f"run:{run.id}")
    pushed = await late.push("phx_join", {})
    await late.assert_reply(pushed, "error", {"retryable": True})
