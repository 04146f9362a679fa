"""`run:log` and `run:batch_logs` (section 5), and that they are refused for nothing else (13.2)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.handlers.bench import Bench, Run, stamp
from tests.schema.world import World

BLANK = ["This field can't be blank."]


def line(message: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"message": message, "level": "info", "source": "R/T", "timestamp": stamp(), **more}


async def stored(world: World) -> list[Any]:
    return await world.rows("SELECT * FROM log_lines ORDER BY version")


async def texts(world: World) -> list[str]:
    return [row["message"] for row in await stored(world)]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("plain", "plain"),
        (["hello", "world"], "hello world"),
        (["a", {"b": [1, None]}, 2, True, None], 'a {"b":[1,null]} 2 true null'),
        ([None], "null"),
        ([], ""),
        ("", ""),
        (["nul \u0000 here"], "nul \ufffd here"),
        ([{"nul": "\u0000"}], '{"nul":"\\ufffd"}'),
    ],
)
async def test_a_message_becomes_text(bench: Bench, message: Any, text: str) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    response = await run.call("run:log", line(message))
    (row,) = await stored(bench.world)
    assert row["message"] == text
    assert response == {"log_line_id": str(row["id"])}
    told = await watcher.assert_broadcast("logs")
    assert [sent["message"] for sent in told["logs"]] == [text]
    assert told["logs"][0]["id"] == response["log_line_id"]


async def test_lone_surrogates_are_stored_with_the_replacement_character(bench: Bench) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    frame = (
        f'["{run.channel.join_ref}","900","run:{run.id}","run:log",'
        f'{{"message":["lone \\ud800 end"],"timestamp":"{stamp()}"}}]'
    )
    await worker.peer.send_raw(frame)
    reply = await worker.peer.take(lambda sent: sent.ref == "900", 5)
    assert reply.payload["status"] == "ok"
    assert await texts(bench.world) == ["lone \ufffd end"]


@pytest.mark.parametrize(
    ("payload", "errors"),
    [
        ({"timestamp": stamp()}, {"message": BLANK}),
        (line(None), {"message": BLANK}),
        (None, {"message": BLANK}),
        (line(5), {"message": ["is invalid"]}),
        (line({"a": 1}), {"message": ["is invalid"]}),
        (line(level="loud"), {"level": ["is invalid"]}),
        (line(timestamp="noon"), {"timestamp": ["is invalid"]}),
        (line(step_id="step-1"), {"step_id": ["is invalid"]}),
        ("text", {"base": ["is invalid"], "message": BLANK}),
    ],
)
async def test_a_malformed_line_is_refused(bench: Bench, payload: Any, errors: Any) -> None:
    run = await bench.run()
    assert await run.refused("run:log", payload) == errors
    assert await stored(bench.world) == []


async def test_every_level_of_workers_is_known(bench: Bench) -> None:
    run = await bench.run()
    for level in ("debug", "info", "warn", "error", "success", "always", "log"):
        await run.call("run:log", line(level, level=level))
    await run.call("run:log", {"message": "no level", "timestamp": stamp()})
    levels = [row["level"] for row in await stored(bench.world)]
    assert levels == ["debug", "info", "warn", "error", "success", "always", "info", "info"]


async def test_a_line_belongs_to_a_step_of_this_run_only(bench: Bench) -> None:
    worker = await bench.worker()
    run, other = await bench.run(worker), await bench.run(worker)
    mine, theirs = str(uuid4()), str(uuid4())
    for owner, step_id in ((run, mine), (other, theirs)):
        await owner.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    await run.call("run:log", line(step_id=mine))
    for foreign in (theirs, str(uuid4())):
        assert await run.refused("run:log", line(step_id=foreign)) == {
            "step_id": ["must be associated with the run"]
        }
    assert len(await stored(bench.world)) == 1


async def test_timestamps_keep_the_microsecond_and_arrival_keeps_the_order(bench: Bench) -> None:
    run = await bench.run()
    offsets = (300_001, 100_002, 100_002, 200_003)
    for number, offset in enumerate(offsets):
        await run.call("run:log", line(str(number), timestamp=stamp(offset)))
    await run.call("run:log", {"message": "no timestamp"})
    rows = await stored(bench.world)
    base = datetime.fromtimestamp(1_795_216_548, UTC)
    assert [row["timestamp"] - base for row in rows[:4]] == [
        timedelta(microseconds=offset) for offset in offsets
    ]
    assert [row["message"] for row in rows] == ["0", "1", "2", "3", "no timestamp"]


async def test_a_line_sent_again_is_stored_and_told_once(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    first = await run.call("run:log", line())
    await watcher.assert_broadcast("logs")
    assert await run.call("run:log", line()) == first
    await watcher.refute_broadcast("logs")
    own = line(id=str(uuid4()))
    assert await run.call("run:log", own) == {"log_line_id": own["id"]}
    assert await run.call("run:log", own) == {"log_line_id": own["id"]}
    assert await run.refused("run:log", {**own, "message": "other"}) == {
        "id": ["has already been taken"]
    }
    assert await texts(bench.world) == ["hello", "hello"]


async def test_equal_lines_without_timestamp_are_two_lines(bench: Bench) -> None:
    run = await bench.run()
    await run.call("run:log", {"message": "same"})
    await run.call("run:log", {"message": "same"})
    assert await texts(bench.world) == ["same", "same"]


async def test_a_batch_is_told_line_by_line_in_order(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    lines = [line(str(number), timestamp=stamp(-number)) for number in range(20)]
    assert await run.call("run:batch_logs", {"logs": lines}) == {}
    told = [await watcher.assert_broadcast("logs") for _ in lines]
    assert [[sent["message"] for sent in event["logs"]] for event in told] == [
        [str(number)] for number in range(20)
    ]
    versions = [event["version"] for event in told]
    assert versions == list(range(versions[0], versions[0] + 20))
    assert await texts(bench.world) == [str(number) for number in range(20)]


async def test_a_batch_is_all_or_nothing_and_names_the_first_bad_line(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    logs = [line("fine"), line("loud", level="loud"), line(None)]
    assert await run.refused("run:batch_logs", {"logs": logs}) == {"level": ["is invalid"]}
    foreign = [line("fine"), line(step_id=str(uuid4()))]
    assert await run.refused("run:batch_logs", {"logs": foreign}) == {
        "step_id": ["must be associated with the run"]
    }
    assert await stored(bench.world) == []
    await watcher.refute_broadcast("logs")


async def test_an_empty_batch_is_fine_and_a_missing_one_is_not(bench: Bench) -> None:
    run = await bench.run()
    assert await run.call("run:batch_logs", {"logs": []}) == {}
    assert await run.refused("run:batch_logs", {}) == {"logs": BLANK}
    assert await run.refused("run:batch_logs", {"logs": "text"}) == {"logs": ["is invalid"]}


async def finished(bench: Bench) -> Run:
    run = await bench.started()
    await run.call("run:complete", {"reason": "success"})
    return run


async def test_a_finished_run_still_takes_lines(bench: Bench) -> None:
    run = await finished(bench)
    await run.call("run:log", line("after the end"))
    await run.call("run:batch_logs", {"logs": [line("and another")]})
    assert await texts(bench.world) == ["after the end", "and another"]


async def test_lines_under_a_lost_lease_are_acknowledged_dropped_and_counted(
    bench: Bench,
) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    await bench.world.rows(
        "UPDATE runs SET lease = gen_random_uuid() WHERE id = $1 RETURNING 1", run.id
    )
    assert set(await run.call("run:log", line())) == {"log_line_id"}
    assert await run.call("run:batch_logs", {"logs": [line(), line("two")]}) == {}
    assert await stored(bench.world) == []
    await watcher.refute_broadcast("logs")
    assert bench.app.gateway.metrics.logs_dropped == {"lease_lost": 3}
