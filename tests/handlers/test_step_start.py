"""`step:start` (section 5)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.handlers.bench import Bench, stamp

MISSING = ["does not exist"]


def payload(bench: Bench, **more: Any) -> dict[str, Any]:
    fields = {"step_id": str(uuid4()), "job_id": str(bench.world.job), "timestamp": stamp()}
    return {**fields, **more}


async def test_a_step_is_stored_and_dashboards_are_told(bench: Bench) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    row = await bench.world.run(run.id)
    sent = payload(bench, input_dataclip_id=str(row["dataclip_id"]))
    assert await run.call("step:start", sent) == {"step_id": sent["step_id"]}
    told = await watcher.assert_broadcast(
        "step:started",
        {"step": {"id": sent["step_id"], "job_id": sent["job_id"], "run_id": str(run.id)}},
    )
    assert told["step"]["input_dataclip_id"] == sent["input_dataclip_id"]
    assert told["step"]["started_at"].startswith("2026-11-20T")


async def test_the_job_is_asked_for_in_the_old_shape(bench: Bench) -> None:
    run = await bench.started()
    blank = payload(bench)
    del blank["job_id"]
    assert await run.refused("step:start", blank) == {
        "errors": {"job_id": ["This field can't be blank."]}
    }
    assert await run.refused("step:start", payload(bench, job_id=None)) == {
        "errors": {"job_id": ["Job not found!"]}
    }
    assert await run.refused("step:start", None) == {
        "errors": {"job_id": ["This field can't be blank."]}
    }


@pytest.mark.parametrize("field", ["job_id", "credential_id", "input_dataclip_id"])
async def test_what_a_step_refers_to_must_exist_in_this_project(bench: Bench, field: str) -> None:
    run = await bench.started()
    before = await bench.world.contents()
    sent = payload(bench, **{field: str(uuid4())})
    assert await run.refused("step:start", sent) == {field: MISSING}
    assert await bench.world.contents() == before


@pytest.mark.parametrize("field", ["step_id", "job_id", "credential_id", "input_dataclip_id"])
@pytest.mark.parametrize("value", ["clip-1", 5, {}])
async def test_a_bad_id_is_invalid(bench: Bench, field: str, value: Any) -> None:
    run = await bench.started()
    assert await run.refused("step:start", payload(bench, **{field: value})) == {
        field: ["is invalid"]
    }


async def test_a_step_needs_an_id(bench: Bench) -> None:
    run = await bench.started()
    assert await run.refused("step:start", payload(bench, step_id=None)) == {
        "step_id": ["This field can't be blank."]
    }


async def test_a_step_sent_again_gets_the_same_reply_and_is_stored_once(bench: Bench) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    sent = payload(bench)
    first = await run.call("step:start", sent)
    await watcher.assert_broadcast("step:started")
    assert await run.call("step:start", sent) == first
    await watcher.refute_broadcast("step:started")
    assert await bench.world.value("SELECT count(*) FROM steps") == 1
    assert await run.refused("step:start", {**sent, "timestamp": stamp(1)}) == {
        "step_id": ["has already been taken"]
    }


async def test_a_step_id_of_another_run_is_taken_whatever_is_sent(bench: Bench) -> None:
    worker = await bench.worker()
    first, second = await bench.run(worker), await bench.run(worker)
    sent = payload(bench)
    await first.call("step:start", sent)
    before = await bench.world.contents()
    assert await second.refused("step:start", sent) == {"step_id": ["has already been taken"]}
    assert await bench.world.contents() == before


async def test_a_step_may_start_before_the_run_does(bench: Bench) -> None:
    run = await bench.run()
    sent = payload(bench)
    assert await run.call("step:start", sent) == {"step_id": sent["step_id"]}


async def test_a_finished_run_starts_no_steps(bench: Bench) -> None:
    run = await bench.started()
    await run.call("run:complete", {"reason": "success"})
    assert await run.refused("step:start", payload(bench)) == {
        "state": ["already in completed state"]
    }
