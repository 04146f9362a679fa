"""Late truth with holes: what is missing, late or early is said, and nothing is guessed (12.3)."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from handlers.janitor import Janitor
from schema import remarks
from schema.outcomes import Owner
from schema.refused import Refused
from schema.remarks import History
from tests.handlers.bench import TIMEOUT, Bench, Run, stamp
from tests.handlers.conftest import MakeBench

POLICIES = ("accept", "acknowledge", "reject")
OVER = {"state": ["already in completed state"]}


async def odd(bench: Bench, run: Run | UUID) -> tuple[list[Any], list[Any]]:
    """The gaps and the remarks of a run, without their times."""
    await bench.app.gateway.remarks.settled()
    found = await remarks.of_run(bench.app.repo, run.id if isinstance(run, Run) else run)
    assert isinstance(found, History)
    gaps = [(gap["event"], gap["step_id"]) for gap in msgspec.json.decode(found.gaps_json)]
    notes = [
        (note["kind"], note["event"], note["step_id"], note["count"])
        for note in msgspec.json.decode(found.remarks_json)
    ]
    return gaps, notes


async def begin_step(bench: Bench, run: Run) -> str:
    step_id = str(uuid4())
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    return step_id


async def lose(bench: Bench, run: Run) -> None:
    await bench.world.rows(
        "UPDATE runs SET claimed_at = claimed_at - interval '1 hour' WHERE id = $1", run.id
    )
    assert await Janitor(bench.app.gateway).sweep() == 1
    # The claim was not really that long ago.
    await bench.world.rows(
        "UPDATE runs SET claimed_at = claimed_at + interval '1 hour' WHERE id = $1", run.id
    )


async def lost(bench: Bench) -> tuple[Run, str]:
    """A started run with an open step that the janitor gave up."""
    run = await bench.run()
    await run.call("run:start", {})
    step_id = await begin_step(bench, run)
    await lose(bench, run)
    return run, step_id


async def step(bench: Bench, step_id: str) -> Any:
    return (await bench.world.rows("SELECT * FROM steps WHERE id = $1", UUID(step_id)))[0]


async def test_an_ordinary_run_has_no_gaps_and_no_remarks(bench: Bench) -> None:
    run = await bench.run()
    await run.call("run:start", {})
    step_id = await begin_step(bench, run)
    await run.call("step:complete", {"step_id": step_id, "reason": "success"})
    await run.call("run:complete", {"reason": "success"})
    assert await odd(bench, run) == ([], [])


async def test_a_completion_without_a_start_is_a_gap(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    await run.call("run:complete", {"reason": "success"})
    assert await odd(bench, run) == (
        [("run:start", None)],
        [("missing", "run:start", None, 1)],
    )
    row = await bench.world.run(run.id)
    assert (row["state"], row["started_at"]) == ("success", None)
    told = await watcher.assert_broadcast("run:remark", timeout=TIMEOUT)
    assert (told["remark"]["kind"], told["remark"]["event"]) == ("missing", "run:start")


async def test_the_end_of_an_unknown_step_is_refused_and_remarked(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    step_id = str(uuid4())
    payload = {"step_id": step_id, "reason": "success", "error_message": "private"}
    before = await bench.world.contents()
    for _ in range(3):
        assert await run.refused("step:complete", payload) == {"step_id": ["not found"]}
    assert await bench.world.contents() == before
    gaps, notes = await odd(bench, run)
    assert gaps == [("step:start", step_id)]
    assert notes == [("missing", "step:start", step_id, 3)]
    await watcher.assert_broadcast("run:remark", {"remark": {"step_id": step_id}}, timeout=TIMEOUT)
    stored = await bench.world.value("SELECT to_jsonb(m)::text FROM run_remarks m")
    assert "private" not in stored


async def test_a_gap_closes_when_the_start_comes_after_all(bench: Bench) -> None:
    run = await bench.run()
    step_id = str(uuid4())
    complete = {"step_id": step_id, "reason": "success"}
    await run.refused("step:complete", complete)
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    gaps, notes = await odd(bench, run)
    assert (gaps, len(notes)) == ([], 1)


async def test_the_end_of_a_step_that_is_not_named_is_a_gap(bench: Bench) -> None:
    run = await bench.run()
    await run.refused("step:complete", {"reason": "success"})
    assert (await odd(bench, run))[0] == [("step:start", None)]


async def test_a_line_of_an_unknown_step_says_that_its_start_is_missing(bench: Bench) -> None:
    run = await bench.run()
    step_id = str(uuid4())
    assert await run.refused("run:log", {"message": ["x"], "step_id": step_id}) == {
        "step_id": ["must be associated with the run"]
    }
    assert (await odd(bench, run))[0] == [("step:start", step_id)]


async def test_a_step_that_never_ended_is_a_gap_of_its_run(bench: Bench) -> None:
    run = await bench.run()
    await run.call("run:start", {})
    step_id = await begin_step(bench, run)
    await run.call("run:complete", {"reason": "success"})
    await Janitor(bench.app.gateway).sweep()
    assert await odd(bench, run) == ([("step:complete", step_id)], [])
    assert await run.refused("step:complete", {"step_id": step_id, "reason": "success"}) == OVER
    assert (await odd(bench, run))[1] == [("late", "step:complete", step_id, 1)]


async def test_events_older_than_the_claim_are_remarked(bench: Bench) -> None:
    run = await bench.run()
    claimed = (await bench.world.run(run.id))["claimed_at"]
    early = {"timestamp": str(int(claimed.timestamp() * 1_000_000) - 2_500_000)}
    within = {"timestamp": str(int(claimed.timestamp() * 1_000_000) - 900_000)}
    step_id = str(uuid4())
    start = {"step_id": step_id, "job_id": str(bench.world.job), **early}
    await run.call("run:start", early)
    await run.call("step:start", start)
    await run.call("step:complete", {"step_id": step_id, "reason": "success", **early})
    await run.call("run:complete", {"reason": "success", **within})
    gaps, notes = await odd(bench, run)
    assert gaps == []
    assert {note[:3] for note in notes} == {
        ("early", "run:start", None),
        ("early", "step:complete", step_id),
        ("early", "step:start", step_id),
    }
    details = await bench.world.rows("SELECT DISTINCT detail FROM run_remarks")
    assert [row[0] for row in details] == ["2.500 s before the claim"]
    kept = (await bench.world.run(run.id))["started_at"]
    assert (claimed - kept).total_seconds() == pytest.approx(2.5, abs=0.001)


async def test_what_is_sent_again_is_counted_and_not_told(bench: Bench) -> None:
    run = await bench.run()
    start = {"timestamp": stamp()}
    await run.call("run:start", start)
    watcher = await bench.watch(run)
    for _ in range(3):
        assert await run.call("run:start", start) is None
    assert ("resent", "run:start", None, 3) in (await odd(bench, run))[1]
    await watcher.refute_broadcast("run:remark")


async def test_a_worker_without_the_lease_remarks_nothing(bench: Bench) -> None:
    run = await bench.run()
    await bench.world.rows("UPDATE runs SET lease = gen_random_uuid() WHERE id = $1", run.id)
    await run.refused("step:complete", {"reason": "success"})
    await run.refused("step:complete", {"step_id": str(uuid4()), "reason": "success"})
    assert await odd(bench, run) == ([], [])


async def test_remarks_of_a_run_are_bounded_and_those_beyond_are_counted(bench: Bench) -> None:
    run = await bench.run()
    lease = (await bench.world.run(run.id))["lease"]
    many = [remarks.Remark("missing", "step:start", uuid4()) for _ in range(remarks.MOST)]
    assert isinstance(await remarks.note(bench.app.repo, Owner(run.id, lease), many), list)
    for _ in range(5):
        await run.refused("step:complete", {"step_id": str(uuid4()), "reason": "success"})
    _, notes = await odd(bench, run)
    assert len(notes) == remarks.MOST + 1
    assert [note for note in notes if note[2] is None] == [("missing", "step:start", None, 5)]


async def test_a_lost_run_says_what_is_missing(bench: Bench) -> None:
    run, step_id = await lost(bench)
    gaps, notes = await odd(bench, run)
    assert sorted(gaps) == [("run:complete", None), ("step:complete", step_id)]
    assert notes == []


async def test_accept_takes_the_late_ends_of_steps_and_run(bench: Bench) -> None:
    run, step_id = await lost(bench)
    watcher = await bench.watch(run)
    await run.call("step:complete", {"step_id": step_id, "reason": "fail", "error_type": "E"})
    await run.call("run:complete", {"reason": "fail"})
    row, stored = await bench.world.run(run.id), await step(bench, step_id)
    assert (row["state"], row["error_type"]) == ("failed", None)
    assert row["recovered_at"] is not None
    assert (stored["exit_reason"], stored["error_type"]) == ("fail", "E")
    assert await bench.world.value("SELECT state FROM work_orders") == "failed"
    await watcher.assert_broadcast("step:completed", {"step": {"exit_reason": "fail"}})
    await watcher.assert_broadcast("run:updated", {"run": {"state": "failed"}})
    gaps, notes = await odd(bench, run)
    assert gaps == []
    assert {note[:3] for note in notes} == {
        ("late", "step:complete", step_id),
        ("late", "run:complete", None),
    }


async def test_accept_takes_the_end_of_a_step_after_the_late_end_of_its_run(bench: Bench) -> None:
    run, step_id = await lost(bench)
    await run.call("run:complete", {"reason": "success"})
    assert (await step(bench, step_id))["exit_reason"] == "lost"
    assert (await odd(bench, run))[0] == [("step:complete", step_id)]
    recovered = (await bench.world.run(run.id))["recovered_at"]
    complete = {"step_id": step_id, "reason": "success"}
    assert await run.call("step:complete", complete) == {"step_id": step_id}
    assert await run.call("step:complete", complete) == {"step_id": step_id}
    assert (await step(bench, step_id))["exit_reason"] == "success"
    assert (await bench.world.run(run.id))["recovered_at"] == recovered
    assert (await odd(bench, run))[0] == []
    assert await run.refused("step:complete", {**complete, "reason": "fail"}) == OVER


async def test_accept_takes_steps_that_begin_while_the_run_is_lost(bench: Bench) -> None:
    run, _ = await lost(bench)
    step_id = await begin_step(bench, run)
    await run.call("step:complete", {"step_id": step_id, "reason": "success"})
    assert ("late", "step:start", step_id, 1) in (await odd(bench, run))[1]


async def test_a_start_that_comes_after_the_run_was_lost_is_late_and_not_missing(
    bench: Bench,
) -> None:
    run = await bench.run()
    await lose(bench, run)
    assert await run.refused("run:start", {}) == OVER
    assert await run.call("run:complete", {"reason": "success"}) is None
    gaps, notes = await odd(bench, run)
    assert gaps == []
    assert ("late", "run:start", None, 1) in notes


@pytest.mark.parametrize("policy", ["acknowledge", "reject"])
async def test_without_accept_nothing_changes_and_the_history_says_so(
    make_bench: MakeBench, policy: str
) -> None:
    bench = await make_bench(late_completion=policy)
    run, step_id = await lost(bench)
    watcher = await bench.watch(run)
    before = await bench.world.contents()
    events: list[tuple[str, Any]] = [
        ("step:complete", {"step_id": step_id, "reason": "success"}),
        ("step:start", {"step_id": str(uuid4()), "job_id": str(bench.world.job)}),
        ("run:complete", {"reason": "success"}),
    ]
    for event, payload in events:
        if policy == "acknowledge":
            assert await run.call(event, payload) == {"status": "too_late"}
        else:
            assert await run.refused(event, payload) == OVER
    gaps, notes = await odd(bench, run)
    assert {note[:2] for note in notes} == {("late", event) for event, _ in events}
    assert sorted(gaps) == [("run:complete", None), ("step:complete", step_id)]
    assert await bench.world.contents() == before
    told = [await watcher.assert_broadcast("run:remark") for _ in events]
    assert {each["remark"]["event"] for each in told} == {event for event, _ in events}


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_end_is_told_once_however_often_it_is_sent(
    make_bench: MakeBench, policy: str
) -> None:
    bench = await make_bench(late_completion=policy)
    run, _ = await lost(bench)
    watcher = await bench.watch(run)
    for _ in range(2):
        pushed = await run.channel.push("run:complete", {"reason": "success"})
        await run.channel.assert_reply(pushed, "error" if policy == "reject" else "ok")
    if policy == "accept":
        await watcher.assert_broadcast("run:updated", {"run": {"state": "success"}})
        assert ("resent", "run:complete", None, 1) in (await odd(bench, run))[1]
    else:
        assert ("late", "run:complete", None, 2) in (await odd(bench, run))[1]
    await watcher.refute_broadcast("run:updated")


async def test_remarks_wait_while_the_database_is_away(bench: Bench) -> None:
    run = await bench.run()
    writer = bench.app.gateway.remarks
    fetch, asked = bench.app.repo.fetch, 0

    async def away(statement: Any, *args: Any) -> Any:
        nonlocal asked
        if statement.name == "remarks.note":
            asked += 1
            if asked == 1:
                return Refused(kind="unavailable", retryable=True)
        return await fetch(statement, *args)

    bench.app.repo.fetch = away
    await run.refused("step:complete", {"reason": "success"})
    await writer.settled()
    assert asked == 2
    assert (writer.dropped, len((await odd(bench, run))[1])) == (0, 1)
