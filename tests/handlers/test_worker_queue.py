"""Topic `worker:queue` (section 4): claims, what they are answered with, and who may ask."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from channel_server.client_errors import ConnectRefused
from channel_server.client_frames import Frame
from channel_server.testing.client import ChannelClient, Pushed, connect
from handlers.application import WORKER_MOUNT
from handlers.gateway import CLAIM_TURNS
from handlers.leases import LeaseWatch
from handlers.worker_queue import Demand
from schema.queue import CLAIM
from schema.refused import Refused
from schema.repo import Statement
from tests.handlers.bench import TIMEOUT, Bench
from tests.handlers.conftest import MakeBench
from tests.waiting import until

WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()
  AND left(query, 200) = left($1, 200)"""


@pytest.mark.parametrize(
    ("payload", "count", "name", "queues"),
    [
        ({}, 1, None, ("manual", "*")),
        (None, 1, None, ("manual", "*")),
        ({"demand": 3, "worker_name": "pod-7"}, 3, "pod-7", ("manual", "*")),
        ({"demand": 0, "worker_name": ""}, 0, None, ("manual", "*")),
        ({"demand": -5}, 0, None, ("manual", "*")),
        ({"demand": 10**30}, 100, None, ("manual", "*")),
        ({"demand": "many"}, 0, None, ("manual", "*")),
        ({"demand": True}, 0, None, ("manual", "*")),
        ({"queues": ["fast", "*"]}, 1, None, ("fast", "*")),
        ({"queues": ["a", "a", "", 5, "b"]}, 1, None, ("a", "b")),
        ({"queues": []}, 1, None, ()),
        ({"queues": "manual"}, 1, None, ("manual", "*")),
        ({"worker_name": "nul \u0000" + "x" * 999}, 1, "nul \ufffd" + "x" * 250, ("manual", "*")),
    ],
)
def test_a_demand_is_made_usable_whatever_came(
    payload: Any, count: int, name: str | None, queues: tuple[str, ...]
) -> None:
    demand = Demand(payload)
    assert (demand.count, demand.worker_name, demand.queues) == (count, name, queues)


async def test_a_claim_gives_runs_with_their_tokens(bench: Bench) -> None:
    created = [await bench.enqueue() for _ in range(3)]
    queue = await (await bench.worker("better-views-flow")).join("worker:queue", {"capacity": 2})
    offers = await bench.claim(queue, 2, worker_name="pod-7", queues=["manual", "*"])
    assert [set(offer) for offer in offers] == [{"id", "token"}] * 2
    assert [offer["id"] for offer in offers] == [str(run.run_id) for run in created[:2]]
    row = await bench.world.run(created[0].run_id)
    assert (row["state"], row["worker_name"], row["worker_id"]) == (
        "claimed",
        "pod-7",
        "better-views-flow",
    )
    owner = bench.app.gateway.run_tokens.verify(offers[0]["token"], created[0].run_id)
    assert owner is not None
    assert owner.lease == row["lease"]


async def test_an_empty_queue_is_answered_with_no_runs(bench: Bench) -> None:
    queue = await (await bench.worker()).join("worker:queue")
    assert await queue.call("claim", {}, timeout=TIMEOUT) == {"runs": []}


@pytest.mark.parametrize("payload", [{"demand": "x"}, {"queues": []}, [], "text", None, 5])
async def test_a_claim_is_answered_with_runs_whatever_it_says(bench: Bench, payload: Any) -> None:
    queue = await (await bench.worker()).join("worker:queue")
    response = await queue.call("claim", payload, timeout=TIMEOUT)
    assert response == {"runs": []}


async def test_a_claim_tells_dashboards_of_run_and_project(bench: Bench) -> None:
    created = await bench.enqueue()
    watcher = await bench.watch(created.run_id)
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    queue = await (await bench.worker()).join("worker:queue")
    await bench.claim(queue)
    for channel in (watcher, project):
        await channel.assert_broadcast("run:updated", {"run": {"state": "claimed"}})


async def test_no_worker_token_no_upgrade(bench: Bench) -> None:
    gateway = bench.app.gateway
    run_token = (await bench.claimed())[1]
    user_token = gateway.user_tokens.issue("ana", [], "operator", 60)
    for params in ({}, {"token": ""}, {"token": "x"}, {"token": run_token}, {"token": user_token}):
        with pytest.raises(ConnectRefused) as refused:
            await connect(bench.app.sockets[WORKER_MOUNT], params)
        assert refused.value.status == 403


async def test_unheard_of_events_are_refused_and_the_channel_lives_on(bench: Bench) -> None:
    queue = await (await bench.worker()).join("worker:queue")
    for event in ("run:start", "presence_diff", "__proto__", ""):
        pushed = await queue.push(event, {})
        await queue.assert_reply(pushed, "error", {"reason": "unknown event"})
    assert await bench.claim(queue) == []


@asynccontextmanager
async def claim_under_way(bench: Bench, queue: ChannelClient) -> AsyncGenerator[Pushed]:
    """A claim that the database answers at the end of the block."""
    async with bench.app.repo.transaction() as holder:
        await holder.execute(Statement("test.hold", "LOCK TABLE runs IN ACCESS EXCLUSIVE MODE"))
        claim = await queue.push("claim", {"demand": 1})
        await until(lambda: bench.world.value(WAITING, CLAIM.sql))
        yield claim


async def test_runs_go_back_when_the_socket_is_gone_before_the_reply(bench: Bench) -> None:
    created = await bench.enqueue()
    worker = await bench.worker()
    async with claim_under_way(bench, await worker.join("worker:queue")):
        gone = asyncio.create_task(worker.peer.abort())
        await asyncio.sleep(0)  # it begins, and ends with the claim
    await gone
    await until(lambda: bench.app.gateway.metrics.runs_released == {"socket_gone": 1})
    row = await bench.world.run(created.run_id)
    assert (row["state"], row["lease"]) == ("available", None)
    other = await (await bench.worker()).join("worker:queue")
    assert [offer["id"] for offer in await bench.claim(other)] == [str(created.run_id)]


async def test_runs_go_back_when_a_second_join_took_over(bench: Bench) -> None:
    created = await bench.enqueue()
    queue = await (await bench.worker()).join("worker:queue")
    async with claim_under_way(bench, queue) as lost:
        again = asyncio.create_task(queue.join(timeout=TIMEOUT))
        for _ in range(20):  # it arrives, and is answered when the claim has ended
            await asyncio.sleep(0)
    await again
    await until(lambda: sum(bench.app.gateway.metrics.runs_released.values()) == 1)
    await queue.refute_reply(lost)
    assert [offer["id"] for offer in await bench.claim(queue)] == [str(created.run_id)]


async def test_two_workers_never_get_one_run(bench: Bench) -> None:
    created = {str((await bench.enqueue()).run_id) for _ in range(6)}
    queues = [await (await bench.worker(f"w{n}")).join("worker:queue") for n in range(4)]
    claims = await asyncio.gather(*(bench.claim(queue, 3) for queue in queues))
    got = [offer["id"] for offers in claims for offer in offers]
    assert len(got) == len(set(got))
    assert set(got) <= created
    rest = [offer["id"] for queue in queues for offer in await bench.claim(queue, 6)]
    assert sorted(got + rest) == sorted(created)


async def test_a_burst_of_claims_finds_a_run_for_each(bench: Bench) -> None:
    created = {str((await bench.enqueue()).run_id) for _ in range(16)}
    queues = [await (await bench.worker(f"w{n}")).join("worker:queue") for n in range(16)]
    claims = await asyncio.gather(*(bench.claim(queue) for queue in queues))
    assert {offer["id"] for offers in claims for offer in offers} == created


async def test_a_limit_has_room_again_when_a_run_ends(bench: Bench) -> None:
    await bench.world.rows("UPDATE workflows SET concurrency = 1 RETURNING 1")
    worker = await bench.worker()
    first = await bench.run(worker)
    second = await bench.enqueue()
    queue = await worker.join("worker:queue")
    await bench.sockets[0].settle()
    assert await bench.claim(queue) == []
    bench.app.gateway.work_available.close()
    bench.sockets[0].peer.frames.clear()
    await first.call("run:complete", {"reason": "success"})
    await queue.assert_broadcast("work-available")
    assert [offer["id"] for offer in await bench.claim(queue)] == [str(second.run_id)]


async def test_a_claim_while_the_database_is_away_is_answered_with_no_runs(bench: Bench) -> None:
    queue = await (await bench.worker()).join("worker:queue")
    await bench.app.repo.close()
    assert await bench.claim(queue) == []


async def test_a_bug_of_ours_answers_no_runs_and_keeps_the_channel(bench: Bench) -> None:
    await bench.enqueue()
    await bench.world.rows(
        "ALTER TABLE runs ADD CONSTRAINT surprise CHECK (worker_name <> 'bad') NOT VALID"
    )
    queue = await (await bench.worker()).join("worker:queue")
    with capture_logs() as logged:
        assert await bench.claim(queue, worker_name="bad") == []
    assert [entry["event"] for entry in logged if entry["log_level"] == "error"] == ["claim_failed"]
    assert bench.app.gateway.metrics.internal_errors == 1
    assert len(await bench.claim(queue, worker_name="good")) == 1


async def test_claims_that_waited_for_an_empty_one_ask_nothing(bench: Bench) -> None:
    queues = [await (await bench.worker(f"w{n}")).join("worker:queue") for n in range(12)]
    before = bench.app.repo.statements_run
    assert await asyncio.gather(*(bench.claim(queue) for queue in queues)) == [[]] * 12
    assert bench.app.repo.statements_run - before <= CLAIM_TURNS


async def test_a_release_that_fails_is_left_to_the_lease_watch(make_bench: MakeBench) -> None:
    bench = await make_bench(unheard_claim_after=0.001)
    created = await bench.enqueue()
    worker = await bench.worker()
    queue = await worker.join("worker:queue")
    repo = bench.app.repo
    fetch = repo.fetch

    async def no_release(statement: Any, *args: Any) -> Any:
        if statement.name == "queue.release":
            return Refused(kind="unavailable", retryable=True)
        return await fetch(statement, *args)

    repo.fetch = no_release
    await queue.push("claim", {})
    await worker.peer.abort()
    assert await bench.state(created.run_id) == "claimed"
    assert await LeaseWatch(bench.app.gateway).check() == 1
    assert await bench.state(created.run_id) == "available"


async def test_the_reconnect_burst_counts_the_worker_once(bench: Bench) -> None:
    worker = await bench.worker()
    peer, topic = worker.peer, "worker:queue"
    await peer.send(Frame("82", "82", topic, "phx_join", {"capacity": 1}))
    await peer.send(Frame("82", "83", topic, "phx_leave", {}))
    await peer.send(Frame("84", "84", topic, "phx_join", {"capacity": 1}))
    await peer.settle()
    assert bench.app.pubsub.subscribers(topic) == 1
    created = await bench.enqueue()
    await peer.take(lambda frame: frame.event == "work-available", TIMEOUT)
    await peer.send(Frame("84", "85", topic, "claim", {"demand": 1}))
    reply = await peer.take(lambda frame: frame.ref == "85", TIMEOUT)
    (offer,) = reply.payload["response"]["runs"]
    assert UUID(offer["id"]) == created.run_id
    assert reply.join_ref == "84"
