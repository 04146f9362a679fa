"""Lost runs: who is given up, what is closed with them, and what is told."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from schema import janitor
from schema.janitor import Swept
from schema.lifecycle import OUTCOMES
from schema.outcomes import Applied, Owner
from schema.refused import Refused
from schema.repo import Repo, Statement
from tests.schema.world import World


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def sweep(world: World, timeout_s: float = 0, grace_s: float = 0) -> list[Swept]:
    swept = await janitor.mark_lost(world.repo, default_timeout_s=timeout_s, grace_s=grace_s)
    assert not isinstance(swept, Refused)
    return swept


async def tidy(world: World) -> list[Swept]:
    swept = await janitor.close_orphan_steps(world.repo)
    assert not isinstance(swept, Refused)
    return swept


async def recorded(world: World, owner: Owner) -> list[tuple[int, str]]:
    rows = await world.rows(
        "SELECT version, event FROM run_events WHERE run_id = $1 ORDER BY version", owner.run_id
    )
    return [(row[0], row[1]) for row in rows]


async def test_a_claimed_run_is_lost_after_claim(world: World) -> None:
    owner = await world.claimed()
    (swept,) = await sweep(world)
    assert (swept.run_id, swept.reason) == (owner.run_id, "LostAfterClaim")
    run = await world.run(owner)
    assert (run["state"], run["error_type"]) == ("lost", "LostAfterClaim")
    assert run["finished_at"] is not None
    assert await world.value("SELECT state FROM work_orders") == "lost"


async def test_a_started_run_is_lost_after_start_and_its_open_steps_with_it(world: World) -> None:
    owner = await world.started()
    done = await world.stepped(owner)
    await world.finish(owner, done)
    opened = [await world.stepped(owner) for _ in range(2)]
    (swept,) = await sweep(world)
    assert swept.reason == "LostAfterStart"
    rows = await world.rows(
        "SELECT id FROM steps WHERE exit_reason = 'lost' AND finished_at <= now()"
    )
    assert {row[0] for row in rows} == set(opened)
    names = [event.name for event in swept.events]
    assert names == ["step:completed", "step:completed", "run:updated"]
    closed = [msgspec.json.decode(event.payload_json)["step"] for event in swept.events[:2]]
    assert [UUID(step["id"]) for step in closed] == opened
    assert {step["exit_reason"] for step in closed} == {"lost"}


async def test_what_the_janitor_tells_is_recorded_without_a_gap(world: World) -> None:
    owner = await world.started()
    await world.stepped(owner)
    (swept,) = await sweep(world)
    events = await recorded(world, owner)
    assert [version for version, _ in events] == list(range(1, len(events) + 1))
    assert [(event.version, event.name) for event in swept.events] == events[-2:]
    assert (await world.run(owner))["version"] == events[-1][0]


async def test_a_run_within_its_time_is_left_alone(world: World) -> None:
    await world.claimed()
    before = await world.contents()
    assert await sweep(world, timeout_s=300) == []
    assert await sweep(world, timeout_s=0, grace_s=60) == []
    assert await world.contents() == before


async def test_the_timeout_of_the_run_goes_before_the_default(repo: Repo) -> None:
    patient = await World.create(repo, run_timeout_ms=3_600_000)
    await patient.claimed()
    assert await sweep(patient, timeout_s=0) == []


async def test_an_available_run_is_never_lost(world: World) -> None:
    await world.enqueue()
    assert await sweep(world) == []


async def test_a_run_that_finished_meanwhile_is_not_lost(world: World) -> None:
    for state in OUTCOMES:
        await world.complete(await world.started(), state)
    before = await world.contents()
    assert await sweep(world) == []
    assert await world.contents() == before


async def test_the_janitor_passes_over_a_run_that_is_being_finished(world: World) -> None:
    owner = await world.started()
    async with world.repo.transaction() as transaction:
        finish = "UPDATE runs SET state = 'success', finished_at = now() WHERE id = $1 RETURNING id"
        await transaction.fetch(Statement("test", finish), owner.run_id)
        assert await asyncio.wait_for(sweep(world), 5) == []
    assert (await world.run(owner))["state"] == "success"
    assert await sweep(world) == []


async def test_the_janitor_takes_no_more_than_its_limit(world: World) -> None:
    owners = [await world.claimed() for _ in range(3)]
    swept = await janitor.mark_lost(world.repo, default_timeout_s=0, grace_s=0, limit=2)
    assert not isinstance(swept, Refused)
    assert {run.run_id for run in swept} == {owner.run_id for owner in owners[:2]}


async def test_marking_is_one_statement_for_any_number_of_runs(world: World) -> None:
    for _ in range(3):
        await world.stepped(await world.started())
    ran = world.repo.statements_run
    assert len(await sweep(world)) == 3
    assert world.repo.statements_run == ran + 1


async def test_steps_left_open_in_a_finished_run_are_closed_as_lost(world: World) -> None:
    owner = await world.started()
    await world.stepped(owner)
    running = await world.started()
    await world.stepped(running)
    assert isinstance(await world.complete(owner), Applied)
    (swept,) = await tidy(world)
    assert (swept.run_id, swept.reason) == (owner.run_id, None)
    assert [event.name for event in swept.events] == ["step:completed"]
    assert await world.value("SELECT count(*) FROM steps WHERE exit_reason = 'lost'") == 1
    assert (await recorded(world, owner))[-1] == (swept.events[0].version, "step:completed")
    assert (await world.run(owner))["state"] == "success"
    assert await tidy(world) == []
