from typing import Any

import asyncpg
import pytest

from schema.tables import declared, metadata


async def test_every_constraint_of_the_database_has_a_field_and_a_message(conn: Any) -> None:
    rows = await conn.fetch(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " AND contype IN ('c', 'f', 'p', 'u', 'x') AND conname NOT LIKE 'alembic%'"
        " UNION SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid"
        " WHERE indisunique AND relnamespace = 'public'::regnamespace"
        " AND relname NOT LIKE 'alembic%' AND indrelid::regclass::text NOT LIKE 'pipeline%'"
    )
    names = {row["conname"] for row in rows}
    registry = declared()
    assert names - set(registry) == set()
    assert set(registry) - names == {"runs_state_transition", "snapshots_immutable"}
    assert all(entry.field and entry.message for entry in registry.values())


async def test_every_constraint_raised_by_a_trigger_is_declared(conn: Any) -> None:
    rows = await conn.fetch(
        "SELECT (regexp_matches(prosrc, $$CONSTRAINT = '(\\w+)'$$, 'g'))[1] AS name FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
    )
    assert {row["name"] for row in rows} == {"runs_state_transition", "snapshots_immutable"}


def test_constraints_can_be_asked_for_by_table() -> None:
    found = declared("log_lines", metadata.tables["run_steps"])
    assert found["log_lines_step_id_fkey"] == ("step_id", "must be associated with the run")
    assert "run_steps_run_id_fkey" in found
    assert "runs_state_check" not in found
    assert declared("runs")["runs_state_transition"].field == "state"


def test_every_constraint_has_an_explicit_name_that_begins_with_its_table() -> None:
    for table in metadata.tables.values():
        for constraint in table.constraints:
            assert str(constraint.name).startswith(f"{table.name}_")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE snapshots SET graph = '{}'",
        "UPDATE snapshots SET lock_version = 2",
        "UPDATE snapshot_jobs SET job_id = gen_random_uuid()",
        "UPDATE snapshot_triggers SET trigger_id = gen_random_uuid()",
    ],
)
async def test_snapshot_cannot_be_changed(conn: Any, seed: Any, sql: str) -> None:
    assert seed
    with pytest.raises(asyncpg.CheckViolationError) as raised:
        await conn.execute(sql)
    assert raised.value.constraint_name == "snapshots_immutable"


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE runs SET lease = NULL", "runs_lease_check"),
        ("UPDATE runs SET started_at = NULL", "runs_started_at_check"),
        ("UPDATE runs SET finished_at = now()", "runs_unfinished_check"),
        ("UPDATE runs SET state = 'success'", "runs_finished_at_check"),
        ("UPDATE runs SET state = 'claimed'", "runs_state_transition"),
        ("UPDATE runs SET priority = 2", "runs_priority_check"),
        ("UPDATE runs SET starting_job_id = gen_random_uuid()", "runs_starting_node_check"),
    ],
)
async def test_run_keeps_what_its_state_demands(
    conn: Any, seed: Any, sql: str, constraint: str
) -> None:
    await seed.run("started")
    with pytest.raises(asyncpg.CheckViolationError) as raised:
        await conn.execute(sql)
    assert raised.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("column", "constraint"),
    [
        ("input_dataclip_id", "steps_input_dataclip_id_fkey"),
        ("output_dataclip_id", "steps_output_dataclip_id_fkey"),
        ("credential_id", "steps_credential_id_fkey"),
        ("job_id", "steps_job_id_fkey"),
    ],
)
async def test_step_cannot_use_what_belongs_to_another_project(
    conn: Any, seed: Any, column: str, constraint: str
) -> None:
    other = await seed.other()
    await seed.step(await seed.run("started"))
    foreign = getattr(other, column.replace("input_", "").replace("output_", ""))
    with pytest.raises(asyncpg.ForeignKeyViolationError) as raised:
        await conn.execute(f"UPDATE steps SET {column} = $1", foreign)
    assert raised.value.constraint_name == constraint


async def test_log_line_cannot_name_a_step_of_another_run(conn: Any, seed: Any) -> None:
    step_id = await seed.step(await seed.run("started"))
    with pytest.raises(asyncpg.ForeignKeyViolationError) as raised:
        await seed.log_line(await seed.run("started"), step_id)
    assert raised.value.constraint_name == "log_lines_step_id_fkey"


async def test_deleted_dataclip_leaves_its_runs_and_steps(conn: Any, seed: Any) -> None:
    run_id = await seed.everything()
    await conn.execute("DELETE FROM dataclips")
    row = await conn.fetchrow("SELECT project_id, dataclip_id FROM runs WHERE id = $1", run_id)
    assert (row["project_id"], row["dataclip_id"]) == (seed.project_id, None)


async def test_wiped_dataclip_holds_nothing(conn: Any, seed: Any) -> None:
    assert seed
    with pytest.raises(asyncpg.CheckViolationError) as raised:
        await conn.execute("UPDATE dataclips SET wiped_at = now()")
    assert raised.value.constraint_name == "dataclips_wiped_check"
    await conn.execute("UPDATE dataclips SET wiped_at = now(), body = NULL, request = NULL")
