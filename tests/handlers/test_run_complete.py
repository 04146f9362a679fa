"""`run:complete` (section 5), late completions (12.3) and re-sends (12.1)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.handlers.bench import Bench, Run, stamp
from tests.handlers.conftest import MakeBench

REASONS = {
    "ok": "success",
    "success": "success",
    "fail": "failed",
    "failed": "failed",
    "crash": "crashed",
    "crashed": "crashed",
    "cancel": "cancelled",
    "cancelled": "cancelled",
    "kill": "killed",
    "killed": "killed",
    "exception": "exception",
}


async def mark_lost(bench: Bench, run: Run) -> None:
    await bench.world.rows(
        "UPDATE runs SET state = 'lost', finished_at = now(), version = version + 1"
        " WHERE id = $1 RETURNING 1",
        run.id,
    )


async def test_each_reason_means_its_state(bench: Bench) -> None:
    worker = await bench.worker()
    for reason, state in REASONS.items():
        run = await bench.run(worker)
        assert await run.call("run:complete", {"reason": reason}) is None
        assert await bench.state(run) == state
    states = await bench.world.rows("SELECT state FROM work_orders")
    assert sorted(row["state"] for row in states) == sorted(REASONS.values())


@pytest.mark.parametrize("reason", ["lost", "started", "available", "done", 5, ["ok"], {}])
async def test_anything_else_is_no_reason(bench: Bench, reason: Any) -> None:
    run = await bench.started()
    before = await bench.world.contents()
    assert await run.refused("run:complete", {"reason": reason}) == {"state": ["is invalid"]}
    assert await bench.world.contents() == before


@pytest.mark.parametrize("payload", [{}, {"reason": None}, {"reason": ""}, None])
async def test_the_reason_is_required(bench: Bench, payload: Any) -> None:
    run = await bench.started()
    assert await run.refused("run:complete", payload) == {"reason": ["This field can't be blank."]}
    assert await bench.state(run) == "started"


async def test_error_and_timestamp_are_stored(bench: Bench) -> None:
    run = await bench.started()
    await run.call(
        "run:complete",
        {
            "reason": "fail",
            "error_type": "JobError",
            "error_message": "no \u0000 luck",
            "timestamp": stamp(123_456),
        },
    )
    row = await bench.world.run(run.id)
    assert (row["error_type"], row["error_message"]) == ("JobError", "no \ufffd luck")
    at = datetime.fromtimestamp(1_795_216_548, UTC) + timedelta(microseconds=123_456)
    assert row["finished_at"] == at


async def test_a_final_state_is_stored_as_a_new_step_result(bench: Bench) -> None:
    run = await bench.started()
    state = {"data": {"n": 42}, "text": "a\u0000b"}
    await run.call("run:complete", {"reason": "success", "final_state": state})
    row = await bench.world.run(run.id)
    (clip,) = await bench.world.rows(
        "SELECT type, body::text AS body, wiped_at FROM dataclips WHERE id = $1",
        row["final_dataclip_id"],
    )
    assert clip["type"] == "step_result"
    assert clip["body"] == '{"data": {"n": 42}, "text": "a\ufffdb"}'
    assert clip["wiped_at"] is None


async def test_a_final_state_is_wiped_when_dataclips_are_not_saved(make_bench: MakeBench) -> None:
    bench = await make_bench()
    await bench.world.rows("UPDATE projects SET retention_policy = 'erase_all' RETURNING 1")
    run = await bench.started()
    await run.call("run:complete", {"reason": "success", "final_state": {"data": 1}})
    row = await bench.world.run(run.id)
    (clip,) = await bench.world.rows(
        "SELECT body, wiped_at FROM dataclips WHERE id = $1", row["final_dataclip_id"]
    )
    assert clip["body"] is None
    assert clip["wiped_at"] is not None


async def test_a_final_dataclip_wins_over_the_final_state(bench: Bench) -> None:
    run = await bench.started()
    row = await bench.world.run(run.id)
    clips = await bench.world.value("SELECT count(*) FROM dataclips")
    await run.call(
        "run:complete",
        {
            "reason": "success",
            "final_state": {"big": "state"},
            "final_dataclip_id": str(row["dataclip_id"]),
        },
    )
    assert (await bench.world.run(run.id))["final_dataclip_id"] == row["dataclip_id"]
    assert await bench.world.value("SELECT count(*) FROM dataclips") == clips


async def test_a_crash_reported_again_gets_the_same_reply_and_tells_nobody(bench: Bench) -> None:
    run = await bench.run()
    crash = {"reason": "crash", "error_type": "SyntaxError", "error_message": "line 1"}
    assert await run.call("run:complete", crash) is None
    before = await bench.world.contents()
    watcher = await bench.watch(run)
    assert await run.call("run:complete", crash) is None
    await watcher.refute_broadcast("run:updated")
    assert await bench.world.contents() == before


async def test_completing_a_completed_run_is_refused(bench: Bench) -> None:
    run = await bench.started()
    await run.call("run:complete", {"reason": "success", "timestamp": stamp(1)})
    before = await bench.world.contents()
    for payload in ({"reason": "fail", "timestamp": stamp(2)}, {"reason": "success"}):
        assert await run.refused("run:complete", payload) == {
            "state": ["already in completed state"]
        }
    assert await bench.world.contents() == before


async def test_a_completion_sent_again_gets_the_same_reply_and_tells_nobody(bench: Bench) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    payload = {"reason": "success", "timestamp": stamp(1), "final_state": {"a": [1, 2]}}
    assert await run.call("run:complete", payload) is None
    await watcher.assert_broadcast("run:updated", {"run": {"state": "success"}})
    before = await bench.world.contents()
    assert await run.call("run:complete", payload) is None
    await watcher.refute_broadcast("run:updated")
    assert await bench.world.contents() == before
    assert await run.refused("run:complete", {**payload, "final_state": {"a": [1, 3]}}) == {
        "state": ["already in completed state"]
    }


async def test_accept_lets_the_lease_holder_tell_the_truth_once(make_bench: MakeBench) -> None:
    bench = await make_bench(late_completion="accept")
    run = await bench.started()
    await mark_lost(bench, run)
    watcher = await bench.watch(run)
    assert await run.call("run:complete", {"reason": "success"}) is None
    told = await watcher.assert_broadcast("run:updated", {"run": {"state": "success"}})
    assert told["run"]["recovered_at"] is not None
    assert await run.refused("run:complete", {"reason": "fail"}) == {
        "state": ["already in completed state"]
    }
    assert await bench.world.value("SELECT state FROM work_orders") == "success"


async def test_acknowledge_says_too_late_and_changes_nothing(make_bench: MakeBench) -> None:
    bench = await make_bench(late_completion="acknowledge")
    run = await bench.started()
    await mark_lost(bench, run)
    before = await bench.world.contents()
    assert await run.call("run:complete", {"reason": "success"}) == {"status": "too_late"}
    assert await bench.world.contents() == before


async def test_reject_refuses_the_late_completion(make_bench: MakeBench) -> None:
    bench = await make_bench(late_completion="reject")
    run = await bench.started()
    await mark_lost(bench, run)
    before = await bench.world.contents()
    assert await run.refused("run:complete", {"reason": "success"}) == {
        "state": ["already in completed state"]
    }
    assert await bench.world.contents() == before


async def test_a_final_dataclip_of_another_project_does_not_exist(bench: Bench) -> None:
    run = await bench.started()
    other = await bench.world.value(
        "WITH p AS (INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'other')"
        " RETURNING id) INSERT INTO dataclips (id, project_id, type, body)"
        " SELECT gen_random_uuid(), id, 'global', '{}' FROM p RETURNING id"
    )
    before = await bench.world.contents()
    for clip in (other, uuid4()):
        payload = {"reason": "success", "final_dataclip_id": str(clip)}
        assert await run.refused("run:complete", payload) == {
            "errors": {"final_dataclip_id": ["does not exist"]}
        }
    payload = {"reason": "success", "final_dataclip_id": "clip-1"}
    assert await run.refused("run:complete", payload) == {"final_dataclip_id": ["is invalid"]}
    assert await bench.world.contents() == before


async def test_observe_lets_through_what_the_lifecycle_forbids_and_counts_it(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(state_machine="observe")
    run = await bench.started()
    await run.call("run:complete", {"reason": "success"})
    assert await run.call("run:start", {"timestamp": stamp(9)}) is None
    assert await bench.state(run) == "started"
    text = bench.app.render_metrics().decode()
    assert "run_gateway_observed_transitions_total 1.0" in text
