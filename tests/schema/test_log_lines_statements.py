"""Log lines: all or none, in order, once, and never refused for the state of the run."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from schema import log_lines
from schema.lifecycle import OUTCOMES
from schema.log_lines import Batch, Logged, LogLine
from schema.outcomes import Owner
from schema.refused import Refused
from schema.repo import Repo
from tests.schema.world import World

AT = datetime(2026, 11, 21, 2, 3, 4, 567891, tzinfo=UTC)


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


def lines(count: int, *, step_id: UUID | None = None) -> list[LogLine]:
    """Lines whose clock runs backwards."""
    return [
        LogLine(f"line {n}", AT - timedelta(microseconds=n), step_id=step_id) for n in range(count)
    ]


async def insert(world: World, owner: Owner, sent: list[LogLine]) -> Logged:
    result = await log_lines.insert(world.repo, owner, sent)
    assert isinstance(result, Logged), result
    return result


async def messages(world: World, owner: Owner) -> list[str]:
    """What is stored of a run, in the order of arrival."""
    rows = await world.rows(
        "SELECT message FROM log_lines WHERE run_id = $1 ORDER BY version", owner.run_id
    )
    return [row[0] for row in rows]


async def test_lines_are_stored_in_the_order_of_arrival(world: World) -> None:
    owner = await world.claimed()
    logged = await insert(world, owner, lines(3))
    assert [line.version for line in logged.lines] == [3, 4, 5]
    assert await messages(world, owner) == ["line 0", "line 1", "line 2"]
    assert (await world.run(owner))["version"] == 5


async def test_a_line_is_told_as_it_is_stored(world: World) -> None:
    owner = await world.claimed()
    line = LogLine("hello", AT, level="warn", source="JOB")
    (told,) = (await insert(world, owner, [line])).lines
    decoded = msgspec.json.decode(told.payload_json)
    assert decoded == {
        "version": 3,
        "logs": [
            {
                "id": str(told.id),
                "run_id": str(owner.run_id),
                "step_id": None,
                "level": "warn",
                "source": "JOB",
                "message": "hello",
                "timestamp": "2026-11-21T02:03:04.567891+00:00",
                "version": 3,
            }
        ],
    }


async def test_any_number_of_lines_is_one_statement(world: World) -> None:
    owner = await world.claimed()
    for count in (1, 50):
        ran = world.repo.statements_run
        await insert(world, owner, [LogLine(f"{count} {n}", AT) for n in range(count)])
        assert world.repo.statements_run == ran + 1


async def test_no_lines_ask_the_database_nothing(world: World) -> None:
    owner = await world.claimed()
    ran = world.repo.statements_run
    assert await insert(world, owner, []) == Logged([], [])
    assert world.repo.statements_run == ran


async def test_a_step_of_another_run_refuses_all_lines(world: World) -> None:
    foreign = await world.stepped(await world.started())
    owner = await world.started()
    before = await world.contents()
    sent = [*lines(2), LogLine("foreign", AT, step_id=foreign)]
    result = await log_lines.insert(world.repo, owner, sent)
    assert isinstance(result, Refused)
    assert result.errors == {"step_id": ["must be associated with the run"]}
    assert await world.contents() == before


async def test_a_line_of_a_step_of_the_run_is_stored(world: World) -> None:
    owner = await world.started()
    step_id = await world.stepped(owner)
    await insert(world, owner, lines(1, step_id=step_id))
    assert await world.value("SELECT step_id FROM log_lines") == step_id


async def test_lines_are_stored_whatever_the_state_of_the_run(world: World) -> None:
    for state in OUTCOMES:
        owner = await world.started()
        await world.complete(owner, state)
        await insert(world, owner, lines(1))
        assert await messages(world, owner) == ["line 0"]


async def test_a_stale_lease_stores_no_line(world: World) -> None:
    owner = await world.started()
    before = await world.contents()
    result = await log_lines.insert(world.repo, Owner(owner.run_id, uuid4()), lines(2))
    assert isinstance(result, Refused)
    assert result.kind == "lease_lost"
    assert await world.contents() == before


async def test_a_line_without_id_sent_again_is_one_line(world: World) -> None:
    owner = await world.claimed()
    first = await insert(world, owner, lines(2))
    before = await world.contents()
    again = await insert(world, owner, lines(2))
    assert (again.ids, again.lines) == (first.ids, [])
    assert await world.contents() == before


async def test_what_is_new_in_a_batch_sent_again_is_stored(world: World) -> None:
    owner = await world.claimed()
    await insert(world, owner, lines(2))
    logged = await insert(world, owner, lines(3))
    assert len(logged.ids) == 3
    assert [line.id for line in logged.lines] == [logged.ids[2]]
    assert await messages(world, owner) == ["line 0", "line 1", "line 2"]


async def test_equal_lines_of_one_batch_are_one_line(world: World) -> None:
    owner = await world.claimed()
    logged = await insert(world, owner, [*lines(1), *lines(1)])
    assert logged.ids[0] == logged.ids[1]
    assert await messages(world, owner) == ["line 0"]


async def test_the_level_does_not_tell_lines_without_id_apart(world: World) -> None:
    owner = await world.claimed()
    sent = [LogLine("same", AT, level="info"), LogLine("same", AT, level="error")]
    await insert(world, owner, sent)
    await insert(world, owner, sent[1:])
    assert await messages(world, owner) == ["same"]


async def test_a_line_with_id_sent_again_is_one_line(world: World) -> None:
    owner = await world.claimed()
    line = LogLine("mine", AT, id=uuid4())
    await insert(world, owner, [line])
    assert await insert(world, owner, [line]) == Logged([line.id or uuid4()], [])
    assert await messages(world, owner) == ["mine"]


@pytest.mark.parametrize("together", [True, False])
async def test_the_id_of_another_line_is_taken(world: World, *, together: bool) -> None:
    owner = await world.claimed()
    first, second = LogLine("one", AT, id=uuid4()), LogLine("two", AT)
    second = msgspec.structs.replace(second, id=first.id)
    if not together:
        await insert(world, owner, [first])
    before = await world.contents()
    result = await log_lines.insert(
        world.repo, owner, [*lines(1), first, second] if together else [*lines(1), second]
    )
    assert isinstance(result, Refused)
    assert result.errors == {"id": ["has already been taken"]}
    assert await world.contents() == before


async def test_the_id_of_a_line_of_another_run_is_taken(world: World) -> None:
    line = LogLine("one", AT, id=uuid4())
    await insert(world, await world.claimed(), [line])
    result = await log_lines.insert(world.repo, await world.claimed(), [line])
    assert isinstance(result, Refused)
    assert result.errors == {"id": ["has already been taken"]}


async def test_lines_of_many_runs_share_one_statement(world: World) -> None:
    owners = [await world.claimed() for _ in range(5)]
    ran = world.repo.statements_run
    results = await log_lines.insert_many_runs(
        world.repo, [Batch(owner, lines(3)) for owner in owners]
    )
    assert world.repo.statements_run == ran + 1
    for owner, result in zip(owners, results, strict=True):
        assert isinstance(result, Logged)
        assert [line.version for line in result.lines] == [3, 4, 5]
        assert await messages(world, owner) == ["line 0", "line 1", "line 2"]


async def test_in_a_shared_statement_each_lease_is_checked(world: World) -> None:
    good, stale = await world.claimed(), await world.claimed()
    results = await log_lines.insert_many_runs(
        world.repo,
        [
            Batch(Owner(stale.run_id, uuid4()), lines(2)),
            Batch(good, lines(2)),
            Batch(Owner(uuid4(), uuid4()), lines(1)),
        ],
    )
    kinds = [result.kind if isinstance(result, Refused) else "ok" for result in results]
    assert kinds == ["lease_lost", "ok", "not_found"]
    assert await messages(world, stale) == []
    assert await messages(world, good) == ["line 0", "line 1"]


async def test_in_a_shared_statement_a_bad_line_refuses_its_own_batch_only(world: World) -> None:
    good, bad, resent = [await world.claimed() for _ in range(3)]
    await insert(world, resent, lines(1))
    results = await log_lines.insert_many_runs(
        world.repo,
        [
            Batch(good, lines(2)),
            Batch(bad, lines(2, step_id=uuid4())),
            Batch(resent, lines(1)),
        ],
    )
    assert isinstance(results[1], Refused)
    assert results[1].errors == {"step_id": ["must be associated with the run"]}
    assert isinstance(results[0], Logged)
    assert len(results[0].lines) == 2
    assert results[2] == Logged(results[2].ids, []) if isinstance(results[2], Logged) else False
    assert await messages(world, bad) == []


async def test_batches_of_one_run_keep_their_order(world: World) -> None:
    owner, other = await world.claimed(), await world.claimed()
    sent = [LogLine(f"line {n}", AT) for n in range(4)]
    results = await log_lines.insert_many_runs(
        world.repo,
        [
            Batch(owner, sent[:1]),
            Batch(other, sent[:1]),
            Batch(owner, sent[1:3]),
            Batch(owner, sent[3:]),
        ],
    )
    assert all(isinstance(result, Logged) for result in results)
    assert await messages(world, owner) == ["line 0", "line 1", "line 2", "line 3"]
    versions = await world.rows(
        "SELECT version FROM log_lines WHERE run_id = $1 ORDER BY version", owner.run_id
    )
    assert [row[0] for row in versions] == [3, 4, 5, 6]
