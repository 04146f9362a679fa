"""Section 13: what a real worker cannot survive, one rule after the other."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from channel_server.client_errors import JoinRefused
from channel_server.client_frames import Frame
from handlers.leases import LeaseWatch
from tests.handlers.bench import TIMEOUT, Bench, Run, stamp
from tests.handlers.conftest import MakeBench
from tests.schema.world import project, workflow


async def take_lease(bench: Bench, run: Run) -> None:
    """Somebody else owns the run now."""
    await bench.world.rows(
        "UPDATE runs SET lease = gen_random_uuid() WHERE id = $1 RETURNING 1", run.id
    )


async def test_1_the_plan_is_ready_when_the_join_is_answered(bench: Bench) -> None:
    worker = await bench.worker()
    run_id, token = await bench.claimed(worker)
    peer, topic = worker.peer, f"run:{run_id}"
    before = bench.app.repo.statements_run
    # Back to back, as a worker that does not wait for the answer to the join would send them.
    await peer.send(Frame("7", "7", topic, "phx_join", {"token": token}))
    await peer.send(Frame("7", "8", topic, "fetch:plan", {}))
    await peer.take(lambda frame: frame.ref == "8", TIMEOUT)
    assert bench.app.repo.statements_run == before + 1


async def test_1_the_plan_needs_no_database_after_the_join(bench: Bench) -> None:
    run = await bench.run()
    await bench.app.repo.close()
    assert (await run.call("fetch:plan"))["id"] == str(run.id)


async def test_1_a_plan_that_cannot_be_executed_refuses_the_join_and_ends_the_run(
    bench: Bench,
) -> None:
    worker = await bench.worker()
    run_id, token = await bench.claimed(worker)
    await bench.world.rows("ALTER TABLE snapshots DISABLE TRIGGER USER")
    await bench.world.rows("UPDATE snapshots SET graph = jsonb_set(graph, '{edges}', '[]')")
    with pytest.raises(JoinRefused) as refused:
        await bench.join(run_id, token, worker)
    assert refused.value.response["reason"] == "invalid_plan"
    row = await bench.world.run(run_id)
    assert (row["state"], row["error_type"]) == ("exception", "InvalidPlan")


@pytest.mark.parametrize("state", ["available", "claimed", "started", "success", "lost"])
async def test_2_logs_are_refused_for_no_state_of_the_run(bench: Bench, state: str) -> None:
    run = await bench.run()
    if state == "available":
        await bench.world.rows(
            "UPDATE runs SET state = 'available', lease = NULL, claimed_at = NULL,"
            " joined_at = NULL WHERE id = $1",
            run.id,
        )
    if state == "started":
        await run.call("run:start", {})
    if state == "success":
        await run.call("run:complete", {"reason": "success"})
    if state == "lost":
        await bench.world.rows(
            "UPDATE runs SET state = 'lost', finished_at = now() WHERE id = $1", run.id
        )
    await run.call("run:log", {"message": ["Run complete"], "timestamp": stamp()})
    await run.call("run:batch_logs", {"logs": [{"message": ["and in a batch"]}]})


async def test_2_logs_are_not_refused_when_the_database_is_away(make_bench: MakeBench) -> None:
    bench = await make_bench(log_patience=0.1)
    run = await bench.run()
    await bench.app.repo.close()
    await run.call("run:log", {"message": ["Run complete"], "timestamp": stamp()})
    assert sum(bench.app.gateway.metrics.logs_dropped.values()) == 1


async def test_3_a_rejoin_of_a_run_once_held_is_accepted_whatever_became_of_it(
    bench: Bench,
) -> None:
    run = await bench.started()
    await bench.join(run.id, run.token)
    await bench.world.rows(
        "UPDATE runs SET state = 'lost', finished_at = now() WHERE id = $1", run.id
    )
    await bench.join(run.id, run.token)
    await take_lease(bench, run)
    await bench.join(run.id, run.token)


async def test_3_events_of_a_run_that_is_no_longer_its_own_change_nothing(bench: Bench) -> None:
    run = await bench.started()
    step_id = str(uuid4())
    step: dict[str, Any] = {"step_id": step_id, "job_id": str(bench.world.job)}
    await run.call("step:start", step)
    await take_lease(bench, run)
    again = await bench.join(run.id, run.token)
    watcher = await bench.watch(run)
    before = await bench.world.contents()
    for event, payload in (
        ("run:start", {"timestamp": stamp()}),
        ("step:start", {**step, "step_id": str(uuid4())}),
        ("step:complete", {"step_id": step_id, "reason": "success"}),
        ("run:complete", {"reason": "success"}),
        ("fetch:dataclip", {}),
        ("fetch:credential", {"id": str(uuid4())}),
    ):
        assert await again.refused(event, payload) == {"reason": "lease_lost"}
    await again.call("run:log", {"message": "gone", "timestamp": stamp()})
    assert (await again.call("fetch:plan"))["id"] == str(run.id)
    assert await bench.world.contents() == before
    for event in ("run:updated", "step:started", "step:completed", "logs"):
        await watcher.refute_broadcast(event)
    assert bench.app.gateway.metrics.events_dropped["lease_lost"] == 4
    await again.channel.refute_crashed()


async def test_3_a_join_waits_for_the_database_instead_of_being_refused(bench: Bench) -> None:
    worker = await bench.worker()
    run_id, token = await bench.claimed(worker)
    repo = bench.app.repo
    pool, repo._pool = repo._pool, _Away()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] - there is no other way to take the database away and give it back within one process
    channel = worker.channel(f"run:{run_id}")
    joining = asyncio.create_task(channel.join({"token": token}, timeout=TIMEOUT))
    await pool_asked(repo._pool)  # pyright: ignore[reportPrivateUsage, reportArgumentType] - as above
    assert not joining.done()
    repo._pool = pool  # pyright: ignore[reportPrivateUsage] - as above
    assert await joining == {}


class _Away:
    """A pool whose server is not there."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def acquire(self, *, timeout: float) -> Any:  # noqa: ASYNC109 - the pool's signature
        del timeout
        self.asked.set()
        raise ConnectionRefusedError


async def pool_asked(pool: _Away) -> None:
    async with asyncio.timeout(TIMEOUT):
        await pool.asked.wait()


async def test_4_nothing_that_a_worker_says_ends_its_channels(bench: Bench) -> None:
    worker = await bench.worker()
    queue = await worker.join("worker:queue")
    run = await bench.join(*await bench.claimed(), worker)
    payloads: list[Any] = [None, [], "text", 5, {"a": {"b": []}}]
    for channel in (queue, run.channel):
        for event in ("claim", "run:start", "run:complete", "run:log", "step:start", "unknown"):
            for payload in payloads:
                await channel.push(event, payload)
    await worker.settle()
    ended = [f for f in worker.peer.frames if f.event in ("phx_close", "phx_error")]
    assert ended == []
    await worker.refute_closed()


async def test_5_a_draining_server_answers_claims_with_no_runs(bench: Bench) -> None:
    await bench.enqueue()
    queue = await (await bench.worker()).join("worker:queue")
    bench.app.gateway.draining = True
    assert await queue.call("claim", {"demand": 1}) == {"runs": []}


async def test_6_an_empty_claim_costs_no_query_while_nothing_was_enqueued(bench: Bench) -> None:
    queue = await (await bench.worker()).join("worker:queue")
    assert await bench.claim(queue) == []
    before = bench.app.repo.statements_run
    for _ in range(20):
        assert await bench.claim(queue) == []
    assert bench.app.repo.statements_run == before
    created = await bench.enqueue()
    assert [offer["id"] for offer in await bench.claim(queue)] == [str(created.run_id)]


async def test_7_the_leave_of_the_first_join_does_not_undo_the_second(bench: Bench) -> None:
    worker = await bench.worker()
    peer, topic = worker.peer, "worker:queue"
    for join_ref, ref, event in (
        ("82", "82", "phx_join"),
        ("82", "83", "phx_leave"),
        ("84", "84", "phx_join"),
    ):
        await peer.send(Frame(join_ref, ref, topic, event, {}))
    await peer.send(Frame("82", "86", topic, "phx_leave", {}))
    await peer.send(Frame("84", "87", topic, "claim", {}))
    reply = await peer.take(lambda frame: frame.ref == "87", TIMEOUT)
    assert reply.payload == {"status": "ok", "response": {"runs": []}}


async def test_8_frames_of_more_than_16_megabytes_are_normal(bench: Bench) -> None:
    run = await bench.started()
    step_id = str(uuid4())
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    state = {"data": '"' * (8 * 1024 * 1024)}
    payload = {
        "step_id": step_id,
        "reason": "success",
        "output_dataclip": msgspec.json.encode(state).decode(),
        "output_dataclip_id": str(uuid4()),
    }
    pushed = await run.channel.push("step:complete", payload)
    await run.channel.assert_reply(pushed, "ok", timeout=30)
    size = await bench.world.value(
        "SELECT length(body ->> 'data') FROM dataclips WHERE type = 'step_result'"
    )
    assert size == 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("success", "success"),
        ("fail", "failed"),
        ("crash", "crashed"),
        ("kill", "killed"),
        ("exception", "exception"),
    ],
)
async def test_9_a_run_may_end_without_a_start(bench: Bench, reason: str, state: str) -> None:
    run = await bench.run()
    await run.call("run:log", {"message": ["before the start"], "timestamp": stamp(9)})
    assert await run.call("run:complete", {"reason": reason}) is None
    assert await bench.state(run) == state


async def test_9_a_step_may_complete_without_a_start_or_an_id(bench: Bench) -> None:
    run = await bench.started()
    unknown = {"step_id": str(uuid4()), "reason": "success"}
    assert await run.refused("step:complete", unknown) == {"step_id": ["not found"]}
    assert await run.refused("step:complete", {"reason": "success"}) == {
        "step_id": ["This field can't be blank."]
    }
    await run.call("run:complete", {"reason": "success"})


async def test_10_nul_and_lone_surrogates_are_stored_with_the_replacement_character(
    bench: Bench,
) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    ref, topic = run.channel.join_ref, f"run:{run.id}"
    frames = {
        "901": f'["{ref}","901","{topic}","run:log",{{"message":["\\u0000 \\ud800"]}}]',
        "902": f'["{ref}","902","{topic}","run:complete",'
        '{"reason":"success","final_state":{"a":"\\u0000 \\udfff"}}]',
    }
    for number, frame in frames.items():
        await worker.peer.send_raw(frame)
        reply = await worker.peer.take(lambda sent, ref=number: sent.ref == ref, TIMEOUT)
        assert reply.payload["status"] == "ok"
    assert await bench.world.value("SELECT message FROM log_lines") == "\ufffd \ufffd"
    final = "SELECT body ->> 'a' FROM dataclips WHERE type = 'step_result'"
    assert await bench.world.value(final) == "\ufffd \ufffd"


async def test_12_plans_never_have_a_trigger_edge_without_condition(bench: Bench) -> None:
    run = await bench.run()
    plan = await run.call("fetch:plan")
    assert all(edge["condition"] is not None for edge in plan["edges"])


async def test_12_a_start_trigger_without_an_enabled_edge_makes_no_run(
    make_bench: MakeBench,
) -> None:
    flow = workflow()
    flow.edges[0].enabled = False
    bench = await make_bench(project(workflows=[flow]))
    with pytest.raises(AssertionError, match="no enabled edge"):
        await bench.enqueue()
    assert await bench.world.value("SELECT count(*) FROM runs") == 0


async def test_a_claim_that_nobody_heard_of_is_released(make_bench: MakeBench) -> None:
    bench = await make_bench(unheard_claim_after=0.001)
    run_id, token = await bench.claimed()
    watcher = await bench.watch(run_id)
    assert await LeaseWatch(bench.app.gateway).check() == 1
    assert await bench.state(run_id) == "available"
    await watcher.assert_broadcast("run:updated", {"run": {"state": "available"}})
    queue = await (await bench.worker("another")).join("worker:queue")
    (offer,) = await bench.claim(queue)
    assert offer["token"] != token
    # The first worker turns up after all: let in, and powerless.
    late = await bench.join(run_id, token)
    assert await late.refused("run:start", {}) == {"reason": "lease_lost"}


async def test_a_joined_claim_is_not_released(make_bench: MakeBench) -> None:
    bench = await make_bench(unheard_claim_after=0.001)
    run = await bench.run()
    assert await LeaseWatch(bench.app.gateway).check() == 0
    assert await bench.state(run) == "claimed"
