"""Steps: started and completed by the owner of their run, and by nobody else."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from schema import dataclips, janitor
from schema.outcomes import Applied, Owner, Resent, TooLate
from schema.refused import Refused
from schema.repo import Repo, connection
from tests.schema.world import World, payload, project

AT = datetime(2026, 11, 21, 2, 3, 4, 567891, tzinfo=UTC)


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def lost(world: World, owner: Owner) -> None:
    """Let the janitor give up on a run."""
    swept = await janitor.mark_lost(world.repo, default_timeout_s=0, grace_s=0)
    assert not isinstance(swept, Refused)
    assert [run.run_id for run in swept] == [owner.run_id]


async def refused_unchanged(world: World, before: object, result: object) -> dict[str, list[str]]:
    """The errors of a refusal, which must have changed nothing."""
    assert isinstance(result, Refused), result
    assert await world.contents() == before
    return result.errors


async def test_a_step_starts_while_the_run_is_only_claimed(world: World) -> None:
    owner = await world.claimed()
    step_id = uuid4()
    told = payload(await world.step(owner, step_id, started_at=AT))
    assert told["step"]["id"] == str(step_id)
    assert told["step"]["run_id"] == str(owner.run_id)
    assert told["step"]["started_at"] == "2026-11-21T02:03:04.567891+00:00"
    assert (await world.run(owner))["state"] == "claimed"


async def test_a_step_takes_its_input_and_credential_from_the_project(world: World) -> None:
    created = await world.enqueue()
    (run,) = await world.claim()
    result = await world.step(run.owner, input_dataclip_id=created.dataclip_id)
    assert payload(result)["step"]["input_dataclip_id"] == str(created.dataclip_id)


async def test_a_job_outside_of_the_snapshot_does_not_exist(world: World) -> None:
    owner = await world.started()
    before = await world.contents()
    errors = await refused_unchanged(world, before, await world.step(owner, job_id=uuid4()))
    assert errors == {"job_id": ["does not exist"]}


@pytest.mark.parametrize("field", ["input_dataclip_id", "credential_id"])
async def test_what_a_step_refers_to_must_exist(world: World, field: str) -> None:
    owner = await world.started()
    before = await world.contents()
    values: dict[str, Any] = {field: uuid4()}
    result = await world.step(owner, **values)
    assert await refused_unchanged(world, before, result) == {field: ["does not exist"]}


async def test_a_dataclip_of_another_project_does_not_exist(world: World) -> None:
    other = await World.create(world.repo, project("other"))
    foreign = await other.enqueue()
    await other.rows("DELETE FROM run_events RETURNING run_id")
    await other.rows("DELETE FROM runs RETURNING id")
    owner = await world.started()
    before = await world.contents()
    result = await world.step(owner, input_dataclip_id=foreign.dataclip_id)
    errors = await refused_unchanged(world, before, result)
    assert errors == {"input_dataclip_id": ["does not exist"]}


async def test_a_step_started_again_has_the_same_reply_and_no_second_effect(world: World) -> None:
    owner = await world.started()
    step_id = uuid4()
    assert isinstance(await world.step(owner, step_id, b"m" * 16), Applied)
    before = await world.contents()
    assert isinstance(await world.step(owner, step_id, b"m" * 16), Resent)
    assert await world.contents() == before


async def test_another_start_of_the_same_step_is_refused(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    before = await world.contents()
    errors = await refused_unchanged(world, before, await world.step(owner, step_id))
    assert errors == {"step_id": ["has already been taken"]}


async def test_a_step_id_of_another_run_is_taken_even_with_the_same_content(world: World) -> None:
    first = await world.started()
    step_id = uuid4()
    await world.step(first, step_id, b"m" * 16)
    second = await world.started()
    before = await world.contents()
    errors = await refused_unchanged(world, before, await world.step(second, step_id, b"m" * 16))
    assert errors == {"step_id": ["has already been taken"]}


async def test_completing_a_step_stores_its_output_and_tells_about_it(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    output = uuid4()
    result = await world.finish(
        owner,
        step_id,
        exit_reason="fail",
        error_type="JobError",
        error_message="no",
        output_dataclip_id=output,
        output_dataclip='{"a": 1}',
        finished_at=AT,
    )
    told = payload(result)["step"]
    assert (told["exit_reason"], told["error_type"]) == ("fail", "JobError")
    assert told["output_dataclip_id"] == str(output)
    assert told["finished_at"] == "2026-11-21T02:03:04.567891+00:00"
    (clip,) = await world.rows("SELECT type, body, wiped_at FROM dataclips WHERE id = $1", output)
    assert (clip["type"], clip["body"], clip["wiped_at"]) == ("step_result", '{"a": 1}', None)


async def test_without_saved_dataclips_the_id_is_kept_and_the_body_never(repo: Repo) -> None:
    world = await World.create(repo, project(retention_policy="erase_all"))
    owner = await world.started()
    step_id = await world.stepped(owner)
    output = uuid4()
    await world.finish(owner, step_id, output_dataclip_id=output, output_dataclip='{"secret": 1}')
    assert isinstance(
        await world.complete(owner, final_dataclip_id=output, final_state='{"secret": 1}'), Applied
    )
    (clip,) = await world.rows("SELECT body, wiped_at FROM dataclips WHERE id = $1", output)
    assert clip["body"] is None
    assert clip["wiped_at"] is not None
    assert (await world.run(owner))["final_dataclip_id"] == output


async def test_an_output_id_that_is_in_use_is_taken(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    taken = await world.value("SELECT id FROM dataclips LIMIT 1")
    before = await world.contents()
    result = await world.finish(owner, step_id, output_dataclip_id=taken, output_dataclip="{}")
    errors = await refused_unchanged(world, before, result)
    assert errors == {"output_dataclip_id": ["has already been taken"]}


async def test_an_unknown_step_is_not_found_and_nothing_is_stored(world: World) -> None:
    owner = await world.started()
    before = await world.contents()
    result = await world.finish(
        owner, uuid4(), output_dataclip_id=uuid4(), output_dataclip="{}", webhook_response="{}"
    )
    assert await refused_unchanged(world, before, result) == {"step_id": ["not found"]}


async def test_a_step_of_another_run_is_not_found_and_nothing_is_stored(world: World) -> None:
    foreign = await world.stepped(await world.started())
    owner = await world.started()
    before = await world.contents()
    result = await world.finish(owner, foreign, output_dataclip_id=uuid4(), output_dataclip="{}")
    assert await refused_unchanged(world, before, result) == {"step_id": ["not found"]}


async def test_a_step_completed_again_has_the_same_reply_and_no_second_effect(
    world: World,
) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    output: dict[str, Any] = {"output_dataclip_id": uuid4(), "output_dataclip": "{}"}
    assert isinstance(await world.finish(owner, step_id, b"m" * 16, **output), Applied)
    before = await world.contents()
    assert isinstance(await world.finish(owner, step_id, b"m" * 16, **output), Resent)
    assert await world.contents() == before


async def test_another_completion_of_a_completed_step_is_refused(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    await world.finish(owner, step_id)
    before = await world.contents()
    result = await world.finish(owner, step_id, exit_reason="fail")
    errors = await refused_unchanged(world, before, result)
    assert errors == {"step_id": ["has already been completed"]}


async def test_a_finished_run_takes_no_more_steps(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    await world.complete(owner)
    before = await world.contents()
    for result in (await world.step(owner), await world.finish(owner, step_id)):
        errors = await refused_unchanged(world, before, result)
        assert errors == {"state": ["already in completed state"]}


async def test_the_last_webhook_response_stays(world: World) -> None:
    owner = await world.started()
    for response in ('{"status": 201}', '{"status": 418}', None):
        step_id = await world.stepped(owner)
        await world.finish(owner, step_id, webhook_response=response)
    assert (await world.run(owner))["webhook_response"] == '{"status": 418}'


async def test_late_accept_lets_a_step_closed_as_lost_take_its_real_outcome(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    await lost(world, owner)
    told = payload(await world.finish(owner, step_id))["step"]
    assert told["exit_reason"] == "success"
    assert isinstance(await world.step(owner), Applied)
    again = await world.finish(owner, step_id)
    assert isinstance(again, Refused)


@pytest.mark.parametrize("late", ["acknowledge", "reject"])
async def test_other_late_policies_leave_the_steps_of_a_lost_run_alone(
    world: World, late: str
) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    await lost(world, owner)
    before = await world.contents()
    policy = "acknowledge" if late == "acknowledge" else "reject"
    for result in (
        await world.step(owner, late=policy),
        await world.finish(owner, step_id, late=policy),
    ):
        if late == "acknowledge":
            assert isinstance(result, TooLate)
        else:
            assert isinstance(result, Refused)
            assert result.errors == {"state": ["already in completed state"]}
    assert await world.contents() == before


async def test_a_final_dataclip_that_does_not_exist_changes_nothing(world: World) -> None:
    owner = await world.started()
    before = await world.contents()
    result = await world.complete(owner, final_dataclip_id=uuid4(), final_state="{}")
    errors = await refused_unchanged(world, before, result)
    assert errors == {"final_dataclip_id": ["does not exist"]}


async def test_a_final_dataclip_of_another_project_does_not_exist(world: World) -> None:
    other = await World.create(world.repo, project("other"))
    owner = await world.started()
    foreign = await other.enqueue()
    before = await world.contents()
    result = await world.complete(owner, final_dataclip_id=foreign.dataclip_id)
    errors = await refused_unchanged(world, before, result)
    assert errors == {"final_dataclip_id": ["does not exist"]}


async def test_a_final_dataclip_that_is_deleted_at_this_moment_does_not_exist(
    world: World,
) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    output = uuid4()
    await world.finish(owner, step_id, output_dataclip_id=output, output_dataclip="{}")
    async with connection(world.repo.dsn) as admin:
        async with admin.transaction():
            await admin.execute("DELETE FROM dataclips WHERE id = $1", output)
            completing = asyncio.ensure_future(world.complete(owner, final_dataclip_id=output))
            # The foreign key waits for the one who deletes.
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not await admin.fetchval(waiting):
                assert not completing.done()
        result = await completing
    assert isinstance(result, Refused)
    assert result.errors == {"final_dataclip_id": ["does not exist"]}
    assert (await world.run(owner))["state"] == "started"


async def test_the_final_dataclip_id_wins_over_the_final_state(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    output = uuid4()
    await world.finish(owner, step_id, output_dataclip_id=output, output_dataclip='{"a": 1}')
    count = await world.value("SELECT count(*) FROM dataclips")
    await world.complete(owner, final_dataclip_id=output, final_state='{"b": 2}')
    assert (await world.run(owner))["final_dataclip_id"] == output
    assert await world.value("SELECT count(*) FROM dataclips") == count


@pytest.mark.parametrize("retention", ["retain_all", "erase_all"])
async def test_a_final_state_becomes_a_dataclip(repo: Repo, retention: str) -> None:
    world = await World.create(repo, project(retention_policy=retention))
    owner = await world.started()
    await world.complete(owner, final_state='{"b": 2}')
    run = await world.run(owner)
    (clip,) = await world.rows("SELECT * FROM dataclips WHERE id = $1", run["final_dataclip_id"])
    saved = retention == "retain_all"
    assert clip["type"] == "step_result"
    assert clip["body"] == ('{"b": 2}' if saved else None)
    assert (clip["wiped_at"] is None) == saved


async def test_each_event_of_a_step_is_one_statement_and_one_numbered_event(world: World) -> None:
    owner = await world.started()
    step_id = uuid4()
    version = (await world.run(owner))["version"]
    for event in (world.step, world.finish):
        count = world.repo.statements_run
        result = await event(owner, step_id)
        assert world.repo.statements_run == count + 1
        assert isinstance(result, Applied)
        version += 1
        assert result.version == version
        (row,) = await world.rows(
            "SELECT event, payload::text FROM run_events WHERE run_id = $1 AND version = $2",
            owner.run_id,
            version,
        )
        assert tuple(row) == (result.event, result.payload_json)


async def test_fetching_an_input_is_one_statement(world: World) -> None:
    owner = await world.claimed()
    count = world.repo.statements_run
    assert not isinstance(await dataclips.fetch_input(world.repo, owner), Refused)
    assert world.repo.statements_run == count + 1
