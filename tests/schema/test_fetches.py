"""What a worker fetches: its plan, its input, its credentials; and nobody else's."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from schema import credentials, dataclips, janitor, plans, queue
from schema.crypto import Cipher, UnknownKeyError
from schema.dataclips import Input
from schema.outcomes import Owner
from schema.plans import Joined
from schema.refused import Refused
from schema.repo import Repo, connection
from tests.schema.world import CIPHER, World, payload, project, workflow

SECRET = {"username": "ada", "password": "", "port": 1, "nested": {"a": ""}}


def spec(**more: Any) -> Any:
    """A project with two credentials, of which a job uses one; every kind of edge."""
    flow = workflow()
    flow.jobs[0].credential = "used"
    flow.edges[1].condition_type = "js_expression"
    flow.edges[1].condition_expression = "!state.error"
    keys = ("used", "unused")
    made = [SimpleNamespace(key=key, name=key.title(), body=SECRET) for key in keys]
    return project(workflows=[flow], credentials=made, **more)


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo, spec())


async def join(world: World, owner: Owner) -> Joined:
    joined = await plans.join(world.repo, owner)
    assert isinstance(joined, Joined), joined
    return joined


async def fetch_input(world: World, owner: Owner) -> Input:
    result = await dataclips.fetch_input(world.repo, owner)
    assert isinstance(result, Input), result
    return result


async def test_a_plan_has_exactly_the_fields_of_the_contract(world: World) -> None:
    created = await world.enqueue()
    (run,) = await world.claim()
    flow = world.workflow()
    plan = msgspec.json.decode((await join(world, run.owner)).plan_json)
    edges = plan.pop("edges")
    jobs = plan.pop("jobs")
    assert plan == {
        "id": str(run.id),
        "project_id": str(world.project.id),
        "triggers": [{"id": str(flow.triggers["webhook"])}],
        "starting_node_id": str(flow.triggers["webhook"]),
        "dataclip_id": str(created.dataclip_id),
        "options": {"output_dataclips": True},
        "meta": {
            "work_order_id": str(created.work_order_id),
            "workflow_id": str(flow.id),
            "project_id": str(world.project.id),
        },
    }
    assert jobs == [
        {
            "id": str(flow.jobs[key]),
            "name": key.title(),
            "adaptor": "@openfn/language-common@latest",
            "body": "fn(s => s)",
            "credential_id": str(world.project.credentials["used"]) if key == "first" else None,
        }
        for key in ("first", "second")
    ]
    assert [edge["condition"] for edge in edges] == ["always", "!state.error"]
    assert set(edges[0]) == {
        "id",
        "source_trigger_id",
        "source_job_id",
        "target_job_id",
        "condition",
        "enabled",
    }


async def test_options_of_a_plan_leave_nulls_out(repo: Repo) -> None:
    world = await World.create(
        repo, spec(retention_policy="erase_all"), run_timeout_ms=9, job_logs=False
    )
    plan = msgspec.json.decode((await join(world, await world.claimed())).plan_json)
    assert plan["options"] == {
        "output_dataclips": False,
        "run_timeout_ms": 9,
        "job_log_level": "none",
    }


async def test_joining_is_one_statement_and_ends_the_wait_for_the_worker(world: World) -> None:
    owner = await world.claimed()
    ran = world.repo.statements_run
    joined = await join(world, owner)
    assert world.repo.statements_run == ran + 1
    assert (joined.owned, joined.problem, joined.save_dataclips) == (True, None, True)
    assert await queue.release_unheard(world.repo, older_than_s=0) == []


async def test_joining_again_is_answered_in_every_state(world: World) -> None:
    owner = await world.claimed()
    first = (await join(world, owner)).plan_json
    await world.start(owner)
    at = (await world.run(owner))["joined_at"]
    assert (await join(world, owner)).plan_json == first
    await janitor.mark_lost(world.repo, default_timeout_s=0, grace_s=0)
    again = await join(world, owner)
    assert (again.owned, again.state) == (True, "lost")
    assert (await world.run(owner))["joined_at"] == at


async def test_joining_with_a_stale_lease_is_answered_and_changes_nothing(world: World) -> None:
    owner = await world.claimed()
    before = await world.contents()
    joined = await join(world, Owner(owner.run_id, uuid4()))
    assert (joined.owned, joined.state) == (False, "claimed")
    assert await world.contents() == before


async def test_joining_an_unknown_run_is_not_found(world: World) -> None:
    result = await plans.join(world.repo, Owner(uuid4(), uuid4()))
    assert isinstance(result, Refused)
    assert result.kind == "not_found"


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        ("jsonb_set(graph, '{edges,0,enabled}', 'false')", "no enabled edge"),
        ("jsonb_set(graph, '{edges}', '[]')", "no enabled edge"),
        ("jsonb_set(graph, '{edges,0,condition}', 'null')", "has no condition"),
        ("graph #- '{edges,0,condition}'", "has no condition"),
        ("jsonb_set(graph, '{triggers}', '[]')", "is not in the snapshot"),
    ],
)
async def test_a_plan_that_would_break_the_worker_is_recognised_at_the_join(
    world: World, graph: str, problem: str
) -> None:
    owner = await world.claimed()
    async with connection(world.repo.dsn) as admin:
        await admin.execute("SET session_replication_role = replica")
        await admin.execute(f"UPDATE snapshots SET graph = {graph}")
    joined = await join(world, owner)
    assert joined.problem is not None
    assert problem in joined.problem


async def test_a_starting_job_that_is_not_in_the_snapshot_is_recognised_at_the_join(
    world: World,
) -> None:
    owner = await world.claimed(trigger_id=None, job_id=world.job)
    assert (await join(world, owner)).problem is None
    async with connection(world.repo.dsn) as admin:
        await admin.execute("SET session_replication_role = replica")
        await admin.execute("UPDATE snapshots SET graph = jsonb_set(graph, '{jobs}', '[]')")
    assert (await join(world, owner)).problem == "the starting job is not in the snapshot"


@pytest.mark.parametrize("kind", ["http_request", "kafka"])
async def test_the_input_of_a_request_is_wrapped(world: World, kind: str) -> None:
    owner = await world.claimed(dataclip_type=kind)
    assert msgspec.json.decode((await fetch_input(world, owner)).body) == {
        "data": {"order": 1},
        "request": {"method": "POST"},
    }


@pytest.mark.parametrize("kind", ["step_result", "saved_input", "global"])
async def test_other_inputs_are_sent_as_they_are(world: World, kind: str) -> None:
    owner = await world.claimed(dataclip_type=kind, request=None)
    fetched = await fetch_input(world, owner)
    assert (msgspec.json.decode(fetched.body), fetched.wiped) == ({"order": 1}, None)


async def test_a_missing_or_wiped_input_is_null(world: World) -> None:
    nothing = await world.claimed(dataclip_type=None)
    assert (await fetch_input(world, nothing)).body == "null"
    wiped = await world.claimed()
    await world.rows(
        "UPDATE dataclips SET body = NULL, request = NULL, wiped_at = now() RETURNING id"
    )
    assert (await fetch_input(world, wiped)).body == "null"


async def test_an_input_that_is_not_to_be_saved_is_wiped_by_its_fetch(repo: Repo) -> None:
    world = await World.create(repo, spec(retention_policy="erase_all"))
    owner = await world.claimed()
    fetched = await fetch_input(world, owner)
    assert msgspec.json.decode(fetched.body)["data"] == {"order": 1}
    assert fetched.wiped is not None
    assert fetched.wiped.event == "dataclip:updated"
    told = payload(fetched.wiped)["dataclip"]
    (clip,) = await world.rows("SELECT * FROM dataclips")
    assert (clip["body"], clip["request"]) == (None, None)
    assert (told["id"], told["wiped_at"] is not None) == (str(clip["id"]), True)
    again = await fetch_input(world, owner)
    assert (again.body, again.wiped) == ("null", None)


async def test_a_global_input_is_never_wiped(repo: Repo) -> None:
    world = await World.create(repo, spec(retention_policy="erase_all"))
    owner = await world.claimed(dataclip_type="global", request=None)
    for _ in range(2):
        fetched = await fetch_input(world, owner)
        assert (fetched.body, fetched.wiped) == ('{"order": 1}', None)


async def test_a_stale_lease_fetches_and_wipes_nothing(repo: Repo) -> None:
    world = await World.create(repo, spec(retention_policy="erase_all"))
    owner = await world.claimed()
    before = await world.contents()
    stale = Owner(owner.run_id, uuid4())
    for result in (
        await dataclips.fetch_input(world.repo, stale),
        await credentials.fetch(repo, stale, world.project.credentials["used"], CIPHER),
    ):
        assert isinstance(result, Refused)
        assert result.kind == "lease_lost"
    assert await world.contents() == before


async def test_a_credential_is_its_body_without_empty_values(world: World) -> None:
    owner = await world.claimed()
    used = world.project.credentials["used"]
    ran = world.repo.statements_run
    body = await credentials.fetch(world.repo, owner, used, CIPHER)
    assert world.repo.statements_run == ran + 1
    assert body == {"username": "ada", "port": 1, "nested": {"a": ""}}


async def test_a_credential_that_the_run_does_not_use_is_not_found(world: World) -> None:
    owner = await world.claimed()
    other = await World.create(world.repo, spec(name="other"))
    foreign: list[UUID] = [
        uuid4(),
        world.project.credentials["unused"],
        other.project.credentials["used"],
    ]
    for credential in foreign:
        result = await credentials.fetch(world.repo, owner, credential, CIPHER)
        assert isinstance(result, Refused)
        assert result.errors == {"id": ["Credential not found!"]}


async def test_a_credential_of_an_unknown_key_is_a_bug_and_not_a_refusal(world: World) -> None:
    owner = await world.claimed()
    used = world.project.credentials["used"]
    with pytest.raises(UnknownKeyError):
        await credentials.fetch(world.repo, owner, used, Cipher(b"x" * 32))
