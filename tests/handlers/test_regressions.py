"""The eight cases that once crashed a channel or got through: field errors now, nothing more.

Each is sent over a channel that then goes on working, and none of them changes a row.
"""

import logging
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from channel_server.log import configure
from tests import plain_logs
from tests.handlers.bench import Bench, Run, stamp

MISSING = ["does not exist"]
Case = Callable[[Bench, Run], Awaitable[tuple[str, dict[str, Any], Any]]]


async def step(bench: Bench, run: Run) -> str:
    step_id = str(uuid4())
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    return step_id


async def final_dataclip(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    payload = {"reason": "success", "final_dataclip_id": str(uuid4())}
    return "run:complete", payload, {"errors": {"final_dataclip_id": MISSING}}


async def output_dataclip(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    payload = {
        "step_id": await step(bench, run),
        "reason": "success",
        "output_dataclip": "{}",
        # The id of a dataclip that exists: two steps cannot have made the same one.
        "output_dataclip_id": str((await bench.world.run(run.id))["dataclip_id"]),
    }
    return "step:complete", payload, {"output_dataclip_id": ["has already been taken"]}


async def foreign_job(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    payload = {"step_id": str(uuid4()), "job_id": str(uuid4())}
    return "step:start", payload, {"job_id": MISSING}


async def foreign_credential(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    payload = {"step_id": str(uuid4()), "job_id": str(bench.world.job)}
    return "step:start", {**payload, "credential_id": str(uuid4())}, {"credential_id": MISSING}


async def foreign_input(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    payload = {"step_id": str(uuid4()), "job_id": str(bench.world.job)}
    sent = {**payload, "input_dataclip_id": str(uuid4())}
    return "step:start", sent, {"input_dataclip_id": MISSING}


async def foreign_step_in_logs(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    other = await bench.run()
    payload = {"message": "x", "timestamp": stamp(), "step_id": await step(bench, other)}
    return "run:log", payload, {"step_id": ["must be associated with the run"]}


async def double_start(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    return "run:start", {"timestamp": stamp(1)}, {"state": ["already started"]}


async def double_complete(bench: Bench, run: Run) -> tuple[str, dict[str, Any], Any]:
    await run.call("run:complete", {"reason": "fail", "timestamp": stamp(1)})
    payload = {"reason": "success", "timestamp": stamp(2)}
    return "run:complete", payload, {"state": ["already in completed state"]}


@pytest.mark.parametrize(
    "case",
    [
        final_dataclip,
        output_dataclip,
        foreign_job,
        foreign_credential,
        foreign_input,
        foreign_step_in_logs,
        double_start,
        double_complete,
    ],
)
async def test_a_violated_constraint_is_a_field_error_and_the_channel_lives_on(
    bench: Bench, case: Case
) -> None:
    run = await bench.started()
    event, payload, expected = await case(bench, run)
    watcher = await bench.watch(run)
    before = await bench.world.contents()
    assert await run.refused(event, payload) == expected
    assert await bench.world.contents() == before
    await watcher.refute_broadcast("run:updated")
    await run.channel.refute_crashed()
    await run.call("run:log", {"message": "still here", "timestamp": stamp()})
    assert bench.app.gateway.metrics.internal_errors == 0


async def test_a_dataclip_deleted_between_check_and_write_is_the_same_error(bench: Bench) -> None:
    run = await bench.started()
    clip = await bench.world.value(
        "INSERT INTO dataclips (project_id, type, body) VALUES ($1, 'global', '{}') RETURNING id",
        bench.world.project.id,
    )
    await bench.world.rows("DELETE FROM dataclips WHERE id = $1 RETURNING 1", clip)
    payload = {"reason": "success", "final_dataclip_id": str(clip)}
    assert await run.refused("run:complete", payload) == {"errors": {"final_dataclip_id": MISSING}}


async def test_a_constraint_that_nobody_declared_is_our_bug_and_hurts_one_message(
    bench: Bench,
) -> None:
    run = await bench.started()
    await bench.world.rows(
        "ALTER TABLE steps ADD CONSTRAINT surprise CHECK (error_type <> 'Surprise') NOT VALID"
    )
    await bench.world.rows(
        "ALTER TABLE log_lines ADD CONSTRAINT astonished CHECK (message <> 'Surprise') NOT VALID"
    )
    payload = {"step_id": await step(bench, run), "reason": "fail", "error_type": "Surprise"}
    with capture_logs() as logged:
        assert await run.refused("step:complete", payload) == {"reason": "internal_error"}
        # A line is acknowledged all the same: a worker whose line is refused hangs.
        await run.call("run:log", {"message": "Surprise", "timestamp": stamp()})
    errors = [entry for entry in logged if entry["log_level"] == "error"]
    assert [entry["event"] for entry in errors] == ["event_failed", "log_lines_failed"]
    assert "'surprise'" in errors[0]["failure"]
    assert "'astonished'" in errors[1]["failure"]
    gateway = bench.app.gateway
    assert gateway.metrics.internal_errors == 2
    assert gateway.metrics.logs_dropped == {"internal_error": 1}
    await run.channel.refute_crashed()
    await run.call("run:complete", {"reason": "success"})


async def test_what_a_worker_sent_is_in_no_traceback(bench: Bench) -> None:
    run = await bench.started()
    await bench.world.rows(
        "ALTER TABLE steps ADD CONSTRAINT surprise CHECK (error_type <> 'Surprise') NOT VALID"
    )
    payload = {
        "step_id": await step(bench, run),
        "reason": "fail",
        "error_type": "Surprise",
        "error_message": "canary-of-a-worker",
    }
    lines = StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("json", stream=lines)
        await run.refused("step:complete", payload)
    finally:
        plain_logs.use()
        root.handlers[:] = handlers
        root.setLevel(level)
    assert "UndeclaredConstraintError" in lines.getvalue()
    assert "canary" not in lines.getvalue()
