"""The database goes away and comes back: retryable refusals, no closed channel, nothing doubled."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from handlers.run_context import insist
from schema.refused import Refused
from schema.repo import connection
from tests.handlers.bench import TIMEOUT, Bench, stamp
from tests.handlers.conftest import MakeBench

AWAY = Refused(kind="unavailable", retryable=True)


async def test_an_event_is_refused_as_retryable_and_the_channel_lives_on(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(database_patience=0.1)
    run = await bench.started()
    await bench.app.repo.close()
    events: list[tuple[str, dict[str, Any]]] = [
        ("run:start", {"timestamp": stamp()}),
        ("step:start", {"step_id": str(uuid4()), "job_id": str(bench.world.job)}),
        ("step:complete", {"step_id": str(uuid4()), "reason": "success"}),
        ("run:complete", {"reason": "success"}),
        ("fetch:credential", {"id": str(uuid4())}),
        ("fetch:dataclip", {}),
    ]
    for event, payload in events:
        answer = await run.refused(event, payload)
        assert answer["retryable"] is True
        assert answer["reason"] in ("unavailable", "busy")
    await run.channel.refute_crashed()
    assert bench.app.gateway.metrics.internal_errors == 0


async def test_what_is_malformed_is_refused_without_asking_the_database(bench: Bench) -> None:
    run = await bench.run()
    await bench.app.repo.close()
    assert await run.refused("run:complete", {"reason": "x"}) == {"state": ["is invalid"]}
    assert await run.refused("run:start", {"timestamp": "x"}) == {"timestamp": ["is invalid"]}
    assert await run.refused("run:log", {}) == {"message": ["This field can't be blank."]}


async def test_events_go_on_after_every_connection_was_cut(bench: Bench) -> None:
    run = await bench.started()
    watcher = await bench.watch(run)
    async with connection(bench.app.repo.dsn) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await run.call("run:log", {"message": "back", "timestamp": stamp()})
    await run.call("run:complete", {"reason": "success"})
    await watcher.assert_broadcast("logs", timeout=TIMEOUT)
    await watcher.assert_broadcast("run:updated", {"run": {"state": "success"}}, timeout=TIMEOUT)


async def test_a_write_is_tried_again_until_it_is_answered() -> None:
    answers: list[Any] = [AWAY, AWAY, "done"]
    retried: list[Refused] = []

    async def write() -> Any:
        return answers.pop(0)

    assert await insist(write, 5.0, retried.append) == "done"
    assert retried == [AWAY, AWAY]


@pytest.mark.parametrize("patience", [0.0, 0.06])
async def test_patience_ends(patience: float) -> None:
    tries = 0

    async def write() -> Any:
        nonlocal tries
        tries += 1
        return AWAY

    async with asyncio.timeout(TIMEOUT):
        assert await insist(write, patience) == AWAY
    assert tries == (1 if patience == 0.0 else 2)


async def test_a_refusal_for_good_is_not_tried_again() -> None:
    tries = 0

    async def write() -> Any:
        nonlocal tries
        tries += 1
        return Refused({"state": ["is invalid"]})

    await insist(write, 5.0)
    assert tries == 1


def lose_answers(bench: Bench, name: str) -> None:
    """Lose the answer to the first statement of that name, after its commit."""
    repo = bench.app.repo
    fetch = repo.fetch
    left = 1

    async def losing(statement: Any, *args: Any) -> Any:
        nonlocal left
        rows = await fetch(statement, *args)
        if left and statement.name == name:
            left -= 1
            return Refused(kind="unavailable", retryable=True, outcome_unknown=True)
        return rows

    repo.fetch = losing


async def test_a_change_whose_answer_was_lost_is_applied_once_and_told_once(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    step_id = str(uuid4())
    lose_answers(bench, "runs.start")
    assert await run.call("run:start", {}) is None
    lose_answers(bench, "steps.start")
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    lose_answers(bench, "log_lines.insert")
    await run.call("run:log", {"message": "x"})
    lose_answers(bench, "steps.complete")
    await run.call("step:complete", {"step_id": step_id, "reason": "success"})
    lose_answers(bench, "runs.complete")
    await run.call("run:complete", {"reason": "success"})
    socket = bench.sockets[-1]
    await socket.settle()
    assert [frame.event for frame in socket.peer.frames] == [
        "run:updated",
        "step:started",
        "logs",
        "step:completed",
        "run:updated",
    ]
    assert await bench.state(run) == "success"
    assert await bench.world.value("SELECT count(*) FROM log_lines") == 1
    assert bench.app.gateway.metrics.runs_completed == {"success": 1}
    await watcher.refute_crashed()
