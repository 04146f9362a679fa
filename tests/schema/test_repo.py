import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from schema import casts
from schema.changeset import Changeset, cast
from schema.refused import Refused
from schema.repo import Repo, Rollback, Statement
from schema.sql import insert_statement, update_statement
from schema.tables import declared, projects, runs

ONE = Statement("one", "SELECT $1::int AS n")


def project(**values: Any) -> Changeset:
    return Changeset({"name": "p", **values}).declare(declared(projects))


async def test_insert_returns_the_stored_row(repo: Repo) -> None:
    row = await repo.insert(projects, project(options='{"job_logs":false}'))
    assert not isinstance(row, Refused)
    assert (row["name"], row["retention_policy"]) == ("p", "retain_all")
    assert row["options"] == '{"job_logs": false}'
    assert row["inserted_at"].utcoffset().total_seconds() == 0


async def test_insert_of_a_taken_name_is_a_field_error(repo: Repo) -> None:
    await repo.insert(projects, project())
    refusal = await repo.insert(projects, project())
    assert isinstance(refusal, Refused)
    assert refusal.errors == {"name": ["has already been taken"]}


async def test_insert_and_update_refuse_an_invalid_changeset_and_ask_nothing(repo: Repo) -> None:
    row = await repo.insert(projects, project())
    assert not isinstance(row, Refused)
    asked = repo.statements_run
    invalid = cast({"name": 1}, {"name": casts.text})
    for result in (
        await repo.insert(projects, invalid),
        await repo.update(projects, invalid, {"id": row["id"]}),
    ):
        assert isinstance(result, Refused)
        assert result.errors == {"name": ["is invalid"]}
    assert repo.statements_run == asked


async def test_update_is_a_compare_and_set(repo: Repo, seed: Any) -> None:
    run_id = await seed.run("claimed")
    lease = await seed.conn.fetchval("SELECT lease FROM runs WHERE id = $1", run_id)
    change = Changeset({"worker_name": "pod-7"}).declare(declared(runs))
    held = {"id": run_id, "lease": lease, "state": ["claimed", "started"], "started_at": None}
    row = await repo.update(runs, change, held)
    assert not isinstance(row, Refused)
    assert row["worker_name"] == "pod-7"
    for other in ({"lease": uuid4()}, {"state": ["available"]}, {"id": uuid4()}):
        refusal = await repo.update(runs, change, held | other)
        assert isinstance(refusal, Refused)
        assert refusal.kind == "not_found"


async def test_update_into_an_illegal_state_is_a_field_error(repo: Repo, seed: Any) -> None:
    run_id = await seed.run("available")
    change = Changeset({"state": "success"}).declare(declared(runs))
    refusal = await repo.update(runs, change, {"id": run_id})
    assert isinstance(refusal, Refused)
    message = "cannot mark run success that has not been claimed by a worker"
    assert refusal.errors == {"state": [message]}


async def test_each_fetch_is_one_statement(repo: Repo) -> None:
    before = repo.statements_run
    rows = await repo.fetch(ONE, 1)
    row = await repo.fetchrow(ONE, 2)
    count = await repo.execute(ONE, 3)
    assert not isinstance(rows, Refused)
    assert [found["n"] for found in rows] == [1]
    assert row is not None
    assert not isinstance(row, Refused)
    assert (row["n"], count) == (2, 1)
    assert repo.statements_run - before == 3


async def test_returning_a_connection_sends_no_statement(repo: Repo, conn: Any) -> None:
    await repo.fetch(ONE, 1)
    last = await conn.fetchval(
        "SELECT query FROM pg_stat_activity WHERE application_name LIKE 'channel_server%'"
        " AND datname = current_database() ORDER BY query_start DESC LIMIT 1"
    )
    assert last == ONE.sql


async def test_no_row_is_none(repo: Repo) -> None:
    assert await repo.fetchrow(Statement("none", "SELECT 1 WHERE false")) is None


async def test_session_is_in_utc_without_jit(repo: Repo) -> None:
    row = await repo.fetchrow(
        Statement("s", "SELECT current_setting('timezone') AS tz, current_setting('jit') AS jit")
    )
    assert row is not None
    assert not isinstance(row, Refused)
    assert (row["tz"], row["jit"]) == ("UTC", "off")


async def test_transaction_is_all_or_nothing(repo: Repo, conn: Any) -> None:
    async with repo.transaction() as transaction:
        await transaction.insert(projects, project())
        assert await conn.fetchval("SELECT count(*) FROM projects") == 0
    assert await conn.fetchval("SELECT count(*) FROM projects") == 1

    async def twice() -> None:
        async with repo.transaction() as transaction:
            await transaction.insert(projects, project(name="q"))
            refusal = await transaction.insert(projects, project())
            assert isinstance(refusal, Refused)
            raise Rollback(refusal)

    with pytest.raises(Rollback) as raised:
        await twice()
    assert raised.value.refused.code == "duplicate"
    assert await conn.fetchval("SELECT count(*) FROM projects") == 1


async def test_connection_lost_in_a_transaction_rolls_back(repo: Repo, conn: Any) -> None:
    async def cut() -> None:
        async with repo.transaction() as transaction:
            await transaction.insert(projects, project())
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND datname = current_database()"
            )
            refusal = await transaction.fetch(ONE, 1)
            assert isinstance(refusal, Refused)

    with pytest.raises(Rollback) as raised:
        await cut()
    assert raised.value.refused.kind == "unavailable"
    assert await conn.fetchval("SELECT count(*) FROM projects") == 0


async def test_bug_inside_a_transaction_passes_through(repo: Repo) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with repo.transaction() as transaction:
            await transaction.fetch(Statement("bug", "SELECT nonsense"))


async def test_no_connection_for_a_transaction_is_a_rollback(database_url: str) -> None:
    repo = await Repo.connect(database_url, min_size=1, max_size=1, acquire_timeout=0.05)
    async with repo.transaction():
        with pytest.raises(Rollback) as raised:
            async with repo.transaction():
                pass
    assert raised.value.refused.kind == "busy"
    await repo.close()


async def test_cancelled_statement_leaves_the_repo_usable(database_url: str, conn: Any) -> None:
    repo = await Repo.connect(database_url, min_size=1, max_size=1)
    asking = asyncio.create_task(repo.fetch(Statement("slow", "SELECT pg_sleep(60)")))
    async with asyncio.timeout(10):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep' AND datname = current_database()"
        ):
            pass
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not isinstance(await repo.fetch(ONE, 1), Refused)
    await repo.close()


async def test_close_twice_is_fine(database_url: str) -> None:
    repo = await Repo.connect(database_url, min_size=1, max_size=1)
    await repo.close()
    await repo.close()


async def test_observe_counts_the_illegal_transitions_it_lets_through(
    database_url: str, seed: Any
) -> None:
    run_id = await seed.run("success")
    repo = await Repo.connect(database_url, min_size=1, max_size=1, state_machine="observe")
    change = Changeset({"state": "failed"}).declare(declared(runs))
    row = await repo.update(runs, change, {"id": run_id})
    assert not isinstance(row, Refused)
    assert (row["state"], repo.violations_observed) == ("failed", 1)
    await repo.close()


async def test_timestamp_is_stored_to_the_microsecond(repo: Repo) -> None:
    same = Statement("same", "SELECT $1::timestamptz AS at")
    for digits in ("1795216548068837", "1795216548068838", "0", "-1", "253402300799999998"):
        at = casts.timestamp(digits)
        row = await repo.fetchrow(same, at)
        assert row is not None
        assert not isinstance(row, Refused)
        assert row["at"] == at


async def test_whatever_a_worker_sends_as_json_or_text_can_be_stored(repo: Repo) -> None:
    nasty = ["\0", "\ud800", "\udc00\ud800", "\ud83d\ude00", "\\u0000", "\\\0", "\x7f", "\u2028"]
    same = Statement("same", "SELECT $1::jsonb AS json, $2::text AS text")
    for text in nasty:
        value = {text: [text, {text: text}], "n": [2**64, 1e308, -0.0]}
        row = await repo.fetchrow(same, casts.json(value), casts.verbatim(text))
        assert row is not None
        assert not isinstance(row, Refused)
        assert row["text"] == casts.repair_text(text)


def test_values_are_never_part_of_the_sql() -> None:
    sql, args = insert_statement(projects, {"name": "'; DROP TABLE projects"})
    assert "DROP" not in sql
    assert args == ["'; DROP TABLE projects"]


def test_unknown_column_is_a_bug() -> None:
    with pytest.raises(KeyError):
        insert_statement(projects, {"nope": 1})
    with pytest.raises(KeyError):
        update_statement(projects, {"name": "x"}, {"nope": 1})


@pytest.mark.parametrize(("values", "where"), [({}, {"id": 1}), ({"name": "x"}, {})])
def test_update_of_nothing_or_of_everything_is_a_bug(
    values: dict[str, Any], where: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="needs"):
        update_statement(projects, values, where)


async def test_insert_without_values_takes_the_defaults(repo: Repo) -> None:
    refusal = await repo.insert(projects, Changeset({}))
    assert isinstance(refusal, Refused)
    assert refusal.errors == {"name": ["This field can't be blank."]}
