"""Cursors of runs (12.5): each version once, in order, whoever wrote it and whenever one joins."""

import asyncio
import random
from typing import Any
from uuid import uuid4

import pytest

from channel_server.client_errors import JoinRefused
from schema.outcomes import Owner
from tests.handlers.bench import TIMEOUT, Bench
from tests.handlers.follower import Follower, Writer, event, log, opened

ROUNDS = 200


async def lines(bench: Bench, count: int) -> Owner:
    """A started run with so many log lines; its version is 3 + count."""
    owner = await bench.world.started()
    await log(bench, owner, count)
    return owner


async def test_a_join_with_since_replays_exactly_what_was_missed_and_goes_live(
    bench: Bench,
) -> None:
    owner = await lines(bench, 10)
    topic = f"run:{owner.run_id}"
    follower = await Follower.join(bench, topic, since=1)
    assert follower.reply == {"complete": True, "version": 1}
    await follower.until(12)
    for told in await log(bench, owner, 2):
        bench.app.gateway.publish_event(told)
    await follower.until(14)
    assert (await follower.rest()).versions == list(range(2, 16))
    assert [frame.event for frame in follower.got[:3]] == ["run:updated", "run:updated", "logs"]


async def test_replayed_events_are_those_that_were_told(bench: Bench) -> None:
    run = await bench.run()
    live = await Follower.join(bench, f"run:{run.id}")
    step_id = str(uuid4())
    await run.call("run:start", {})
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    await run.call("run:log", {"message": "hello", "step_id": step_id})
    await run.call("step:complete", {"step_id": step_id, "reason": "success"})
    await run.call("run:complete", {"reason": "success"})
    await live.until(5)
    again = await Follower.join(bench, f"run:{run.id}", since=live.reply["version"])
    await again.until(5)
    told = [(frame.event, frame.payload) for frame in live.got]
    assert [(frame.event, frame.payload) for frame in again.got] == told


async def test_the_reply_of_a_join_names_the_version_after_which_events_follow(
    bench: Bench,
) -> None:
    owner = await lines(bench, 4)
    fresh = await Follower.join(bench, f"run:{owner.run_id}")
    assert fresh.reply == {"complete": True, "version": 7}
    caught_up = await Follower.join(bench, f"run:{owner.run_id}", since=7)
    assert caught_up.reply == {"complete": True, "version": 7}
    assert (await caught_up.rest()).got == []


async def test_hand_over_200_joins_beside_a_writer_that_never_stops(bench: Bench) -> None:
    owner = await lines(bench, 50)
    topic = f"run:{owner.run_id}"
    writer = Writer(bench, owner)
    followers: list[tuple[int, Follower]] = []
    chance = random.Random(7)
    dashboard = await bench.dashboard()
    for _ in range(ROUNDS // 20):
        async with asyncio.TaskGroup() as group:
            joins: list[tuple[int, asyncio.Task[Follower]]] = []
            for _ in range(20):
                since = chance.randint(1, max(53, writer.version))
                joins.append((since, group.create_task(Follower.join(bench, topic, since))))
        followers += [(since, join.result()) for since, join in joins]
    last = await writer.stop()
    await dashboard.settle()
    for since, follower in followers:
        await follower.until(last - since)
        assert (await follower.rest()).versions == list(range(since + 1, last + 1))


async def test_events_that_come_in_another_order_are_told_in_order(bench: Bench) -> None:
    owner = await lines(bench, 1)
    follower = await Follower.join(bench, f"run:{owner.run_id}")
    first, second, third = await log(bench, owner, 3)
    for told in (third, first, third, second, first):
        bench.app.gateway.publish_event(told)
    await follower.until(3)
    await bench.app.gateway.feeds.settle()
    assert (await follower.rest()).versions == [5, 6, 7]


async def test_a_version_that_was_told_is_not_told_again(bench: Bench) -> None:
    owner = await lines(bench, 1)
    follower = await Follower.join(bench, f"run:{owner.run_id}")
    (told,) = await log(bench, owner)
    for _ in range(3):
        bench.app.gateway.publish_event(told)
    await bench.app.gateway.feeds.settle()
    assert (await follower.rest()).versions == [told.version]


async def test_a_lost_notice_is_repaired_by_the_sweep(bench: Bench) -> None:
    owner = await lines(bench, 1)
    follower = await Follower.join(bench, f"run:{owner.run_id}")
    await log(bench, owner, 5)  # by a process of which nothing is heard
    assert (await follower.rest()).got == []
    await bench.app.gateway.feeds.sweep()
    await follower.until(5)
    assert (await follower.rest()).versions == [5, 6, 7, 8, 9]


async def test_events_that_were_committed_and_not_told_before_a_stop_are_in_the_cursor(
    bench: Bench,
) -> None:
    owner = await lines(bench, 1)
    before = await Follower.join(bench, f"run:{owner.run_id}")
    told, *_untold = await log(bench, owner, 4)
    bench.app.gateway.publish_event(told)
    await before.until(1)
    await before.socket.close()
    await bench.app.stop()
    async with opened(bench) as app:
        again = await Follower.join(bench, f"run:{owner.run_id}", told.version, app)
        await again.until(3)
        assert (await again.rest()).versions == [6, 7, 8]


async def prune(bench: Bench, owner: Owner) -> None:
    await bench.world.rows("DELETE FROM run_events WHERE run_id = $1 RETURNING 1", owner.run_id)


async def test_what_was_pruned_is_answered_incomplete_with_a_snapshot(bench: Bench) -> None:
    owner = await lines(bench, 3)
    await prune(bench, owner)
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=1)
    assert (follower.reply["complete"], follower.reply["version"]) == (False, 6)
    assert follower.reply["snapshot"]["run"]["state"] == "started"
    assert follower.reply["snapshot"]["version"] == 6
    (told,) = await log(bench, owner)
    bench.app.gateway.publish_event(told)
    await follower.until(1)
    assert (await follower.rest()).versions == [7]


async def test_what_is_left_after_pruning_is_still_replayed(bench: Bench) -> None:
    owner = await lines(bench, 3)
    await prune(bench, owner)
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=3)
    assert follower.reply == {"complete": True, "version": 3}
    await follower.until(3)
    assert follower.versions == [4, 5, 6]


async def test_a_hole_further_on_ends_the_channel_so_that_it_comes_back(bench: Bench) -> None:
    owner = await lines(bench, 300)
    await log(bench, owner, 1)
    await bench.world.rows("DELETE FROM log_lines WHERE version = 290 RETURNING 1")
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=3)
    await follower.channel.assert_crashed(timeout=TIMEOUT)
    await follower.rest()
    assert follower.versions == list(range(4, 290))
    again = await Follower.join(bench, f"run:{owner.run_id}", since=289)
    assert (again.reply["complete"], again.reply["version"]) == (False, 304)


async def test_a_since_from_the_future_is_incomplete(bench: Bench) -> None:
    owner = await lines(bench, 1)
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=5_000)
    assert (follower.reply["complete"], follower.reply["version"]) == (False, 4)


async def test_a_replay_is_bounded(bench: Bench) -> None:
    owner = await lines(bench, 2)
    await bench.world.rows(
        "UPDATE runs SET version = 20000 WHERE id = $1 RETURNING 1", owner.run_id
    )
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=9_999)
    assert (follower.reply["complete"], follower.reply["version"]) == (False, 20_000)


@pytest.mark.parametrize("since", ["7", -1, 1.5, True, [], {}, 2**63])
async def test_a_since_that_is_no_version_is_refused(bench: Bench, since: Any) -> None:
    owner = await lines(bench, 1)
    with pytest.raises(JoinRefused) as refused:
        await Follower.join(bench, f"run:{owner.run_id}", since=since)
    assert refused.value.response == {"errors": {"since": ["is invalid"]}}


async def test_a_run_that_nobody_watches_costs_nothing(bench: Bench) -> None:
    owner = await lines(bench, 1)
    feeds = bench.app.gateway.feeds
    statements = bench.app.repo.statements_run
    for told in await log(bench, owner, 3):
        feeds.publish(told)
    await feeds.sweep()
    assert (feeds.watched, bench.app.repo.statements_run - statements) == (0, 1)
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=1)
    await follower.until(6)
    assert feeds.watched == 1
    await follower.socket.close()
    await feeds.sweep()
    assert feeds.watched == 0


async def test_a_refused_join_leaves_nothing_behind(bench: Bench) -> None:
    owner = await lines(bench, 1)
    stranger = await bench.dashboard(uuid4())
    for topic in (f"run:{owner.run_id}", f"run:{uuid4()}", "run:x"):
        with pytest.raises(JoinRefused):
            await stranger.join(topic)
    await bench.app.gateway.feeds.sweep()
    assert bench.app.gateway.feeds.watched == 0


async def test_what_happens_while_the_first_watcher_is_let_in_is_told(bench: Bench) -> None:
    owner = await lines(bench, 1)
    joining = asyncio.create_task(Follower.join(bench, f"run:{owner.run_id}", since=4))
    told: list[Any] = []
    while not joining.done():
        told += await log(bench, owner)
        bench.app.gateway.publish_event(told[-1])
    follower = await joining
    await follower.until(len(told))
    assert (await follower.rest()).versions == [each.version for each in told]


async def test_live_events_need_no_statement(bench: Bench) -> None:
    run = await bench.run()
    follower = await Follower.join(bench, f"run:{run.id}")
    statements = bench.app.repo.statements_run
    await run.call("run:start", {})
    await run.call("run:complete", {"reason": "success"})
    await follower.until(2)
    assert bench.app.repo.statements_run - statements == 2


async def test_changes_of_every_kind_are_in_the_cursor(bench: Bench) -> None:
    owner = await lines(bench, 0)
    step_id = await bench.world.stepped(owner)
    done = await bench.world.finish(owner, step_id)
    end = await bench.world.complete(owner)
    assert event(owner, bench.world.project.id, end).version == 6
    assert event(owner, bench.world.project.id, done).seq is None
    follower = await Follower.join(bench, f"run:{owner.run_id}", since=0)
    await follower.until(6)
    assert [frame.event for frame in follower.got] == [
        *("run:created", "run:updated", "run:updated"),
        *("step:started", "step:completed", "run:updated"),
    ]
