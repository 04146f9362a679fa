"""Cursors of projects (12.5): each run's events once, in order, whichever process wrote them."""

import asyncio
import random
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from channel_server.client_errors import JoinRefused
from handlers.feeds import project_feed, project_reader
from schema.outcomes import Owner
from schema.positions import Position, Snapshot
from schema.repo import Repo, connection
from tests.handlers.bench import Bench
from tests.handlers.follower import Follower, event, opened
from tests.schema.world import World
from tests.waiting import until

Change = tuple[str, int]


def topic(bench: Bench) -> str:
    return f"project:{bench.world.project.id}"


async def committed(bench: Bench) -> list[Change]:
    """What all who watch the project are to be told, in the order in which it was numbered."""
    rows = await bench.world.rows(
        "SELECT run_id, version FROM run_events WHERE event IN ('run:created', 'run:updated')"
        " ORDER BY seq"
    )
    return [(str(row["run_id"]), row["version"]) for row in rows]


def ordered(told: list[Change]) -> bool:
    """Whether the versions of each run go up."""
    by_run: defaultdict[str, list[int]] = defaultdict(list)
    for run_id, version in told:
        by_run[run_id].append(version)
    return all(versions == sorted(versions) for versions in by_run.values())


async def life(bench: Bench, *, told: bool) -> Owner:
    """A run from its creation to its end; its process tells of it, or dies before it does."""
    created = await bench.world.enqueue()
    (claimed,) = await bench.world.claim()
    owner = claimed.owner
    news = [created.event, claimed.event]
    changes = (await bench.world.start(owner), await bench.world.complete(owner))
    news += [event(owner, bench.world.project.id, change) for change in changes]
    for each in news if told else ():
        bench.app.gateway.publish_event(each)
    return owner


async def test_a_join_with_since_replays_what_was_missed_and_goes_live(bench: Bench) -> None:
    first = await Follower.join(bench, topic(bench))
    assert first.reply["complete"] is True
    await life(bench, told=False)
    again = await Follower.join(bench, topic(bench), since=first.reply["cursor"])
    assert again.reply == {"complete": True, "cursor": first.reply["cursor"]}
    await again.until(4)
    await life(bench, told=True)
    await again.until(8)
    await bench.app.gateway.feeds.settle()
    assert (await again.rest()).runs == await committed(bench)
    assert [frame.event for frame in again.got[:2]] == ["run:created", "run:updated"]


async def test_every_event_carries_a_cursor_that_resumes_right_after_it(bench: Bench) -> None:
    watcher = await Follower.join(bench, topic(bench))
    for told in (True, False, True):
        await life(bench, told=told)
    await bench.app.gateway.feeds.sweep()
    await watcher.until(12)
    for at, frame in enumerate(watcher.got, start=1):
        again = await Follower.join(bench, topic(bench), since=frame.payload["cursor"])
        await again.until(12 - at)
        assert sorted((await again.rest()).runs) == sorted(watcher.runs[at:])
        assert ordered(again.runs)


async def test_a_cursor_in_the_middle_of_a_replay_resumes_right_after_it(bench: Bench) -> None:
    start = (await Follower.join(bench, topic(bench))).reply["cursor"]
    for _ in range(3):
        await life(bench, told=False)
    everything = await (await Follower.join(bench, topic(bench), start)).until(12)
    await life(bench, told=False)
    for at in (1, 5, 11):
        cursor = everything.got[at - 1].payload["cursor"]
        again = await (await Follower.join(bench, topic(bench), cursor)).until(16 - at)
        assert (await again.rest()).runs == (await committed(bench))[at:]


async def test_what_another_process_wrote_is_told_by_the_sweep(bench: Bench) -> None:
    watcher = await Follower.join(bench, topic(bench))
    await bench.app.gateway.feeds.settle()  # whoever is the first to watch asks for a look
    await life(bench, told=False)
    assert (await watcher.rest()).got == []
    await bench.app.gateway.feeds.sweep()
    await watcher.until(4)
    await bench.app.gateway.feeds.sweep()
    assert (await watcher.rest()).runs == await committed(bench)


async def test_the_events_of_a_run_are_told_at_once_without_a_statement(bench: Bench) -> None:
    watcher = await Follower.join(bench, topic(bench))
    owner = await bench.world.claimed()
    await bench.app.gateway.feeds.sweep()
    await watcher.until(2)
    news = [
        event(owner, bench.world.project.id, await bench.world.start(owner)),
        event(owner, bench.world.project.id, await bench.world.complete(owner)),
    ]
    statements = bench.app.repo.statements_run
    for each in news:
        bench.app.gateway.publish_event(each)
    assert bench.app.repo.statements_run == statements
    assert (await watcher.rest()).runs == await committed(bench)


async def test_a_change_that_may_have_one_before_it_waits_for_the_sweep(bench: Bench) -> None:
    watcher = await Follower.join(bench, topic(bench))
    owner = await bench.world.claimed()
    await bench.app.gateway.feeds.sweep()
    start, end = await bench.world.start(owner), await bench.world.complete(owner)
    bench.app.gateway.publish_event(event(owner, bench.world.project.id, end))
    await watcher.until(4)
    bench.app.gateway.publish_event(event(owner, bench.world.project.id, start))
    bench.app.gateway.publish_event(event(owner, bench.world.project.id, end))
    await bench.app.gateway.feeds.settle()
    assert [version for _, version in (await watcher.rest()).runs] == [1, 2, 3, 4]


async def test_a_long_foreign_transaction_delays_nothing_and_loses_nothing(bench: Bench) -> None:
    watcher = await Follower.join(bench, topic(bench))
    late = await bench.world.claimed()
    async with connection(bench.app.repo.dsn) as other:
        foreign = other.transaction()
        await foreign.start()
        # It has written an event and will commit long after everybody else.
        await other.execute(
            "UPDATE runs SET state = 'started', started_at = now(), version = version + 1"
            " WHERE id = $1",
            late.run_id,
        )
        await other.execute(
            "INSERT INTO run_events (run_id, project_id, version, event, payload)"
            " SELECT id, project_id, version, 'run:updated', jsonb_build_object("
            "'run', jsonb_build_object('id', id), 'version', version) FROM runs WHERE id = $1",
            late.run_id,
        )
        cursors: list[str] = []
        for _ in range(20):
            await life(bench, told=True)
            await bench.app.gateway.feeds.sweep()
            cursors.append((await watcher.rest()).cursor)
        assert len(watcher.got) == 2 + 80
        assert max(map(len, cursors)) < 60
        again = await Follower.join(bench, topic(bench), since=cursors[10])
        await foreign.commit()
    await bench.app.gateway.feeds.sweep()
    await watcher.until(83)
    assert (str(late.run_id), 3) in watcher.runs[-1:]
    await again.until(36 + 1)
    assert sorted((await again.rest()).runs) == sorted(watcher.runs[2 + 44 :])
    assert len(set(watcher.runs)) == len(watcher.runs)


async def test_concurrent_runs_are_told_exactly_once_after_random_reconnects(bench: Bench) -> None:
    chance = random.Random(11)
    apps = [bench.app]
    running, following, lives, enough = True, True, 0, asyncio.Event()

    async def write(told: bool) -> None:
        nonlocal lives
        while running:
            await life(bench, told=told)
            await asyncio.gather(*(app.gateway.feeds.sweep() for app in apps))
            lives += 1
            if lives == 60:
                enough.set()

    async def follow(app: Any) -> None:
        told: list[Change] = []
        cursor: str | None = None
        follower = await Follower.join(bench, topic(bench), cursor, app)
        while following:
            await follower.until(len(follower.got) + chance.randint(5, 30))
            told += follower.runs
            cursor = follower.cursor
            await follower.socket.close()
            follower = await Follower.join(bench, topic(bench), cursor, chance.choice(apps))
        ended.append((told, follower))

    ended: list[tuple[list[Change], Follower]] = []
    async with opened(bench) as other:
        apps.append(other)
        followers = [asyncio.create_task(follow(app)) for app in (*apps, *apps)]
        writers = [asyncio.create_task(write(told)) for told in (True, False, True)]
        await enough.wait()
        following = False
        await asyncio.gather(*followers)
        running = False
        await asyncio.gather(*writers)
        await asyncio.gather(*(app.gateway.feeds.sweep() for app in apps))
        everything = await committed(bench)
        results = [told + (await follower.rest()).runs for told, follower in ended]
    for told in results:
        assert len(set(told)) == len(told)
        assert ordered(told)
        assert set(everything[-120:]) <= set(told)


async def test_what_was_pruned_is_answered_incomplete_with_a_snapshot(bench: Bench) -> None:
    before = await Follower.join(bench, topic(bench))
    await before.socket.close()
    await bench.app.gateway.feeds.sweep()
    owner = await life(bench, told=False)
    await bench.world.rows("DELETE FROM run_events WHERE version = 2 RETURNING 1")
    await bench.world.rows(
        "INSERT INTO run_event_horizons SELECT $1, max(xact) FROM run_events RETURNING 1",
        bench.world.project.id,
    )
    follower = await Follower.join(bench, topic(bench), since=before.cursor)
    assert follower.reply["complete"] is False
    (shown,) = follower.reply["snapshot"]["runs"]
    assert (shown["id"], shown["state"]) == (str(owner.run_id), "success")
    other = await life(bench, told=True)
    await follower.until(4)
    assert {run_id for run_id, _ in (await follower.rest()).runs} == {str(other.run_id)}
    # Transactions of other tests may be under way in the same cluster: they are none of ours.
    after = Position(Snapshot(Position.parse(follower.cursor).base.xmax))
    later = await Follower.join(bench, topic(bench), since=after.cursor)
    assert later.reply["complete"] is True


async def test_a_cursor_from_the_future_is_incomplete(bench: Bench) -> None:
    now = Position.parse((await Follower.join(bench, topic(bench))).reply["cursor"])
    ahead = Position.parse(f"1-{now.base.xmax + 10_000_000:x}")
    follower = await Follower.join(bench, topic(bench), since=ahead.cursor)
    assert follower.reply["complete"] is False
    assert follower.reply["snapshot"] == {"runs": []}
    await life(bench, told=True)
    await bench.app.gateway.feeds.sweep()
    await follower.until(4)


async def test_a_replay_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 450
    monkeypatch.setattr(project_reader, "REPLAY_LIMIT", limit)
    cursor = (await Follower.join(bench, topic(bench))).reply["cursor"]
    owner = await bench.world.claimed()
    await bench.world.rows(
        "INSERT INTO run_events (run_id, project_id, version, event, payload)"
        " SELECT $1, $2, n, 'run:updated', jsonb_build_object('run', jsonb_build_object('id',"
        " $1::uuid), 'version', n) FROM generate_series(3, $3) n RETURNING 1",
        *(owner.run_id, bench.world.project.id, limit),
    )
    whole = await (await Follower.join(bench, topic(bench), cursor)).until(limit)
    assert whole.reply["complete"] is True
    assert [version for _, version in whole.runs] == list(range(1, limit + 1))
    await bench.world.enqueue()
    late = await Follower.join(bench, topic(bench), cursor)
    assert late.reply["complete"] is False
    assert len(late.reply["snapshot"]["runs"]) == 2


@pytest.mark.parametrize("since", [7, "", "nonsense", True, [], {}, "1-a.b"])
async def test_a_since_that_is_no_cursor_is_refused(bench: Bench, since: Any) -> None:
    with pytest.raises(JoinRefused) as refused:
        await Follower.join(bench, topic(bench), since=since)
    assert refused.value.response == {"errors": {"since": ["is invalid"]}}


async def test_a_cursor_shows_nothing_of_another_project(bench: Bench) -> None:
    cursor = (await Follower.join(bench, topic(bench))).reply["cursor"]
    await life(bench, told=True)
    stranger = uuid4()
    theirs = await (await bench.dashboard(stranger)).join(f"project:{stranger}", {"since": cursor})
    await bench.app.gateway.feeds.settle()
    assert theirs.response["complete"] is True
    await theirs.refute_broadcast("run:created")


async def test_a_project_that_nobody_watches_costs_nothing(bench: Bench) -> None:
    feeds = bench.app.gateway.feeds
    watcher = await Follower.join(bench, topic(bench))
    await watcher.socket.close()
    await feeds.sweep()
    owner = await bench.world.claimed()
    news = event(owner, bench.world.project.id, await bench.world.start(owner))
    statements = bench.app.repo.statements_run
    feeds.publish(news)
    await feeds.sweep()
    assert (feeds.watched, bench.app.repo.statements_run) == (0, statements)


async def test_a_slow_sweep_makes_cursors_longer_and_then_live_telling_stops(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_feed, "SOON", 10**6)
    monkeypatch.setattr(project_feed, "MOST", 3)
    watcher = await Follower.join(bench, topic(bench))
    owners: list[Owner] = [await bench.world.claimed() for _ in range(5)]
    await bench.app.gateway.feeds.sweep()
    await watcher.until(10)
    project: UUID = bench.world.project.id
    news = [event(owner, project, await bench.world.start(owner)) for owner in owners]
    for each in news:
        bench.app.gateway.publish_event(each)
    assert len(watcher.socket.peer.frames) == 3
    await bench.app.gateway.feeds.settle()
    await watcher.until(15)
    assert (await watcher.rest()).runs == await committed(bench)


def elsewhere(dsn: str, work: Callable[[World], Awaitable[Any]], project: Any) -> Any:
    """Do something by another process while nothing happens in this one.

    What this one has asked the database is answered before, and read after.
    """
    results: list[Any] = []

    async def run() -> None:
        repo = await Repo.connect(dsn, min_size=1, max_size=1)
        busy = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'channel_server' AND state = 'active'"
            " AND pid <> pg_backend_pid()"
        )
        world = World(repo, project)
        while await world.value(busy):
            pass
        results.append(await work(world))
        await repo.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join(30)
    return results[0]


async def test_what_is_told_between_the_sweep_and_its_answer_is_told_once_to_who_arrives(
    bench: Bench,
) -> None:
    watcher = await Follower.join(bench, topic(bench))
    owner = await bench.world.claimed()
    await bench.app.gateway.feeds.sweep()
    project = bench.world.project
    bench.app.gateway.publish_event(event(owner, project.id, await bench.world.start(owner)))
    statements = bench.app.repo.statements_run
    arriving = asyncio.create_task(Follower.join(bench, topic(bench), watcher.reply["cursor"]))
    await until(lambda: bench.app.repo.statements_run >= statements + 2)  # it replays, it sweeps
    end = elsewhere(bench.app.repo.dsn, lambda world: world.complete(owner), project)
    bench.app.gateway.publish_event(event(owner, project.id, end))
    arrived = await arriving
    await arrived.until(4)
    await bench.app.gateway.feeds.sweep()
    assert (await arrived.rest()).runs == await committed(bench)
    assert (await watcher.rest()).runs == await committed(bench)
    for each in (watcher, arrived):
        late = await Follower.join(bench, topic(bench), each.cursor)
        assert late.reply["complete"] is True
        assert (await late.rest()).got == []
