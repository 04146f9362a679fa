"""Read models: what dashboards and the command line are shown."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from schema import log_lines, views
from schema.log_lines import LogLine
from schema.refused import Refused
from schema.repo import Repo
from schema.views import RunView, WorkflowRow
from tests.schema.world import World, payload, project, workflow

AT = datetime(2026, 11, 21, 2, 3, 4, 567891, tzinfo=UTC)


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def test_a_run_is_shown_with_steps_jobs_work_order_and_trigger(world: World) -> None:
    owner = await world.started(created_by="ada")
    first, second = await world.stepped(owner), await world.stepped(owner)
    view = await views.run(world.repo, owner.run_id)
    assert isinstance(view, RunView)
    assert (view.project_id, view.state) == (world.project.id, "started")
    shown = msgspec.json.decode(view.payload_json)
    assert shown["version"] == view.version
    run = shown["run"]
    assert [step["id"] for step in run["steps"]] == [str(first), str(second)]
    assert run["steps"][0]["job"]["name"] == "First"
    assert "body" not in run["steps"][0]["job"]
    assert (run["created_by"], run["priority"]) == ("ada", "normal")
    assert run["work_order"]["state"] == "running"
    assert run["workflow"]["key"] == "orders"
    assert run["starting_trigger"]["type"] == "webhook"


async def test_a_run_shows_no_lease_and_no_fingerprint(world: World) -> None:
    owner = await world.started()
    view = await views.run(world.repo, owner.run_id)
    assert isinstance(view, RunView)
    assert str(owner.lease) not in view.payload_json
    assert "fingerprint" not in view.payload_json


async def test_a_run_started_by_a_job_has_no_starting_trigger(world: World) -> None:
    owner = await world.claimed(trigger_id=None, job_id=world.job)
    view = await views.run(world.repo, owner.run_id)
    assert isinstance(view, RunView)
    assert msgspec.json.decode(view.payload_json)["run"]["starting_trigger"] is None


async def test_a_trigger_that_is_gone_is_shown_by_its_id(world: World) -> None:
    owner = await world.claimed()
    await world.rows("DELETE FROM edges RETURNING id")
    await world.rows("DELETE FROM triggers RETURNING id")
    view = await views.run(world.repo, owner.run_id)
    assert isinstance(view, RunView)
    shown = msgspec.json.decode(view.payload_json)["run"]["starting_trigger"]
    assert shown == {"id": str(world.workflow().triggers["webhook"])}


async def test_what_is_told_live_is_what_is_fetched(world: World) -> None:
    owner = await world.started()
    result = await world.complete(owner)
    view = await views.run(world.repo, owner.run_id)
    assert isinstance(view, RunView)
    fetched = msgspec.json.decode(view.payload_json)["run"]
    live = payload(result)["run"]
    assert {name: fetched[name] for name in live} == live


async def test_logs_are_in_time_order_and_arrival_order_within_a_moment(world: World) -> None:
    owner = await world.claimed()
    stamps = [("c", 2), ("a", 0), ("b", 1), ("b2", 1)]
    sent = [LogLine(text, AT + timedelta(microseconds=n)) for text, n in stamps]
    await log_lines.insert(world.repo, owner, sent)
    text = await views.logs(world.repo, owner.run_id)
    assert isinstance(text, str)
    shown = [line["message"] for line in msgspec.json.decode(text)["logs"]]
    assert shown == ["a", "b", "b2", "c"]


async def test_logs_of_a_run_without_any_are_an_empty_list(world: World) -> None:
    text = await views.logs(world.repo, uuid4())
    assert isinstance(text, str)
    assert msgspec.json.decode(text) == {"logs": []}


async def test_an_unknown_run_is_none(world: World) -> None:
    assert await views.run(world.repo, uuid4()) is None
    assert await views.project_of(world.repo, uuid4()) is None
    assert await views.outcome(world.repo, uuid4()) is None


async def test_the_project_of_a_run_decides_about_access(world: World) -> None:
    owner = await world.claimed()
    assert await views.project_of(world.repo, owner.run_id) == world.project.id


async def test_the_outcome_of_a_run_has_its_final_state_and_webhook_response(
    world: World,
) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    await world.finish(owner, step_id, webhook_response='{"status": 418}')
    await world.complete(owner, final_state='{"a": 1}')
    outcome = await views.outcome(world.repo, owner.run_id)
    assert isinstance(outcome, views.Outcome)
    assert msgspec.json.decode(outcome.payload_json)["run"]["state"] == "success"
    assert (outcome.final_state, outcome.webhook_response) == ('{"a": 1}', '{"status": 418}')


async def test_workflows_are_found_by_key_name_or_id(repo: Repo) -> None:
    world = await World.create(repo, project(workflows=[workflow("a"), workflow("b")]))
    await World.create(repo, project("other", workflows=[workflow("a")]))
    flow = world.workflow()

    async def find(name: str | None, of: str | None = None) -> list[WorkflowRow]:
        found = await views.workflows(repo, name, of)
        assert not isinstance(found, Refused)
        return found

    assert len(await find(None)) == 3
    assert len(await find("a")) == 2
    for name in ("a", "Workflow a", str(flow.id)):
        (row,) = await find(name, "shop")
        assert (row.id, row.trigger_id) == (flow.id, flow.triggers["webhook"])
    assert await find("nobody") == []
