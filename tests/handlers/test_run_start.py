"""`run:start` (section 5), and who may not start a run (section 2)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.handlers.bench import MICROSECONDS, Bench, stamp


async def test_start_marks_the_run_started_and_the_work_order_running(bench: Bench) -> None:
    run = await bench.run()
    assert await run.call("run:start", {"timestamp": stamp()}) is None
    row = await bench.world.run(run.id)
    assert row["state"] == "started"
    states = await bench.world.rows("SELECT state FROM work_orders")
    assert [state["state"] for state in states] == ["running"]


@pytest.mark.parametrize("timestamp", [stamp(), MICROSECONDS])
async def test_the_timestamp_is_kept_to_the_microsecond(bench: Bench, timestamp: Any) -> None:
    run = await bench.run()
    await run.call("run:start", {"timestamp": timestamp, "versions": {"worker": "1.25.0"}})
    row = await bench.world.run(run.id)
    assert row["started_at"] == datetime.fromtimestamp(1_795_216_548, UTC)


@pytest.mark.parametrize("payload", [{}, {"timestamp": None}, None])
async def test_without_a_timestamp_it_started_now(bench: Bench, payload: Any) -> None:
    run = await bench.run()
    await run.call("run:start", payload)
    row = await bench.world.run(run.id)
    assert abs((datetime.now(UTC) - row["started_at"]).total_seconds()) < 60


@pytest.mark.parametrize("timestamp", ["yesterday", 1.5, {}, True])
async def test_a_bad_timestamp_is_refused_and_changes_nothing(bench: Bench, timestamp: Any) -> None:
    run = await bench.run()
    assert await run.refused("run:start", {"timestamp": timestamp}) == {"timestamp": ["is invalid"]}
    assert await bench.state(run) == "claimed"


async def test_starting_a_started_run_is_refused_and_changes_nothing(bench: Bench) -> None:
    run = await bench.started()
    before = await bench.world.contents()
    assert await run.refused("run:start", {"timestamp": stamp(1)}) == {"state": ["already started"]}
    assert await run.refused("run:start", {}) == {"state": ["already started"]}
    assert await bench.world.contents() == before


async def test_starting_a_completed_run_is_refused_and_changes_nothing(bench: Bench) -> None:
    run = await bench.started()
    await run.call("run:complete", {"reason": "success", "timestamp": stamp(5)})
    before = await bench.world.contents()
    assert await run.refused("run:start", {"timestamp": stamp(9)}) == {
        "state": ["already in completed state"]
    }
    assert await bench.world.contents() == before


async def test_starting_a_lost_run_is_refused_and_changes_nothing(bench: Bench) -> None:
    run = await bench.run()
    await bench.world.rows(
        "UPDATE runs SET state = 'lost', finished_at = now() WHERE id = $1 RETURNING 1", run.id
    )
    before = await bench.world.contents()
    assert await run.refused("run:start", {"timestamp": stamp()}) == {
        "state": ["already in completed state"]
    }
    assert await bench.world.contents() == before


async def test_a_start_sent_again_gets_the_same_reply_and_no_second_broadcast(
    bench: Bench,
) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    payload = {"timestamp": stamp(), "versions": {"worker": "1.25.0", "node": "20"}}
    assert await run.call("run:start", payload) is None
    await watcher.assert_broadcast("run:updated", {"run": {"state": "started"}})
    before = await bench.world.contents()
    again = dict(reversed(payload.items()))
    assert await run.call("run:start", again) is None
    await watcher.refute_broadcast("run:updated")
    assert await bench.world.contents() == before


async def test_the_channel_lives_on_after_a_refusal(bench: Bench) -> None:
    run = await bench.started()
    await run.refused("run:start", {"timestamp": stamp(1)})
    await run.channel.refute_crashed()
    await run.call("run:complete", {"reason": "success"})
