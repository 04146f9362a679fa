"""Each class of error is provoked in a real PostgreSQL; nothing here is made up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from schema.embedded import EmbeddedPostgres
from schema.refused import Refused
from schema.repo import Repo, Statement
from schema.tables import declared
from schema.violations import UndeclaredConstraintError, classify, connecting

ALL = declared()


def statement(sql: str, *, deletes: bool = False) -> Statement:
    return Statement("test", sql, ALL, deletes)


async def refused(repo: Repo, sql: str, *args: Any, deletes: bool = False) -> Refused:
    """Run a statement that must be refused, and return the refusal."""
    result = await repo.fetch(statement(sql, deletes=deletes), *args)
    assert isinstance(result, Refused)
    return result


@pytest.fixture
async def own(own_postgres: EmbeddedPostgres) -> AsyncIterator[Repo]:
    """A repo on a server that may be killed."""
    repo = await Repo.connect(own_postgres.start(), min_size=1, max_size=2, acquire_timeout=2)
    yield repo
    await asyncio.wait_for(repo.close(), 10)


async def test_missing_parent_is_not_found_on_its_field(repo: Repo, seed: Any) -> None:
    step = await seed.step(await seed.run("started"))
    refusal = await refused(
        repo, "UPDATE steps SET output_dataclip_id = $1 WHERE id = $2", uuid4(), step
    )
    assert refusal.errors == {"output_dataclip": ["does not exist"]}
    assert (refusal.code, refusal.kind, refusal.retryable) == ("not_found", "invalid", False)
    assert refusal.constraint == "steps_output_dataclip_id_fkey"


async def test_delete_of_a_parent_under_restrict_is_in_use(repo: Repo, seed: Any) -> None:
    await seed.run()
    refusal = await refused(repo, "DELETE FROM work_orders", deletes=True)
    assert refusal.errors == {"work_order_id": ["is still in use"]}
    assert (refusal.code, refusal.retryable) == ("in_use", False)
    assert refusal.constraint == "runs_work_order_id_fkey"


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize(("action", "sqlstate"), [("RESTRICT", "23001"), ("NO ACTION", "23503")])
async def test_both_sqlstates_of_a_parent_in_use_are_mapped(
    repo: Repo, conn: Any, action: str, sqlstate: str, deletes: bool
) -> None:
    # PostgreSQL up to 17 says 23503 for RESTRICT too: NO ACTION shows here what it says there.
    if conn.get_server_version().major < 18:
        sqlstate = "23503"
    await conn.execute(
        "CREATE TABLE parent (id int PRIMARY KEY);"
        f"CREATE TABLE child (id int CONSTRAINT child_fkey REFERENCES parent ON DELETE {action});"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)"
    )
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as raised:
        await conn.execute("DELETE FROM parent")
    assert raised.value.sqlstate == sqlstate
    delete = Statement("d", "DELETE FROM parent", {"child_fkey": ("id", "m")}, deletes)
    refusal = await repo.fetch(delete)
    assert isinstance(refusal, Refused)
    known_by_class = sqlstate == "23001"
    assert refusal.code == ("in_use" if deletes or known_by_class else "not_found")


async def test_check_violation_is_invalid(repo: Repo, seed: Any) -> None:
    assert seed
    refusal = await refused(repo, "UPDATE projects SET retention_policy = 'forever'")
    assert refusal.errors == {"retention_policy": ["is invalid"]}
    assert refusal.code == "invalid"


async def test_illegal_transition_is_worded_by_the_lifecycle(repo: Repo, seed: Any) -> None:
    run_id = await seed.run("success")
    refusal = await refused(repo, "UPDATE runs SET state = 'started' WHERE id = $1", run_id)
    assert refusal.errors == {"state": ["already in completed state"]}
    assert refusal.constraint == "runs_state_transition"


async def test_null_in_a_required_column_names_the_column(repo: Repo, seed: Any) -> None:
    assert seed
    refusal = await refused(repo, "UPDATE jobs SET adaptor = NULL")
    assert refusal.errors == {"adaptor": ["This field can't be blank."]}
    assert (refusal.code, refusal.constraint) == ("required", None)


async def test_second_of_its_kind_is_a_duplicate(repo: Repo, seed: Any) -> None:
    insert = "INSERT INTO projects (name) SELECT name FROM projects"
    assert seed
    refusal = await refused(repo, insert)
    assert refusal.errors == {"name": ["has already been taken"]}
    assert refusal.code == "duplicate"


@pytest.mark.parametrize(
    ("sql", "args", "code"),
    [
        ("SELECT 'abc'::text::varchar(2) FROM (VALUES ($1::int)) v", [1], None),
        ("INSERT INTO narrow VALUES ($1)", ["abc"], "too_long"),
        ("SELECT $1::text", ["a\0b"], "bad_text"),
        ("SELECT $1::jsonb", [r'"\u0000"'], "bad_text"),
        ("SELECT $1::text", ["\ud800"], "invalid_type"),
        ("SELECT $1::uuid", ["nope"], "invalid_type"),
        ("SELECT $1::int", [2**31], "invalid_type"),
        ("SELECT $1::int", ["1"], "invalid_type"),
        ("SELECT $1::int * 2", [2**31 - 1], "invalid_type"),
        ("SELECT $1::jsonb", ["[" * 20_000 + "]" * 20_000], "too_deep"),
    ],
    ids=["fits", "long", "nul", "nul_json", "surrogate", "uuid", "int", "str", "sum", "deep"],
)
async def test_value_that_cannot_be_stored_is_refused(
    repo: Repo, conn: Any, sql: str, args: list[Any], code: str | None
) -> None:
    await conn.execute("CREATE TABLE narrow (name varchar(2))")
    result = await repo.fetch(statement(sql), *args)
    assert (result.code if isinstance(result, Refused) else None) == code
    if isinstance(result, Refused):
        assert (result.kind, result.retryable) == ("invalid", False)
        assert result.errors["base"]


async def test_statement_timeout_is_busy_and_worth_retrying(database_url: str) -> None:
    repo = await Repo.connect(database_url, min_size=1, max_size=1, statement_timeout_ms=50)
    refusal = await refused(repo, "SELECT pg_sleep(10)")
    assert (refusal.kind, refusal.retryable, refusal.outcome_unknown) == ("busy", True, False)
    await repo.close()


async def test_deadlock_and_serialization_failure_are_busy(repo: Repo) -> None:
    for code in ("40001", "40P01", "55P03"):
        refusal = await refused(
            repo, f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$"
        )
        assert (refusal.kind, refusal.retryable) == ("busy", True)


@pytest.mark.parametrize("code", ["53100", "53300", "25006", "57P03"])
async def test_server_that_cannot_write_is_unavailable(repo: Repo, code: str) -> None:
    # Disk full, too many connections, read only, starting up.
    refusal = await refused(
        repo, f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$"
    )
    assert (refusal.kind, refusal.retryable) == ("unavailable", True)


async def test_backend_terminated_with_a_statement_under_way_is_unavailable(
    repo: Repo, conn: Any
) -> None:
    asking = asyncio.create_task(repo.fetch(statement("SELECT pg_sleep(60)")))
    await sleeping(conn)
    await conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event = 'PgSleep' AND datname = current_database()"
    )
    refusal = await asyncio.wait_for(asking, 10)
    assert isinstance(refusal, Refused)
    assert (refusal.kind, refusal.retryable) == ("unavailable", True)
    assert await repo.fetchrow(statement("SELECT 1 AS one")) is not None


async def test_backend_terminated_while_idle_is_replaced_unnoticed(repo: Repo, conn: Any) -> None:
    await repo.fetch(statement("SELECT 1"))
    await conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'channel_server' AND datname = current_database()"
    )
    async with asyncio.timeout(10):
        while isinstance(await repo.fetch(statement("SELECT 1")), Refused):
            pass


async def test_server_killed_with_a_statement_under_way_leaves_the_outcome_unknown(
    own: Repo, own_postgres: EmbeddedPostgres
) -> None:
    asking = asyncio.create_task(own.fetch(statement("SELECT pg_sleep(60)")))
    watcher = await asyncpg.connect(own_postgres.dsn())
    await sleeping(watcher)
    own_postgres.stop(mode="immediate")
    refusal = await asyncio.wait_for(asking, 10)
    assert isinstance(refusal, Refused)
    assert (refusal.kind, refusal.retryable) == ("unavailable", True)
    assert refusal.outcome_unknown
    watcher.terminate()


async def test_connecting_while_the_server_is_down_is_unavailable(
    own: Repo, own_postgres: EmbeddedPostgres
) -> None:
    own_postgres.stop(mode="immediate")
    refusals = [await own.fetch(statement("SELECT 1")) for _ in range(3)]
    for refusal in refusals:
        assert isinstance(refusal, Refused)
        assert (refusal.kind, refusal.retryable) == ("unavailable", True)
    assert isinstance(refusals[-1], Refused)
    assert not refusals[-1].outcome_unknown
    own_postgres.start()
    async with asyncio.timeout(10):
        while isinstance(await own.fetch(statement("SELECT 1")), Refused):
            pass


async def test_no_free_connection_is_busy(database_url: str) -> None:
    repo = await Repo.connect(database_url, min_size=1, max_size=1, acquire_timeout=0.05)
    async with repo.transaction():
        refusal = await refused(repo, "SELECT 1")
    assert (refusal.kind, refusal.retryable) == ("busy", True)
    await repo.close()


async def test_undeclared_constraint_is_a_bug_that_lists_the_declared(
    repo: Repo, seed: Any
) -> None:
    assert seed
    careless = Statement(
        "careless", "UPDATE projects SET concurrency = 0", {"other_key": ("a", "b")}
    )
    with pytest.raises(UndeclaredConstraintError) as raised:
        await repo.fetch(careless)
    assert raised.value.constraint == "projects_concurrency_check"
    assert raised.value.declared == ["other_key"]
    for part in ("careless", "projects_concurrency_check", "other_key"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("sql", "args"),
    [
        ("SELECT nonsense", []),
        ("SELECT $1::int", []),
        ("SELECT $1::jsonb", ["{"]),
        ("SELECT 1 / 0", []),
    ],
)
async def test_anything_else_is_a_bug_and_passes_through(
    repo: Repo, sql: str, args: list[Any]
) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await repo.fetch(statement(sql), *args)


def test_error_of_our_own_code_is_not_mapped() -> None:
    assert classify(ValueError("x"), statement="s", constraints={}) is None


def test_wrong_password_is_a_mistake_of_the_deployment_and_passes_through() -> None:
    assert connecting(asyncpg.InvalidPasswordError("x")) is None
    assert connecting(OSError("x")) is not None


async def test_run_inserted_in_another_state_than_available_is_invalid(
    repo: Repo, seed: Any
) -> None:
    await seed.run()
    refusal = await refused(
        repo,
        "INSERT INTO runs (project_id, workflow_id, work_order_id, snapshot_id, starting_job_id,"
        " state) SELECT project_id, workflow_id, work_order_id, snapshot_id, $1, 'success'"
        " FROM runs",
        seed.job_id,
    )
    assert refusal.errors == {"state": ["is invalid"]}


async def sleeping(conn: Any) -> None:
    """Wait until some session sleeps in pg_sleep."""
    async with asyncio.timeout(10):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep' AND datname = current_database()"
        ):
            pass
