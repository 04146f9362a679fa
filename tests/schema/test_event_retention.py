"""Events are pruned of runs that ended long ago, and how far is remembered."""

from uuid import UUID

from schema import project_events, retention, run_events
from schema.outcomes import Owner
from schema.positions import Position, Snapshot
from schema.repo import Repo
from tests.schema.world import World

DAY = 86_400.0


async def finished(world: World) -> Owner:
    owner = await world.started()
    await world.complete(owner)
    return owner


async def age(world: World, run_id: UUID, days: int = 31) -> None:
    await world.rows(
        "UPDATE run_events SET inserted_at = inserted_at - make_interval(days => $2)"
        " WHERE run_id = $1 RETURNING 1",
        *(run_id, days),
    )


async def left(world: World) -> set[UUID]:
    return {row["run_id"] for row in await world.rows("SELECT DISTINCT run_id FROM run_events")}


async def test_only_finished_runs_without_a_recent_event_are_pruned(repo: Repo) -> None:
    world = await World.create(repo)
    old, recent, late = [await finished(world) for _ in range(3)]
    running = await world.started()
    for owner in (old, late, running):
        await age(world, owner.run_id)
    await world.rows(
        "UPDATE run_events SET inserted_at = now() WHERE run_id = $1 AND version = 4 RETURNING 1",
        late.run_id,
    )
    assert await retention.prune_events(repo, 30 * DAY) == 1
    assert await left(world) == {recent.run_id, late.run_id, running.run_id}
    assert await retention.prune_events(repo, 30 * DAY) == 0


async def test_a_position_before_what_was_pruned_has_a_gap_and_one_after_it_has_none(
    repo: Repo,
) -> None:
    world = await World.create(repo)
    positions: list[Position] = []
    for _ in range(3):
        now = await project_events.now(repo)
        assert isinstance(now, Position)
        # Transactions of other tests may be under way in the same cluster: they are none of ours.
        positions.append(Position(Snapshot(now.base.xmax)))
        await age(world, (await finished(world)).run_id, 31 if len(positions) < 3 else 0)
    other = World(repo, world.project)
    assert await retention.prune_events(repo, 30 * DAY) == 2
    project = other.project.id
    pages = await project_events.missing(repo, [(project, each) for each in positions], 100)
    assert isinstance(pages, list)
    assert [page.gap for page in pages] == [True, True, False]
    assert [event.version for event in pages[2].events] == [1, 2, 3, 4]


async def test_pruning_is_bounded_and_goes_on_with_the_next_call(repo: Repo) -> None:
    world = await World.create(repo)
    for _ in range(3):
        await age(world, (await finished(world)).run_id)
    assert [await retention.prune_events(repo, 30 * DAY, limit=2) for _ in range(3)] == [2, 1, 0]


async def test_a_run_outlives_its_events(repo: Repo) -> None:
    world = await World.create(repo)
    owner = await finished(world)
    await age(world, owner.run_id)
    assert await retention.prune_events(repo, 30 * DAY) == 1
    assert (await world.run(owner))["state"] == "success"
    head = await run_events.head(repo, owner.run_id)
    assert isinstance(head, run_events.Head)
    assert head.version == 4


async def test_the_search_for_what_follows_a_position_uses_its_index(repo: Repo) -> None:
    world = await World.create(repo)
    await finished(world)
    await world.rows(
        "INSERT INTO run_events (run_id, project_id, version, event, payload)"
        " SELECT run_id, gen_random_uuid(), n, 'run:updated', '{}' FROM run_events,"
        " generate_series(100, 8000) n WHERE version = 1 RETURNING 1"
    )
    await world.rows("ANALYZE run_events")
    sql = project_events.MISSING.sql
    plan = await world.rows(
        f"EXPLAIN {sql}",
        *([world.project.id], ["5:5:"], [None], [-1], 100),
    )
    text = "\n".join(row[0] for row in plan)
    assert text.count("run_events_feed_index") == 2, text
    assert "Seq Scan on run_events" not in text
