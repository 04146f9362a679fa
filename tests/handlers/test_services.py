"""What runs in the background: janitor, lease watch, notices, work-available, readiness."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from channel_server.pubsub import PubSub
from channel_server.service import Service
from handlers.janitor import Janitor
from handlers.leases import LeaseWatch
from handlers.notices import Notices
from handlers.readiness import Readiness
from handlers.webhook_replies import ResponseConfig
from handlers.work_available import WorkAvailable
from schema import runs
from schema.listener import Listener
from schema.outcomes import Applied
from schema.repo import Repo, connection
from tests.handlers.bench import TIMEOUT, Bench, Run, stamp
from tests.handlers.conftest import MakeBench


async def nothing() -> None:
    """The database has nothing to say: what ends the waiting must come from here."""


async def age(bench: Bench, run: Run, interval: str = "1 hour") -> None:
    await bench.world.rows(
        f"UPDATE runs SET claimed_at = claimed_at - interval '{interval}' WHERE id = $1", run.id
    )


async def test_the_janitor_marks_old_runs_lost_and_closes_their_steps(bench: Bench) -> None:
    claimed, started = await bench.run(), await bench.started()
    fresh = await bench.started()
    step_id = str(uuid4())
    await started.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    for run in (claimed, started):
        await age(bench, run)
    watcher = await bench.watch(started)
    assert await Janitor(bench.app.gateway).sweep() == 2
    rows = [await bench.world.run(run.id) for run in (claimed, started, fresh)]
    assert [(row["state"], row["error_type"]) for row in rows] == [
        ("lost", "LostAfterClaim"),
        ("lost", "LostAfterStart"),
        ("started", None),
    ]
    assert bench.app.gateway.metrics.runs_lost == {"LostAfterClaim": 1, "LostAfterStart": 1}
    await watcher.assert_broadcast("step:completed", {"step": {"exit_reason": "lost"}})
    await watcher.assert_broadcast("run:updated", {"run": {"state": "lost"}})
    assert await Janitor(bench.app.gateway).sweep() == 0
    await watcher.refute_broadcast("run:updated")


async def test_the_janitor_counts_the_timeout_of_the_run_and_the_grace(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(run_timeout=100.0, run_grace=50.0)
    run = await bench.started()
    await age(bench, run, "149 seconds")
    assert await Janitor(bench.app.gateway).sweep() == 0
    await age(bench, run, "2 seconds")
    assert await Janitor(bench.app.gateway).sweep() == 1


async def test_the_janitor_closes_steps_left_open_in_finished_runs(bench: Bench) -> None:
    run = await bench.started()
    step_id = str(uuid4())
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    await run.call("run:complete", {"reason": "success"})
    watcher = await bench.watch(run)
    await Janitor(bench.app.gateway).sweep()
    await watcher.assert_broadcast("step:completed", {"step": {"exit_reason": "lost"}})
    await watcher.refute_broadcast("run:updated")


async def test_the_caller_of_a_lost_run_is_answered(bench: Bench) -> None:
    run = await bench.started()
    webhooks = bench.app.gateway.webhooks
    webhooks.expect(str(run.id), ResponseConfig(error_code=502))
    await age(bench, run)
    await Janitor(bench.app.gateway).sweep()
    reply = await webhooks.wait(str(run.id), TIMEOUT, nothing)
    assert reply is not None
    assert reply.status == 502
    assert b'"state":"lost"' in reply.body


async def test_the_caller_of_a_run_that_an_operator_cancelled_is_answered(
    bench: Bench, heard: asyncio.Queue[str]
) -> None:
    created = await bench.world.enqueue()
    webhooks = bench.app.gateway.webhooks
    webhooks.expect(str(created.run_id), ResponseConfig())
    assert isinstance(await runs.cancel(bench.app.repo, created.run_id, "ana"), Applied)
    reply = await webhooks.wait(str(created.run_id), TIMEOUT, nothing)
    assert reply is not None
    assert b'"state":"cancelled"' in reply.body
    assert str(created.run_id) in await heard.get()


async def test_the_caller_of_a_completed_run_is_answered_once(bench: Bench) -> None:
    run = await bench.started()
    webhooks = bench.app.gateway.webhooks
    webhooks.expect(str(run.id), ResponseConfig())
    for number, response in enumerate([{"status": 202.7, "body": {"n": 1}}, None]):
        step_id = str(uuid4())
        await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
        payload: dict[str, Any] = {"step_id": step_id, "reason": "success"}
        if response is not None:
            payload["webhook_response"] = response
        await run.call("step:complete", {**payload, "timestamp": stamp(number)})
    complete = {"reason": "success", "final_state": {"data": 1}, "timestamp": stamp(9)}
    await run.call("run:complete", complete)
    await run.call("run:complete", complete)
    reply = await webhooks.wait(str(run.id), TIMEOUT, nothing)
    assert reply is not None
    assert (reply.status, b'"data":{"n":1}' in reply.body) == (202, True)


async def test_the_final_state_is_the_default_answer(bench: Bench) -> None:
    run = await bench.started()
    webhooks = bench.app.gateway.webhooks
    webhooks.expect(str(run.id), ResponseConfig(success_code=200))
    clip = str((await bench.world.run(run.id))["dataclip_id"])
    await run.call(
        "run:complete",
        {"reason": "success", "final_state": {"a": [1, 2]}, "final_dataclip_id": clip},
    )
    reply = await webhooks.wait(str(run.id), TIMEOUT, nothing)
    assert reply is not None
    assert reply.status == 200
    assert b'"data":{"a":[1,2]}' in reply.body


async def test_services_start_stop_and_start_again(bench: Bench) -> None:
    gateway = bench.app.gateway
    ready: list[bool] = []
    services: list[tuple[Service, str]] = [
        (LeaseWatch(gateway), "checked"),
        (Janitor(gateway), "swept"),
        (Readiness(gateway.repo, gateway.repo.dsn, ready.append), "checked"),
    ]
    for service, signal in services:
        await service.stop()
        for _ in range(2):
            await service.start()
            await service.start()
            await service.signals.wait(signal)
            await service.stop()
            await service.stop()
        assert service.crashes == 0
    assert ready == [True]


async def test_services_survive_a_database_that_is_away(bench: Bench) -> None:
    gateway = bench.app.gateway
    await gateway.repo.close()
    assert await LeaseWatch(gateway).check() == 0
    assert await Janitor(gateway).sweep() == 0
    assert await Readiness(gateway.repo, gateway.repo.dsn, lambda _ready: None).check() is False


async def test_pending_migrations_are_not_ready(empty_database_url: str) -> None:
    repo = await Repo.connect(empty_database_url, min_size=1)
    told: list[bool] = []
    service = Readiness(repo, empty_database_url, told.append)
    await service.start()
    assert await service.signals.wait("checked") is False
    await service.stop()
    await repo.close()
    assert told == [False]


class Inbox:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, float]] = asyncio.Queue()

    def deliver(self, broadcast: Any) -> None:
        self.events.put_nowait((broadcast.event, asyncio.get_running_loop().time()))


async def test_work_available_is_pushed_at_once_and_then_once_per_interval() -> None:
    pubsub, inbox = PubSub(), Inbox()
    pubsub.subscribe("worker:queue", inbox)
    work = WorkAvailable(pubsub, 0.05)
    for _ in range(10):
        work.notify()
    first = await inbox.events.get()
    second = await inbox.events.get()
    assert (first[0], second[0]) == ("work-available", "work-available")
    assert second[1] - first[1] >= 0.045
    assert inbox.events.empty()
    work.notify()
    third = await inbox.events.get()
    assert third[1] - second[1] >= 0.045
    work.close()


async def test_after_close_nothing_is_pushed() -> None:
    pubsub, inbox = PubSub(), Inbox()
    work = WorkAvailable(pubsub, 0.01)
    work.notify()
    work.notify()
    pubsub.subscribe("worker:queue", inbox)
    work.close()
    work.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.03):
            await inbox.events.get()


@pytest.fixture
async def heard(bench: Bench) -> AsyncIterator[asyncio.Queue[str]]:
    """The notices that a connected listener has acted on."""
    notices = Notices(bench.app.gateway)
    queue: asyncio.Queue[str] = asyncio.Queue()

    def received(payload: str) -> None:
        notices.received(payload)
        if "workers_changed" not in payload:
            queue.put_nowait(payload)

    listener = Listener(bench.app.repo.dsn, received, notices.resync)
    await listener.start()
    await listener.connected.wait()
    yield queue
    await listener.stop()
    await notices.stop()


@pytest.mark.usefixtures("heard")
async def test_a_created_run_is_told_to_workers_and_to_the_project(bench: Bench) -> None:
    queue = await (await bench.worker()).join("worker:queue")
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    assert await bench.claim(queue) == []
    created = await bench.world.enqueue()
    told = await project.assert_broadcast("run:created", timeout=TIMEOUT)
    assert (told["run"]["id"], told["run"]["state"]) == (str(created.run_id), "available")
    await queue.assert_broadcast("work-available", timeout=TIMEOUT)
    assert [offer["id"] for offer in await bench.claim(queue)] == [str(created.run_id)]


async def test_a_released_run_is_not_created_again(
    make_bench: MakeBench, bench: Bench, heard: asyncio.Queue[str]
) -> None:
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    run_id, _ = await bench.claimed()
    await project.assert_broadcast("run:created", timeout=TIMEOUT)
    await heard.get()
    await bench.world.rows(
        "UPDATE runs SET claimed_at = now() - interval '1 hour' WHERE id = $1", run_id
    )
    other = await make_bench(unheard_claim_after=1.0)
    assert await LeaseWatch(other.app.gateway).check() == 1
    async with asyncio.timeout(TIMEOUT):
        assert str(run_id) in await heard.get()
    await project.refute_broadcast("run:created")


async def test_a_notice_that_cannot_be_read_changes_nothing(bench: Bench) -> None:
    notices = Notices(bench.app.gateway)
    mark = bench.app.gateway.hint.before_claim()
    for payload in ("", "{}", "[]", "text", '{"run_available":"x"}', '{"run_available":null}'):
        notices.received(payload)
    assert bench.app.gateway.hint.before_claim() == mark
    await notices.stop()


async def test_the_hint_is_forgotten_after_a_lost_connection(bench: Bench) -> None:
    notices = Notices(bench.app.gateway)
    listener = Listener(bench.app.repo.dsn, notices.received, notices.resync, backoff=(0.01, 0.02))
    await listener.start()
    await listener.connected.wait()
    queue = await (await bench.worker()).join("worker:queue")
    assert await bench.claim(queue) == []
    mark = bench.app.gateway.hint.before_claim()
    async with connection(bench.app.repo.dsn) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'channel_server listener' AND datname = current_database()"
        )
    await listener.disconnected.wait()
    await listener.connected.wait()
    assert bench.app.gateway.hint.before_claim() > mark
    await listener.stop()


async def test_a_notice_of_a_run_that_is_gone_tells_nobody(bench: Bench) -> None:
    notices = Notices(bench.app.gateway)
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    notice = f'{{"run_available":"{uuid4()}","project_id":"{bench.world.project.id}","version":1}}'
    notices.received(notice)
    await project.refute_broadcast("run:created")
    notices.received(notice)
    await notices.stop()
    await notices.stop()


async def test_full_batches_are_followed_at_once_by_the_next(make_bench: MakeBench) -> None:
    bench = await make_bench(janitor_batch=1, janitor_interval=3600.0)
    for _ in range(3):
        await age(bench, await bench.started())
    service = Janitor(bench.app.gateway)
    await service.start()
    assert [await service.signals.wait("swept") for _ in range(4)] == [1, 1, 1, 0]
    await service.stop()
