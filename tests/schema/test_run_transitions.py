"""The transition table, through the functions that are the only way to change a run."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from schema import queue, runs
from schema.lifecycle import FINAL_STATES, OUTCOMES
from schema.outcomes import Applied, Owner, Resent, TooLate
from schema.refused import Refused
from schema.repo import Repo
from tests.schema.world import World, payload

COMPLETED = {"state": ["already in completed state"]}
AT = datetime(2026, 11, 21, 2, 3, 4, 567891, tzinfo=UTC)


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def in_state(world: World, state: str) -> Owner:
    """A run in a state, with the lease of the worker that brought it there (if any did)."""
    if state == "available":
        created = await world.enqueue()
        return Owner(created.run_id, uuid4())
    if state == "claimed":
        return await world.claimed()
    owner = await world.started()
    if state == "lost":
        await world.rows(
            "UPDATE runs SET state = 'lost', finished_at = now() WHERE id = $1 RETURNING id",
            owner.run_id,
        )
    elif state != "started":
        assert isinstance(await world.complete(owner, state), Applied)
    return owner


async def test_a_claimed_run_is_started(world: World) -> None:
    owner = await world.claimed()
    result = await world.start(owner, started_at=AT)
    told = payload(result)["run"]
    assert (told["state"], told["started_at"]) == ("started", "2026-11-21T02:03:04.567891+00:00")
    run = await world.run(owner)
    assert (run["state"], run["started_at"]) == ("started", AT)


async def test_a_start_without_timestamp_is_now(world: World) -> None:
    owner = await world.claimed()
    await world.start(owner)
    assert await world.value(
        "SELECT now() - started_at < interval '1 minute' FROM runs WHERE id = $1", owner.run_id
    )


@pytest.mark.parametrize("start", ["claimed", "started"])
async def test_the_owner_of_a_held_run_brings_it_to_any_outcome(world: World, start: str) -> None:
    for state in OUTCOMES:
        owner = await in_state(world, start)
        result = await world.complete(
            owner, state, finished_at=AT, error_type="Oops", error_message="it broke"
        )
        told = payload(result)["run"]
        assert (told["state"], told["error_type"]) == (state, "Oops")
        run = await world.run(owner)
        assert (run["state"], run["finished_at"], run["error_message"]) == (state, AT, "it broke")
        assert run["recovered_at"] is None


async def test_starting_a_completed_run_is_refused_and_changes_nothing(world: World) -> None:
    for state in OUTCOMES:
        owner = await in_state(world, state)
        before = await world.contents()
        result = await world.start(owner)
        assert isinstance(result, Refused)
        assert (result.errors, result.kind) == (COMPLETED, "invalid")
        assert await world.contents() == before


async def test_starting_a_started_run_is_refused_and_changes_nothing(world: World) -> None:
    owner = await in_state(world, "started")
    before = await world.contents()
    result = await world.start(owner)
    assert isinstance(result, Refused)
    assert result.errors == {"state": ["already started"]}
    assert await world.contents() == before


async def test_starting_a_lost_run_is_refused_and_changes_nothing(world: World) -> None:
    owner = await in_state(world, "lost")
    before = await world.contents()
    result = await world.start(owner)
    assert isinstance(result, Refused)
    assert result.errors == COMPLETED
    assert await world.contents() == before


async def test_completing_a_completed_run_is_refused_and_changes_nothing(world: World) -> None:
    for state in OUTCOMES:
        owner = await in_state(world, state)
        before = await world.contents()
        for again in OUTCOMES:
            result = await world.complete(owner, again)
            assert isinstance(result, Refused)
            assert result.errors == COMPLETED
        assert await world.contents() == before


async def test_an_available_run_has_no_owner_who_could_report_it(world: World) -> None:
    stranger = await in_state(world, "available")
    before = await world.contents()
    for result in (await world.start(stranger), await world.complete(stranger)):
        assert isinstance(result, Refused)
        assert result.kind == "lease_lost"
    assert await world.contents() == before


async def test_an_unknown_run_is_not_found(world: World) -> None:
    result = await world.start(Owner(uuid4(), uuid4()))
    assert isinstance(result, Refused)
    assert result.kind == "not_found"


async def test_a_stale_lease_changes_no_row(world: World) -> None:
    for state in ("claimed", "started", *FINAL_STATES):
        owner = await in_state(world, state)
        stale = Owner(owner.run_id, uuid4())
        step = uuid4()
        before = await world.contents()
        for result in (
            await world.start(stale),
            await world.complete(stale),
            await world.step(stale, step),
            await world.finish(stale, step, output_dataclip_id=uuid4(), output_dataclip="{}"),
        ):
            assert isinstance(result, Refused)
            assert (result.kind, result.errors) == ("lease_lost", {})
        assert await world.contents() == before


async def test_a_run_that_was_claimed_again_obeys_its_new_owner_only(world: World) -> None:
    first = await world.claimed()
    assert await queue.release(world.repo, first) is not None
    (second,) = await world.claim()
    assert second.id == first.run_id
    assert second.lease != first.lease
    refused = await world.start(first)
    assert isinstance(refused, Refused)
    assert refused.kind == "lease_lost"
    assert isinstance(await world.start(second.owner), Applied)


async def test_a_start_sent_again_has_the_same_reply_and_no_second_effect(world: World) -> None:
    owner = await world.claimed()
    assert isinstance(await world.start(owner, b"m" * 16), Applied)
    before = await world.contents()
    assert isinstance(await world.start(owner, b"m" * 16), Resent)
    assert await world.contents() == before


async def test_a_completion_sent_again_has_the_same_reply_and_no_second_effect(
    world: World,
) -> None:
    owner = await world.started()
    assert isinstance(await world.complete(owner, mark=b"m" * 16, final_state='{"a": 1}'), Applied)
    before = await world.contents()
    result = await world.complete(owner, mark=b"m" * 16, final_state='{"a": 1}')
    assert isinstance(result, Resent)
    assert await world.contents() == before


async def test_an_invalid_changeset_asks_the_database_nothing(world: World) -> None:
    owner = await world.claimed()
    count = world.repo.statements_run
    bad = runs.Changeset({}).add_error("state", "is invalid")
    result = await runs.complete(world.repo, owner, bad, b"m" * 16)
    assert isinstance(result, Refused)
    assert result.errors == {"state": ["is invalid"]}
    assert isinstance(await runs.start(world.repo, owner, bad, b"m" * 16), Refused)
    assert world.repo.statements_run == count


async def test_an_operator_cancels_an_available_run(world: World) -> None:
    created = await world.enqueue()
    result = await runs.cancel(world.repo, created.run_id, "ada")
    assert payload(result)["run"]["state"] == "cancelled"
    run = await world.run(created.run_id)
    assert run["error_message"] == "cancelled by ada"
    assert await world.claim() == []


async def test_an_operator_cancels_nothing_that_a_worker_has_claimed(world: World) -> None:
    for state in ("claimed", "started", *FINAL_STATES):
        owner = await in_state(world, state)
        before = await world.contents()
        result = await runs.cancel(world.repo, owner.run_id)
        assert isinstance(result, Refused)
        assert "state" in result.errors
        assert await world.contents() == before


async def test_cancelling_an_unknown_run_is_not_found(world: World) -> None:
    result = await runs.cancel(world.repo, uuid4())
    assert isinstance(result, Refused)
    assert result.kind == "not_found"


async def test_late_accept_recovers_a_lost_run_once(world: World) -> None:
    for state in OUTCOMES:
        owner = await in_state(world, "lost")
        result = await world.complete(owner, state)
        assert payload(result)["run"]["recovered_at"] is not None
        run = await world.run(owner)
        assert (run["state"], run["recovered_at"] is not None) == (state, True)
        derived = "SELECT state FROM work_orders WHERE id = $1"
        assert await world.value(derived, run["work_order_id"]) == state
        again = await world.complete(owner, "failed")
        assert isinstance(again, Refused)
        assert again.errors == COMPLETED


async def test_late_acknowledge_says_yes_and_changes_nothing(world: World) -> None:
    owner = await in_state(world, "lost")
    before = await world.contents()
    assert isinstance(await world.complete(owner, late="acknowledge"), TooLate)
    assert await world.contents() == before


async def test_late_reject_refuses_and_changes_nothing(world: World) -> None:
    owner = await in_state(world, "lost")
    before = await world.contents()
    result = await world.complete(owner, late="reject")
    assert isinstance(result, Refused)
    assert result.errors == COMPLETED
    assert await world.contents() == before


async def test_a_run_is_not_completed_as_lost_twice(world: World) -> None:
    owner = await in_state(world, "lost")
    result = await world.complete(owner, "lost")
    assert isinstance(result, Refused)
    assert result.errors == COMPLETED


@pytest.mark.parametrize("state", ["started", "success", "lost"])
async def test_observing_lets_a_start_through_that_the_table_refuses(
    database_url: str, state: str
) -> None:
    repo = await Repo.connect(database_url, min_size=1, state_machine="observe")
    world = await World.create(repo)
    owner = await in_state(world, state)
    result = await runs.start(repo, owner, runs.Changeset({}), b"m" * 16, observe=True)
    assert isinstance(result, Applied)
    assert repo.violations_observed == (1 if state == "started" else repo.violations_observed)
    await repo.close()


async def test_each_change_of_a_run_is_one_statement_and_one_numbered_event(world: World) -> None:
    owner = await world.claimed()
    for event in (world.start, world.complete):
        count = world.repo.statements_run
        result = await event(owner)
        assert world.repo.statements_run == count + 1
        assert isinstance(result, Applied)
        (row,) = await world.rows(
            "SELECT event, payload::text FROM run_events WHERE run_id = $1 AND version = $2",
            owner.run_id,
            result.version,
        )
        assert tuple(row) == (result.event, result.payload_json)
    versions = await world.rows(
        "SELECT version FROM run_events WHERE run_id = $1 ORDER BY version", owner.run_id
    )
    assert [row[0] for row in versions] == [1, 2, 3, 4]
