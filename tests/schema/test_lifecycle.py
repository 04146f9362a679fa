from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from schema.lifecycle import (
    FINAL_STATES,
    OUTCOMES,
    RUN_STATES,
    TRANSITION_CONSTRAINT,
    TRANSITIONS,
    allowed,
    refusal,
    sources,
)

PAIRS = [(source, target) for source in RUN_STATES for target in RUN_STATES]
CHANGE = (
    "UPDATE runs SET state = $2, lease = CASE WHEN $2 = 'available' THEN NULL ELSE $3::uuid END,"
    " claimed_at = CASE WHEN $2 = 'available' THEN NULL ELSE now() END,"
    " started_at = now(),"
    " finished_at = CASE WHEN $2 IN ('available', 'claimed', 'started') THEN NULL ELSE now() END"
    " WHERE id = $1"
)


async def refused_by_guard(conn: Any, sql: str, *args: Any) -> bool:
    """Run a statement in a transaction that is rolled back; say whether the guard refused it."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute(sql, *args)
    except asyncpg.CheckViolationError as error:
        return error.constraint_name == TRANSITION_CONSTRAINT
    else:
        return False
    finally:
        await transaction.rollback()


def test_the_table_of_transitions_is_the_one_of_the_contract() -> None:
    held = {(source, final) for source in ("claimed", "started") for final in FINAL_STATES}
    late = {("lost", outcome) for outcome in OUTCOMES}
    queue = {("available", "claimed"), ("available", "cancelled"), ("claimed", "available")}
    assert held | late | queue | {("claimed", "started")} == TRANSITIONS


async def test_database_guard_equals_the_lifecycle_for_all_pairs(conn: Any, seed: Any) -> None:
    found: set[tuple[str, str]] = set()
    for source in RUN_STATES:
        run_id = await seed.run(source)
        for target in RUN_STATES:
            if not await refused_by_guard(conn, CHANGE, run_id, target, uuid4()):
                found.add((source, target))
    assert found == TRANSITIONS


async def test_run_can_only_be_inserted_as_available(conn: Any, seed: Any) -> None:
    insert = (
        "INSERT INTO runs (project_id, workflow_id, work_order_id, snapshot_id, starting_job_id,"
        " state, lease, claimed_at, started_at, finished_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), $9)"
    )
    order = await seed.work_order()
    for state in RUN_STATES:
        final = state in FINAL_STATES
        now = await conn.fetchval("SELECT now()")
        args = (seed.project_id, seed.workflow_id, order, seed.snapshot_id, seed.job_id, state)
        free = state == "available"
        owner = (None, None) if free else (uuid4(), now)
        refused = await refused_by_guard(conn, insert, *args, *owner, now if final else None)
        assert refused == (not free), state


async def test_bulk_update_with_one_illegal_row_changes_no_row(conn: Any, seed: Any) -> None:
    runs = [await seed.run(state) for state in ("claimed", "started", "success")]
    with pytest.raises(asyncpg.CheckViolationError) as raised:
        await conn.execute("UPDATE runs SET state = 'crashed', finished_at = now()")
    assert raised.value.constraint_name == TRANSITION_CONSTRAINT
    rows = await conn.fetch("SELECT state FROM runs WHERE id = ANY($1)", runs)
    assert sorted(row["state"] for row in rows) == ["claimed", "started", "success"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE runs SET state = 'started', finished_at = NULL",
        "UPDATE runs SET (state, finished_at) = (SELECT 'claimed', NULL::timestamptz)",
        "WITH x AS (UPDATE runs SET state = 'failed' RETURNING 1) SELECT * FROM x",
        "MERGE INTO runs USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET state = 'lost'",
        "UPDATE runs SET state = state",
    ],
)
async def test_hand_written_sql_cannot_move_a_finished_run(conn: Any, seed: Any, sql: str) -> None:
    await seed.run("success")
    assert await refused_by_guard(conn, sql)


async def test_upsert_cannot_go_around_the_guard(conn: Any, seed: Any) -> None:
    run_id = await seed.run("success")
    upsert = (
        'INSERT INTO runs SELECT * FROM (SELECT (jsonb_populate_record(r, \'{"state":'
        ' "available", "lease": null, "claimed_at": null, "finished_at": null}\')).* FROM runs r'
        " WHERE id = $1) x ON CONFLICT (id) DO UPDATE SET state = 'started', started_at = now()"
    )
    assert await refused_by_guard(conn, upsert, run_id)


async def test_unknown_state_is_refused(conn: Any, seed: Any) -> None:
    run_id = await seed.run("started")
    assert await refused_by_guard(conn, "UPDATE runs SET state = 'done' WHERE id = $1", run_id)


async def test_observe_lets_an_illegal_transition_through_with_a_warning(
    conn: Any, seed: Any
) -> None:
    run_id = await seed.run("success")
    warnings: list[str] = []

    def listen(_conn: Any, message: Any) -> None:
        warnings.append(message.message)

    conn.add_log_listener(listen)
    await conn.execute("SET channel_server.state_machine = 'observe'")
    await conn.execute(
        "UPDATE runs SET state = 'started', finished_at = NULL WHERE id = $1", run_id
    )
    assert await conn.fetchval("SELECT state FROM runs WHERE id = $1", run_id) == "started"
    assert ["success -> started" in warning for warning in warnings] == [True]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_illegal_pair_has_a_message_and_no_legal_one(source: str, target: str) -> None:
    if allowed(source, target):
        with pytest.raises(ValueError, match="legal"):
            refusal(source, target)
    else:
        assert refusal(source, target)["state"][0]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (
            "available",
            "success",
            "cannot mark run success that has not been claimed by a worker",
        ),
        (
            "available",
            "started",
            "cannot mark run started that has not been claimed by a worker",
        ),
        ("started", "started", "already started"),
        ("success", "started", "already in completed state"),
        ("lost", "started", "already in completed state"),
        ("failed", "success", "already in completed state"),
        ("claimed", "claimed", "already claimed"),
        ("claimed", "nonsense", "is invalid"),
    ],
)
def test_refusals_are_worded_as_workers_know_them(source: str, target: str, message: str) -> None:
    assert refusal(source, target) == {"state": [message]}


def test_sources_are_the_states_that_lead_to_a_target() -> None:
    assert sources("started") == ("claimed",)
    assert sources("success") == ("claimed", "started", "lost")
    assert sources("cancelled") == ("available", "claimed", "started", "lost")
