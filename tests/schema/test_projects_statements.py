"""Provisioning: all or nothing, idempotent, and a new snapshot for a changed graph."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from schema import projects
from schema.projects import Provisioned
from schema.refused import Refused
from schema.repo import Repo
from tests.schema.world import CIPHER, World, project, workflow

TABLES = ("projects", "workflows", "jobs", "triggers", "edges", "snapshots", "credentials")


def secretive(body: dict[str, Any] | None, name: str = "Shop") -> Any:
    """A project with a credential that the first job uses."""
    flow = workflow()
    flow.jobs[0].credential = "shop"
    return project(
        workflows=[flow], credentials=[SimpleNamespace(key="shop", name=name, body=body)]
    )


async def provision(repo: Repo, spec: Any) -> Provisioned:
    made = await projects.provision(repo, spec, CIPHER)
    assert isinstance(made, Provisioned), made
    return made


async def contents(world: World) -> list[Any]:
    """All rows without their clocks."""
    return [
        await world.rows(f"SELECT to_jsonb(t) - 'updated_at' - 'inserted_at' - 'body' FROM {t} t")
        for t in TABLES
    ]


async def test_provisioning_again_changes_nothing(repo: Repo) -> None:
    world = World(repo, await provision(repo, secretive({"token": "t"})))
    before = await contents(world)
    again = await provision(repo, secretive({"token": "t"}))
    assert not again.workflows[0].changed
    assert again.workflows[0].lock_version == world.workflow().lock_version == 1
    assert again.workflows[0].jobs == world.workflow().jobs
    after = await contents(world)
    assert [sorted(map(str, rows)) for rows in after] == [sorted(map(str, r)) for r in before]


async def test_another_order_of_the_same_graph_is_the_same_graph(repo: Repo) -> None:
    await provision(repo, project())
    flow = workflow()
    flow.jobs.reverse()
    flow.edges.reverse()
    assert not (await provision(repo, project(workflows=[flow]))).workflows[0].changed


async def test_a_changed_graph_makes_a_new_snapshot_and_old_runs_keep_theirs(repo: Repo) -> None:
    world = await World.create(repo)
    old = await world.enqueue()
    flow = workflow()
    flow.jobs[0].body = "fn(s => ({...s, changed: true}))"
    changed = (await provision(repo, project(workflows=[flow]))).workflows[0]
    assert (changed.changed, changed.lock_version) == (True, 2)
    new = await world.enqueue()
    versions = await world.rows(
        "SELECT s.lock_version FROM runs r JOIN snapshots s ON s.id = r.snapshot_id"
        " WHERE r.id = ANY($1) ORDER BY r.inserted_at",
        [old.run_id, new.run_id],
    )
    assert [row[0] for row in versions] == [1, 2]


async def test_a_node_that_is_no_longer_named_is_removed_and_lives_on_in_snapshots(
    repo: Repo,
) -> None:
    world = await World.create(repo)
    owner = await world.claimed()
    flow = workflow()
    flow.jobs = flow.jobs[1:]
    flow.edges = flow.edges[:1]
    flow.edges[0].target_job = "second"
    await provision(repo, project(workflows=[flow]))
    assert await world.value("SELECT count(*) FROM jobs") == 1
    assert not isinstance(await world.step(owner), Refused)


async def test_a_switched_off_trigger_is_no_new_graph(repo: Repo) -> None:
    await provision(repo, project())
    flow = workflow()
    flow.triggers[0].enabled = False
    assert not (await provision(repo, project(workflows=[flow]))).workflows[0].changed


async def test_limits_and_retention_follow_the_specification(repo: Repo) -> None:
    world = await World.create(repo)
    spec = project(concurrency=4, retention_policy="erase_all")
    spec.workflows[0].concurrency = 2
    await provision(repo, spec)
    (row,) = await world.rows("SELECT concurrency, retention_policy FROM projects")
    assert tuple(row) == (4, "erase_all")
    assert await world.value("SELECT concurrency FROM workflows") == 2


async def test_options_stay_unless_given(repo: Repo) -> None:
    world = await World.create(repo, run_timeout_ms=1000)
    await provision(repo, project())
    assert await world.value("SELECT options FROM projects") == '{"run_timeout_ms": 1000}'


async def test_a_refused_part_leaves_nothing_behind(repo: Repo) -> None:
    world = await World.create(repo)
    before = await contents(world)
    spec = project(workflows=[workflow("new"), workflow("bad", concurrency=0)])
    result = await projects.provision(repo, spec, CIPHER)
    assert isinstance(result, Refused)
    assert result.errors == {"workflows.bad.concurrency": ["must be greater than 0"]}
    assert await contents(world) == before


async def test_a_name_that_another_workflow_has_is_taken(repo: Repo) -> None:
    spec = project(workflows=[workflow("a", name="Same"), workflow("b", name="Same")])
    result = await projects.provision(repo, spec, CIPHER)
    assert isinstance(result, Refused)
    assert result.errors == {"workflows.b.name": ["has already been taken"]}


async def test_a_credential_without_a_body_keeps_the_stored_one(repo: Repo) -> None:
    world = World(repo, await provision(repo, secretive({"token": "t"})))
    before = await world.value("SELECT body FROM credentials")
    await provision(repo, secretive(None))
    assert await world.value("SELECT body FROM credentials") == before


async def test_a_new_credential_needs_a_body(repo: Repo) -> None:
    result = await projects.provision(repo, secretive(None), CIPHER)
    assert isinstance(result, Refused)
    assert result.errors == {"credentials.shop.body": ["This field can't be blank."]}


async def test_bodies_of_credentials_are_not_stored_readable(repo: Repo) -> None:
    world = World(repo, await provision(repo, secretive({"token": "very-secret"})))
    assert b"very-secret" not in await world.value("SELECT body FROM credentials")


@pytest.mark.parametrize("name", ["a", "b"])
async def test_projects_do_not_see_each_other(repo: Repo, name: str) -> None:
    made = [await provision(repo, project(n)) for n in ("a", "b")]
    assert made[0].workflows[0].id != made[1].workflows[0].id
    assert (await provision(repo, project(name))).id in {p.id for p in made}


async def test_two_provisions_at_one_time_take_turns(repo: Repo) -> None:
    made = await asyncio.gather(*(provision(repo, project()) for _ in range(4)))
    assert {p.workflows[0].lock_version for p in made} == {1}
    assert sum(p.workflows[0].changed for p in made) == 1
