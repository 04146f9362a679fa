"""Work orders: everything that a run needs is created with it, or nothing is."""

from uuid import uuid4

import msgspec
import pytest

from schema import work_orders
from schema.outcomes import Applied
from schema.refused import Refused
from schema.repo import Repo
from schema.work_orders import Created, NewWorkOrder
from tests.schema.world import World, project, workflow


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def refused(world: World, new: NewWorkOrder) -> Refused:
    """The refusal of a work order, of which nothing may be left."""
    before = await world.contents()
    result = await work_orders.create(world.repo, new)
    assert isinstance(result, Refused), result
    assert await world.contents() == before
    return result


async def test_a_work_order_is_one_statement_with_its_dataclip_run_and_event(world: World) -> None:
    ran = world.repo.statements_run
    created = await world.enqueue(created_by="ada")
    assert world.repo.statements_run == ran + 1
    run = await world.run(created.run_id)
    assert (run["state"], run["version"], run["created_by"]) == ("available", 1, "ada")
    assert run["work_order_id"] == created.work_order_id
    assert run["dataclip_id"] == created.dataclip_id
    (clip,) = await world.rows("SELECT * FROM dataclips")
    assert (clip["type"], clip["body"]) == ("http_request", '{"order": 1}')
    assert clip["request"] == '{"method": "POST"}'
    (order,) = await world.rows("SELECT * FROM work_orders")
    assert (order["id"], order["state"]) == (created.work_order_id, "pending")
    told = msgspec.json.decode(created.event.payload_json)
    assert (created.event.name, told["run"]["state"]) == ("run:created", "available")
    assert created.webhook_reply == "before_start"


async def test_the_ids_may_be_given(world: World) -> None:
    run_id, order_id = uuid4(), uuid4()
    created = await world.enqueue(run_id=run_id, work_order_id=order_id)
    assert (created.run_id, created.work_order_id) == (run_id, order_id)


async def test_a_run_may_start_at_a_job_without_input(world: World) -> None:
    created = await work_orders.create(world.repo, NewWorkOrder(job_id=world.job))
    assert isinstance(created, Created)
    assert (created.dataclip_id, created.webhook_reply) == (None, None)
    run = await world.run(created.run_id)
    assert (run["starting_job_id"], run["starting_trigger_id"]) == (world.job, None)


async def test_a_run_takes_the_options_and_the_retention_of_the_project(repo: Repo) -> None:
    spec = project(retention_policy="erase_all")
    world = await World.create(repo, spec, run_timeout_ms=5000, job_logs=False)
    run = await world.run((await world.enqueue()).run_id)
    assert msgspec.json.decode(run["options"]) == {
        "run_timeout_ms": 5000,
        "job_log_level": "none",
    }
    assert run["save_dataclips"] is False


async def test_an_unknown_trigger_is_not_found(world: World) -> None:
    assert (await refused(world, NewWorkOrder(trigger_id=uuid4()))).kind == "not_found"
    assert (await refused(world, NewWorkOrder())).kind == "not_found"


async def test_a_disabled_trigger_starts_nothing_unless_told_to(world: World) -> None:
    await world.rows("UPDATE triggers SET enabled = false RETURNING id")
    trigger = world.workflow().triggers["webhook"]
    assert (await refused(world, NewWorkOrder(trigger_id=trigger))).code == "disabled"
    assert await world.enqueue(even_disabled=True)


async def test_a_start_trigger_without_an_enabled_edge_is_refused(repo: Repo) -> None:
    flow = workflow()
    flow.edges[0].enabled = False
    world = await World.create(repo, project(workflows=[flow]))
    refusal = await refused(world, NewWorkOrder(trigger_id=world.workflow().triggers["webhook"]))
    assert refusal.code == "unrunnable"
    assert refusal.errors == {"starting_node_id": ["the starting trigger has no enabled edge"]}


async def test_a_dataclip_of_another_project_does_not_exist(world: World) -> None:
    other = await World.create(world.repo, project("other"))
    foreign = (await other.enqueue()).dataclip_id
    trigger = world.workflow().triggers["webhook"]
    refusal = await refused(world, NewWorkOrder(trigger_id=trigger, dataclip_id=foreign))
    assert refusal.errors == {"dataclip_id": ["does not exist"]}


async def test_a_dataclip_that_exists_is_used_again(world: World) -> None:
    first = await world.enqueue()
    second = await world.enqueue(dataclip_id=first.dataclip_id)
    assert second.dataclip_id == first.dataclip_id
    assert await world.value("SELECT count(*) FROM dataclips") == 1


async def test_a_wiped_dataclip_cannot_be_used_again(world: World) -> None:
    first = await world.enqueue()
    await world.rows(
        "UPDATE dataclips SET body = NULL, request = NULL, wiped_at = now() RETURNING id"
    )
    trigger = world.workflow().triggers["webhook"]
    new = NewWorkOrder(trigger_id=trigger, dataclip_id=first.dataclip_id)
    assert (await refused(world, new)).code == "wiped"
    (run,) = await world.claim()
    await world.complete(run.owner)
    result = await work_orders.retry(world.repo, first.run_id)
    assert isinstance(result, Refused)
    assert result.code == "wiped"


async def test_a_retry_is_another_run_of_the_work_order_ahead_of_the_queue(world: World) -> None:
    owner = await world.started()
    assert isinstance(await world.complete(owner, "failed"), Applied)
    assert await world.value("SELECT state FROM work_orders") == "failed"
    await world.enqueue()
    ran = world.repo.statements_run
    retried = await work_orders.retry(world.repo, owner.run_id, "ada")
    assert world.repo.statements_run == ran + 1
    assert isinstance(retried, Created)
    states = await world.rows("SELECT state FROM work_orders WHERE id = $1", retried.work_order_id)
    assert states[0][0] == "pending"
    (run,) = await world.claim(queues=["*"])
    assert run.id == retried.run_id
    assert await world.value("SELECT count(*) FROM dataclips") == 2


async def test_only_a_finished_run_is_retried(world: World) -> None:
    created = await world.enqueue()
    result = await work_orders.retry(world.repo, created.run_id)
    assert isinstance(result, Refused)
    assert "state" in result.errors
    unknown = await work_orders.retry(world.repo, uuid4())
    assert isinstance(unknown, Refused)
    assert unknown.kind == "not_found"
