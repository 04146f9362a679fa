"""`step:complete` (section 5)."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from handlers.janitor import Janitor
from tests.handlers.bench import Bench, Run, stamp
from tests.handlers.conftest import MakeBench

BLANK = ["This field can't be blank."]


async def step(bench: Bench, run: Run) -> str:
    step_id = str(uuid4())
    await run.call(
        "step:start", {"step_id": step_id, "job_id": str(bench.world.job), "timestamp": stamp()}
    )
    return step_id


async def body(bench: Bench, clip: str) -> Any:
    rows = await bench.world.rows(
        "SELECT body::text AS body, wiped_at, type FROM dataclips WHERE id = $1", UUID(clip)
    )
    return rows[0] if rows else None


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ('{"data":{"n":42}}', '{"data": {"n": 42}}'),
        ({"data": {"n": 42}}, '{"data": {"n": 42}}'),
        ("42", "42"),
        ("null", "null"),
        ([1, 2], "[1, 2]"),
        ('{"x":"a\\u0000b\\ud800"}', '{"x": "a\ufffdb\ufffd"}'),
    ],
)
async def test_the_output_may_be_json_or_a_string_of_json(
    bench: Bench, sent: Any, stored: str
) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    step_id, clip = await step(bench, run), str(uuid4())
    payload = {
        "step_id": step_id,
        "reason": "success",
        "output_dataclip": sent,
        "output_dataclip_id": clip,
        "timestamp": stamp(7),
        "mem": {"job": 1, "system": 2},
        "thread_id": 4,
        "error_type": None,
    }
    assert await run.call("step:complete", payload) == {"step_id": step_id}
    row = await body(bench, clip)
    assert (row["body"], row["type"], row["wiped_at"]) == (stored, "step_result", None)
    await watcher.assert_broadcast(
        "step:completed",
        {"step": {"id": step_id, "exit_reason": "success", "output_dataclip_id": clip}},
    )


async def test_id_and_body_are_needed_together(bench: Bench) -> None:
    run = await bench.started()
    step_id = await step(bench, run)
    base = {"step_id": step_id, "reason": "success"}
    assert await run.refused("step:complete", {**base, "output_dataclip": "{}"}) == {
        "output_dataclip_id": BLANK
    }
    assert await run.refused("step:complete", {**base, "output_dataclip_id": str(uuid4())}) == {
        "output_dataclip": BLANK
    }
    assert await run.call("step:complete", base) == {"step_id": step_id}


async def test_what_is_no_json_is_invalid(bench: Bench) -> None:
    run = await bench.started()
    step_id = await step(bench, run)
    for sent in ("{", "", "{'a': 1}", "NaN", '"\\x"'):
        payload = {
            "step_id": step_id,
            "reason": "success",
            "output_dataclip": sent,
            "output_dataclip_id": str(uuid4()),
        }
        assert await run.refused("step:complete", payload) == {"output_dataclip": ["is invalid"]}


async def test_without_saving_the_id_is_stored_wiped_and_the_body_never(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench()
    await bench.world.rows("UPDATE projects SET retention_policy = 'erase_all' RETURNING 1")
    run = await bench.started()
    step_id, clip = await step(bench, run), str(uuid4())
    payload = {
        "step_id": step_id,
        "reason": "success",
        "output_dataclip": '{"secret":"never stored"}',
        "output_dataclip_id": clip,
    }
    assert await run.call("step:complete", payload) == {"step_id": step_id}
    row = await body(bench, clip)
    assert row["body"] is None
    assert row["wiped_at"] is not None
    second = await step(bench, run)
    await run.call("step:complete", {"step_id": second, "reason": "success"})


async def test_an_unknown_step_is_not_found_and_nothing_is_stored(bench: Bench) -> None:
    worker = await bench.worker()
    first, second = await bench.run(worker), await bench.run(worker)
    theirs = await step(bench, first)
    before = await bench.world.contents()
    for step_id in (theirs, str(uuid4())):
        payload = {
            "step_id": step_id,
            "reason": "success",
            "output_dataclip": "{}",
            "output_dataclip_id": str(uuid4()),
        }
        assert await second.refused("step:complete", payload) == {"step_id": ["not found"]}
    assert await bench.world.contents() == before


async def test_step_and_reason_are_required(bench: Bench) -> None:
    run = await bench.started()
    assert await run.refused("step:complete", {}) == {"step_id": BLANK, "reason": BLANK}
    assert await run.refused("step:complete", None) == {"step_id": BLANK, "reason": BLANK}


async def test_a_completion_sent_again_is_stored_once(bench: Bench) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    step_id = await step(bench, run)
    payload = {
        "step_id": step_id,
        "reason": "success",
        "output_dataclip": '{"a":1}',
        "output_dataclip_id": str(uuid4()),
        "timestamp": stamp(7),
    }
    first = await run.call("step:complete", payload)
    await watcher.assert_broadcast("step:completed")
    before = await bench.world.contents()
    assert await run.call("step:complete", payload) == first
    await watcher.refute_broadcast("step:completed")
    assert await bench.world.contents() == before
    assert await run.refused("step:complete", {**payload, "reason": "fail"}) == {
        "step_id": ["has already been completed"]
    }


async def test_a_step_that_the_janitor_closed_takes_its_real_outcome(bench: Bench) -> None:
    run = await bench.started()
    step_id = await step(bench, run)
    await bench.world.rows(
        "UPDATE runs SET claimed_at = now() - interval '1 hour' WHERE id = $1 RETURNING 1", run.id
    )
    assert await Janitor(bench.app.gateway).sweep() == 1
    reasons = "SELECT exit_reason FROM steps"
    assert await bench.world.value(reasons) == "lost"
    await run.call("step:complete", {"step_id": step_id, "reason": "success"})
    assert await bench.world.value(reasons) == "success"
