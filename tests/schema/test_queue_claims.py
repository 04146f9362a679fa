"""Claims: order, queues, limits, fairness; and races between processes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from schema import plans, queue
from schema.outcomes import Applied
from schema.queue import Claims
from schema.refused import Refused
from schema.repo import Repo, connection
from tests.schema.world import World, project, workflow


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def test_a_claim_makes_a_lease_and_names_the_worker(world: World) -> None:
    created = await world.enqueue()
    (run,) = await world.claim(worker_name="pod-7", worker_id="better-views-flow")
    assert run.id == created.run_id
    assert run.lease_epoch == 1
    row = await world.run(run.id)
    assert row["state"] == "claimed"
    assert (row["worker_name"], row["worker_id"]) == ("pod-7", "better-views-flow")
    assert (row["lease"], row["joined_at"]) == (run.lease, None)
    assert row["claimed_at"] is not None


async def test_a_claim_is_one_statement_however_many_runs(world: World) -> None:
    for _ in range(5):
        await world.enqueue()
    ran = world.repo.statements_run
    assert len(await world.claim(5)) == 5
    assert world.repo.statements_run == ran + 1


@pytest.mark.parametrize(("demand", "got"), [(0, 0), (-1, 0), (1, 1), (2, 2), (9, 3)])
async def test_a_claim_never_takes_more_than_the_demand(
    world: World, demand: int, got: int
) -> None:
    for _ in range(3):
        await world.enqueue()
    assert len(await world.claim(demand)) == got
    assert await world.value("SELECT count(*) FROM runs WHERE state = 'claimed'") == got


async def test_immediate_goes_before_normal_and_old_before_new(world: World) -> None:
    old = await world.enqueue()
    new = await world.enqueue()
    urgent = await world.enqueue(priority="immediate")
    order = [run.id for run in await world.claim(3)]
    assert order == [urgent.run_id, old.run_id, new.run_id]


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        (["manual", "*"], ["manual", "fast", "slow"]),
        (["*"], ["fast", "slow", "manual"]),
        (["*", "fast"], ["slow", "manual", "fast"]),
        (["slow", "*", "fast"], ["slow", "manual", "fast"]),
        (["slow", "fast"], ["slow", "fast"]),
        (["fast"], ["fast"]),
        (["nobody"], []),
        ([], []),
    ],
)
async def test_queues_are_a_preference_and_without_a_star_strict(
    world: World, queues: list[str], expected: list[str]
) -> None:
    names: dict[object, str] = {}
    for name in ("fast", "slow", "manual"):
        names[(await world.enqueue(queue=name)).run_id] = name
    assert [names[run.id] for run in await world.claim(9, queues=queues)] == expected


async def test_the_preferred_queue_goes_before_priority(world: World) -> None:
    await world.enqueue(queue="other", priority="immediate")
    preferred = await world.enqueue(queue="manual")
    (run,) = await world.claim(queues=["manual", "*"])
    assert run.id == preferred.run_id


async def test_idle_means_that_no_run_is_available_in_these_queues(world: World) -> None:
    async def idle(*queues: str) -> bool:
        claims = await queue.claim(world.repo, 1, queues=queues)
        assert isinstance(claims, Claims)
        return claims.idle

    assert await idle("*")
    await world.enqueue(queue="a")
    await world.enqueue(queue="a")
    assert await idle("b")
    assert not await idle("a")


async def test_idle_is_not_said_while_a_limit_holds_runs_back(repo: Repo) -> None:
    world = await World.create(repo, project(concurrency=1))
    await world.enqueue()
    await world.enqueue()
    assert len(await world.claim(2)) == 1
    assert await queue.claim(repo, 1) == Claims([], idle=False)


async def test_a_workflow_never_exceeds_its_concurrency(repo: Repo) -> None:
    limited = workflow("limited", concurrency=2)
    world = await World.create(repo, project(workflows=[limited, workflow("free")]))
    for at in (0, 0, 0, 0, 1):
        await world.enqueue(at)
    claimed = await world.claim(9)
    assert Counter(run.workflow_id for run in claimed) == {
        world.workflow(0).id: 2,
        world.workflow(1).id: 1,
    }
    assert await world.claim(9) == []


async def test_started_runs_count_against_the_concurrency(repo: Repo) -> None:
    world = await World.create(repo, project(workflows=[workflow(concurrency=1)]))
    owner = await world.started()
    await world.enqueue()
    assert await world.claim() == []
    assert isinstance(await world.complete(owner), Applied)
    assert len(await world.claim()) == 1


async def test_a_project_never_exceeds_its_concurrency(repo: Repo) -> None:
    flows = [workflow("a", concurrency=2), workflow("b"), workflow("c")]
    world = await World.create(repo, project(concurrency=3, workflows=flows))
    for at in (0, 0, 0, 1, 1, 2):
        await world.enqueue(at)
    claimed = await world.claim(9)
    assert len(claimed) == 3
    assert Counter(run.workflow_id for run in claimed)[world.workflow(0).id] == 2
    assert await world.claim(9) == []


async def test_a_full_workflow_does_not_hold_up_what_waits_behind_it(repo: Repo) -> None:
    flows = [workflow("full", concurrency=1), workflow("free")]
    world = await World.create(repo, project(workflows=flows))
    for _ in range(30):
        await world.enqueue(0)
    behind = await world.enqueue(1)
    assert len(await world.claim()) == 1
    (run,) = await world.claim()
    assert run.id == behind.run_id


async def test_projects_take_turns_within_one_claim(repo: Repo) -> None:
    worlds = [await World.create(repo, project(name)) for name in ("a", "b", "c")]
    for world in worlds:
        for _ in range(10):
            await world.enqueue()
    claimed = await worlds[0].claim(6)
    assert set(Counter(run.project_id for run in claimed).values()) == {2}


async def test_projects_take_turns_between_claims(repo: Repo) -> None:
    worlds = [await World.create(repo, project(name)) for name in ("a", "b", "c")]
    for _ in range(10):
        await worlds[0].enqueue()
    for _ in range(3):
        await worlds[1].enqueue()
    await worlds[2].enqueue()
    names = {world.project.id: world.project.name for world in worlds}
    order = "".join([names[(await worlds[0].claim())[0].project_id] for _ in range(10)])
    assert order == "abcababaaa"


async def test_a_busy_project_does_not_starve_an_urgent_run_of_another(repo: Repo) -> None:
    busy = await World.create(repo, project("busy"))
    other = await World.create(repo, project("other"))
    for _ in range(5):
        await busy.enqueue()
    urgent = await other.enqueue(priority="immediate")
    (run,) = await busy.claim()
    assert run.id == urgent.run_id


async def racing(
    repos: list[Repo], claims: int, demand: int, *, apart: bool = False
) -> list[queue.ClaimedRun]:
    """What many claims at one time hand out, over several pools.

    Claims that are ``apart`` look at one queue each: they never meet at the row of a run.
    """
    tasks = [
        queue.claim(repos[n % len(repos)], demand, queues=[f"queue {n}"] if apart else ["*"])
        for n in range(claims)
    ]
    taken: list[queue.ClaimedRun] = []
    for result in await asyncio.gather(*tasks):
        assert isinstance(result, Claims), result
        assert len(result.runs) <= demand
        taken.extend(result.runs)
    return taken


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[list[Repo]]:
    """Two pools: to the database no different from two processes."""
    repos = [await Repo.connect(database_url, min_size=8, max_size=8) for _ in range(2)]
    yield repos
    for repo in repos:
        await repo.close()


async def test_racing_claims_never_hand_out_a_run_twice(
    world: World, processes: list[Repo]
) -> None:
    created = {(await world.enqueue()).run_id for _ in range(60)}
    taken: list[queue.ClaimedRun] = []
    while len(taken) < 60:
        taken.extend(await racing(processes, 16, 3))
    assert {run.id for run in taken} == created
    assert len({run.lease for run in taken}) == 60
    epochs = await world.rows("SELECT DISTINCT lease_epoch FROM runs")
    assert [row[0] for row in epochs] == [1]


async def enqueue_apart(world: World, count: int) -> None:
    """Runs in twenty queues."""
    created = await world.enqueue()
    await world.rows(
        "INSERT INTO runs (project_id, workflow_id, work_order_id, snapshot_id,"
        " starting_trigger_id, queue) SELECT project_id, workflow_id, work_order_id, snapshot_id,"
        " starting_trigger_id, 'queue ' || n % 20 FROM runs, generate_series(1, $2::int) n"
        " WHERE id = $1 RETURNING id",
        created.run_id,
        count,
    )


@pytest.mark.parametrize("level", ["workflow", "project", "both"])
async def test_racing_claims_never_exceed_a_concurrency(
    repo: Repo, processes: list[Repo], level: str
) -> None:
    flow = workflow(concurrency=None if level == "project" else 3)
    limit = None if level == "workflow" else 3
    world = await World.create(repo, project(concurrency=limit, workflows=[flow]))
    await enqueue_apart(world, 400)
    for _ in range(20):
        taken = await racing(processes, 16, 2, apart=True)
        held = await world.value("SELECT count(*) FROM runs WHERE state = 'claimed'")
        assert 1 <= held <= 3
        assert len(taken) == held
        for run in taken:
            assert isinstance(await world.complete(run.owner), Applied)


async def test_claims_racing_with_releases_and_ends_keep_the_limit(
    repo: Repo, processes: list[Repo]
) -> None:
    world = await World.create(repo, project(concurrency=2))
    for _ in range(20):
        await world.enqueue()

    async def worker(at: int) -> None:
        own = processes[at % 2]
        for turn in range(25):
            claims = await queue.claim(own, 2)
            assert isinstance(claims, Claims)
            held = await world.value(
                "SELECT count(*) FROM runs WHERE state IN ('claimed', 'started')"
            )
            assert held <= 2
            for run in claims.runs:
                if (turn + at) % 3 == 0:
                    assert await queue.release(own, run.owner) is not None
                else:
                    assert isinstance(await world.complete(run.owner), Applied)

    await asyncio.gather(*(worker(at) for at in range(8)))


async def test_an_enqueued_run_is_announced_to_every_process(world: World) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(*notice: Any) -> None:
        heard.put_nowait(notice[-1])

    async with connection(world.repo.dsn) as listener:
        await listener.add_listener(queue.CHANNEL, hear)
        created = await world.enqueue(queue="fast")
        notice = await asyncio.wait_for(heard.get(), 5)
        assert str(created.run_id) in notice
        assert '"fast"' in notice
        (run,) = await world.claim()
        await queue.release(world.repo, run.owner)
        assert str(run.id) in await asyncio.wait_for(heard.get(), 5)


async def test_a_release_puts_a_claim_back(world: World) -> None:
    owner = await world.claimed()
    event = await queue.release(world.repo, owner)
    assert event is not None
    assert not isinstance(event, Refused)
    assert event.name == "run:updated"
    row = await world.run(owner)
    assert row["state"] == "available"
    assert (row["lease"], row["claimed_at"], row["worker_name"]) == (None, None, None)
    assert (await world.claim())[0].lease_epoch == 2


async def test_a_release_leaves_joined_and_started_runs_alone(world: World) -> None:
    joined = await world.claimed()
    await plans.join(world.repo, joined)
    started = await world.started()
    before = await world.contents()
    assert await queue.release(world.repo, joined) is None
    assert await queue.release(world.repo, started) is None
    assert await queue.release(world.repo, started, forced=True) is None
    assert await world.contents() == before
    assert await queue.release(world.repo, joined, forced=True) is not None


async def test_a_release_with_another_lease_changes_nothing(world: World) -> None:
    owner = await world.claimed()
    before = await world.contents()
    assert await queue.release(world.repo, queue.Owner(owner.run_id, uuid4())) is None
    assert await world.contents() == before


async def test_the_claims_of_a_socket_are_released_in_one_statement(world: World) -> None:
    owners = [await world.claimed() for _ in range(3)]
    held = await world.claimed()
    ran = world.repo.statements_run
    events = await queue.release_all(world.repo, owners)
    assert world.repo.statements_run == ran + 1
    assert not isinstance(events, Refused)
    assert [event.run_id for event in events] == [owner.run_id for owner in owners]
    assert (await world.run(held))["state"] == "claimed"
    assert await queue.release_all(world.repo, []) == []


async def test_unheard_claims_are_released_and_joined_ones_are_not(world: World) -> None:
    unheard, joined = await world.claimed(), await world.claimed()
    await plans.join(world.repo, joined)
    assert await queue.release_unheard(world.repo, older_than_s=3600) == []
    events = await queue.release_unheard(world.repo, older_than_s=0)
    assert not isinstance(events, Refused)
    assert [event.run_id for event in events] == [unheard.run_id]
    assert (await world.run(joined))["state"] == "claimed"


async def test_unheard_claims_are_released_oldest_first_up_to_the_limit(world: World) -> None:
    owners = [await world.claimed() for _ in range(3)]
    events = await queue.release_unheard(world.repo, older_than_s=0, limit=2)
    assert not isinstance(events, Refused)
    assert {event.run_id for event in events} == {owner.run_id for owner in owners[:2]}
