import asyncio
import random
from typing import Any

import pytest

from schema.repo import connection


async def state_of(conn: Any, work_order: Any) -> str:
    state: str = await conn.fetchval("SELECT state FROM work_orders WHERE id = $1", work_order)
    return state


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], "pending"),
        (["available"], "pending"),
        (["claimed"], "pending"),
        (["started"], "running"),
        (["success"], "success"),
        (["lost"], "lost"),
        (["failed", "success"], "success"),
        (["success", "failed"], "failed"),
        (["failed", "available"], "pending"),
        (["failed", "claimed"], "pending"),
        (["failed", "started"], "running"),
        (["started", "success"], "running"),
        (["started", "available"], "running"),
        (["claimed", "success"], "pending"),
    ],
)
async def test_work_order_state_is_derived_from_its_runs(
    conn: Any, seed: Any, runs: list[str], expected: str
) -> None:
    order = await seed.work_order()
    for state in runs:
        await seed.run(state, work_order=order)
    assert await state_of(conn, order) == expected


async def test_a_late_outcome_of_an_older_run_does_not_hide_the_newest(
    conn: Any, seed: Any
) -> None:
    order = await seed.work_order()
    older = await seed.run("lost", work_order=order)
    await seed.run("success", work_order=order)
    await seed.move(older, "failed")
    assert await state_of(conn, order) == "success"


async def test_a_late_outcome_of_the_only_run_becomes_the_state(conn: Any, seed: Any) -> None:
    order = await seed.work_order()
    run_id = await seed.run("lost", work_order=order)
    await seed.move(run_id, "success")
    assert await state_of(conn, order) == "success"


async def test_last_activity_moves_with_each_derived_change(conn: Any, seed: Any) -> None:
    order = await seed.work_order()
    seen = [await conn.fetchval("SELECT last_activity FROM work_orders WHERE id = $1", order)]
    run_id = await seed.run("started", work_order=order)
    for state in (None, "success"):
        if state:
            await seed.move(run_id, state)
        seen.append(await conn.fetchval("SELECT last_activity FROM work_orders"))
    assert seen == sorted(set(seen))


async def test_refused_run_leaves_its_work_order_alone(conn: Any, seed: Any) -> None:
    order = await seed.work_order()
    await seed.run("success", work_order=order)
    before = await conn.fetchrow("SELECT * FROM work_orders WHERE id = $1", order)
    with pytest.raises(Exception, match="illegal transition"):
        await conn.execute("UPDATE runs SET state = 'started' WHERE work_order_id = $1", order)
    assert await conn.fetchrow("SELECT * FROM work_orders WHERE id = $1", order) == before


async def test_work_order_state_is_right_when_its_runs_finish_at_the_same_time(
    conn: Any, seed: Any, database_url: str
) -> None:
    outcomes = ["success", "failed", "crashed", "killed", "exception", "cancelled"]
    chance = random.Random(1)
    orders = [await seed.work_order() for _ in range(20)]
    runs = {
        order: [await seed.run("started", work_order=order) for _ in outcomes] for order in orders
    }
    moves = [
        (run_id, state)
        for order in orders
        for run_id, state in zip(runs[order], chance.sample(outcomes, len(outcomes)), strict=True)
    ]
    chance.shuffle(moves)

    async def finish(share: list[tuple[Any, str]]) -> None:
        async with connection(database_url) as own:
            for run_id, state in share:
                await own.execute(
                    "UPDATE runs SET state = $2, finished_at = now() WHERE id = $1", run_id, state
                )

    await asyncio.gather(*(finish(moves[start::6]) for start in range(6)))
    expected = dict(moves)
    for order in orders:
        assert await state_of(conn, order) == expected[runs[order][-1]]


async def test_second_run_to_finish_waits_and_counts_the_first(
    conn: Any, seed: Any, database_url: str
) -> None:
    order = await seed.work_order()
    first = await seed.run("started", work_order=order)
    second = await seed.run("started", work_order=order)
    finish = "UPDATE runs SET state = $2, finished_at = now() WHERE id = $1"
    async with connection(database_url) as own:
        transaction = own.transaction()
        await transaction.start()
        await own.execute(finish, first, "failed")
        waiting = asyncio.create_task(conn.execute(finish, second, "success"))
        await blocked(own)
        await transaction.commit()
        await waiting
    assert await state_of(conn, order) == "success"


async def test_retry_inserted_while_the_last_run_finishes_makes_the_order_pending(
    conn: Any, seed: Any, database_url: str
) -> None:
    order = await seed.work_order()
    run_id = await seed.run("started", work_order=order)
    async with connection(database_url) as own:
        transaction = own.transaction()
        await transaction.start()
        await own.execute(
            "UPDATE runs SET state = 'failed', finished_at = now() WHERE id = $1", run_id
        )
        waiting = asyncio.create_task(seed.run("available", work_order=order))
        await blocked(own)
        await transaction.commit()
        await waiting
    assert await state_of(conn, order) == "pending"


async def blocked(conn: Any) -> None:
    """Wait until some other session waits for a lock."""
    async with asyncio.timeout(10):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            pass
