"""The dedup indexes of jobs are made without blocking writers, and bear a second attempt."""

import asyncio
from typing import Any

import migrations
from schema.repo import connection
from tests.waiting import until

BEFORE = "0004_pre_pipelines"
AFTER = "0005_pre_pipeline_dedup"
_INDEXES = {"uq_aggregation_active", "uq_emission_recalc_active", "uq_scope_key_active"}


async def _indexes(conn: Any, *, valid: bool = True) -> set[str]:
    rows = await conn.fetch(
        "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indisvalid = $1"
        " AND indisunique AND indrelid = 'pipeline_jobs'::regclass",
        valid,
    )
    return {row["name"] for row in rows} & _INDEXES


async def test_dedup_indexes_are_made_while_a_writer_of_jobs_is_in_a_transaction(
    empty_database_url: str,
) -> None:
    await migrations.up(empty_database_url, BEFORE)
    async with connection(empty_database_url) as writer, connection(empty_database_url) as conn:
        block = writer.transaction()
        await block.start()
        await writer.execute("INSERT INTO pipelines (kind) VALUES ('x')")
        await writer.execute("LOCK TABLE pipeline_jobs IN ROW EXCLUSIVE MODE")
        task = asyncio.create_task(migrations.up(empty_database_url, AFTER))
        # It waits for the writer, and a plain CREATE INDEX would now block the next one.
        await until(
            lambda: conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE UNIQUE INDEX CONC%'"
                " AND wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        await conn.execute("SET lock_timeout = '2s'")
        await conn.execute(
            "WITH made AS (INSERT INTO pipelines (kind) VALUES ('y') RETURNING id)"
            " INSERT INTO pipeline_jobs (pipeline_id, job_type) SELECT id, 'y' FROM made"
        )
        await block.commit()
        assert await task == [AFTER]
        assert await _indexes(conn) == _INDEXES


async def test_two_servers_that_migrate_at_once_take_turns(empty_database_url: str) -> None:
    applied = await asyncio.gather(
        migrations.up(empty_database_url), migrations.up(empty_database_url)
    )
    assert min(len(revisions) for revisions in applied) == 0
    assert max(applied, key=len) == migrations.revisions()


async def test_an_invalid_index_of_a_failed_attempt_is_replaced(empty_database_url: str) -> None:
    await migrations.up(empty_database_url, BEFORE)
    async with connection(empty_database_url) as conn:
        await conn.execute("INSERT INTO pipelines (id, kind) VALUES (gen_random_uuid(), 'x')")
        await conn.execute("CREATE UNIQUE INDEX uq_aggregation_active ON pipeline_jobs (id)")
        await conn.execute(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'uq_aggregation_active'::regclass"
        )
        await migrations.up(empty_database_url, AFTER)
        assert await _indexes(conn) == _INDEXES
        assert await _indexes(conn, valid=False) == set()


async def test_dedup_indexes_are_dropped_and_made_again(empty_database_url: str) -> None:
    await migrations.up(empty_database_url, AFTER)
    assert await migrations.down(empty_database_url, BEFORE) == [AFTER]
    async with connection(empty_database_url) as conn:
        assert await _indexes(conn) == set()
        await migrations.up(empty_database_url, AFTER)
        assert await _indexes(conn) == _INDEXES
