import asyncio
import itertools
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Sequence
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateSequence, CreateTable

import migrations
from schema import triggers
from schema.repo import connection
from schema.tables import metadata

GUARDS = "0003_pre_guards"
GATEWAY = [table for table in metadata.sorted_tables if not table.name.startswith("pipeline")]
JOBS = """
    WITH made AS (INSERT INTO pipelines (kind) VALUES ('k') RETURNING id)
    INSERT INTO pipeline_jobs (pipeline_id, job_type) SELECT id, 'aggregation' FROM made"""
CATALOGS = {
    "columns": """
        SELECT c.relname || '.' || a.attname AS name,
               row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS position,
               format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
               pg_get_expr(d.adbin, d.adrelid) AS fallback
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace = 'public'::regnamespace""",
    "constraints": """
        SELECT conrelid::regclass || '.' || conname AS name, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": """
        SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
        FROM pg_index JOIN pg_class ON oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace""",
    "triggers": """
        SELECT tgrelid::regclass || '.' || tgname AS name, pg_get_triggerdef(oid) AS definition
        FROM pg_trigger WHERE NOT tgisinternal""",
    "functions": """
        SELECT proname AS name, pg_get_functiondef(oid) AS definition
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
    "sequences": """
        SELECT sequencename AS name, increment_by, cache_size
        FROM pg_sequences WHERE schemaname = 'public'""",
    "storage": """
        SELECT relname AS name, reloptions AS options FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace""",
}


async def catalog(url: str) -> dict[str, set[str]]:
    """Return what a database is made of, as comparable text; Alembic's own table left out."""
    found: dict[str, set[str]] = {}
    async with connection(url) as conn:
        for kind, sql in CATALOGS.items():
            rows = [dict(row) for row in await conn.fetch(sql)]
            found[kind] = {str(row) for row in rows if "alembic_version" not in row["name"]}
    return found


async def create_all(url: str) -> None:
    """Create what the metadata and the triggers say, without any migration."""
    dialect = postgresql.dialect()
    async with connection(url) as conn:
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.default, Sequence):
                    made = CreateSequence(column.default).compile(dialect=dialect)
                    await conn.execute(str(made))
            await conn.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in table.indexes:
                await conn.execute(str(CreateIndex(index).compile(dialect=dialect)))
        for statement in triggers.create_statements():
            await conn.execute(statement)


async def counts(conn: Any) -> dict[str, int]:
    """Return the number of rows of each table that exists."""
    names = [
        row[0]
        for row in await conn.fetch(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
    ]
    return {name: await conn.fetchval(f"SELECT count(*) FROM {name}") for name in names}


async def test_migrated_database_equals_the_metadata(
    database_url: str, empty_database_url: str
) -> None:
    await create_all(empty_database_url)
    migrated, declared = await catalog(database_url), await catalog(empty_database_url)
    for kind in ("triggers", "functions"):
        # Those of the job pipelines are written in their migration and nowhere else.
        migrated[kind] = {row for row in migrated[kind] if "'name': 'pipeline" not in row}
    for kind in CATALOGS:
        assert migrated[kind] == declared[kind], kind
        assert declared[kind], kind


async def test_each_migration_runs_down_and_up_with_rows_present(
    conn: Any, seed: Any, database_url: str
) -> None:
    await seed.everything()
    await conn.execute(JOBS)
    before = await counts(conn)
    assert all(before[table.name] for table in GATEWAY), before
    order, kept = ["base", *migrations.revisions()], before
    for below, revision in reversed(list(itertools.pairwise(order))):
        made = await catalog(database_url)
        assert await migrations.down(database_url, below) == [revision]
        kept = await counts(conn)
        assert kept == {name: before[name] for name in kept}, revision
        assert await migrations.up(database_url, revision) == [revision]
        assert await catalog(database_url) == made, revision
        rows = await counts(conn)
        assert {name: count for name, count in rows.items() if name in kept} == kept, revision
        # The one before is undone with all of its rows, and without what comes after it.
        assert await migrations.down(database_url, below) == [revision]
    assert kept == {}


async def test_status_says_what_is_pending(empty_database_url: str) -> None:
    everything = tuple(migrations.revisions())
    status = await migrations.status(empty_database_url)
    assert (status.current, status.pending, status.up_to_date) == (None, everything, False)
    await migrations.up(empty_database_url, everything[0])
    assert (await migrations.status(empty_database_url)).pending == everything[1:]
    await migrations.up(empty_database_url)
    status = await migrations.status(empty_database_url)
    assert (status.current, status.head) == (everything[-1], everything[-1])
    assert status.up_to_date


async def test_two_servers_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    done = await asyncio.gather(*(migrations.up(empty_database_url) for _ in range(4)))
    assert sorted(map(len, done)) == [0, 0, 0, len(migrations.revisions())]


async def test_migrating_twice_does_nothing_the_second_time(database_url: str) -> None:
    assert await migrations.up(database_url) == []


async def test_newer_database_is_refused(conn: Any, database_url: str) -> None:
    await conn.execute("UPDATE alembic_version SET version_num = '9999_pre_future'")
    with pytest.raises(migrations.UnknownRevisionError, match="9999_pre_future"):
        await migrations.status(database_url)
    with pytest.raises(migrations.UnknownRevisionError, match="9999_pre_future"):
        await migrations.up(database_url)


async def test_failed_migration_leaves_the_database_as_it_was(empty_database_url: str) -> None:
    await migrations.up(empty_database_url, "0002_pre_runs")
    before = await catalog(empty_database_url)
    async with connection(empty_database_url) as conn:
        # The last statement of the migration will find its place taken.
        await conn.execute(
            "CREATE TRIGGER snapshot_triggers_refuse_update BEFORE UPDATE ON snapshot_triggers"
            " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
        with pytest.raises(asyncpg.DuplicateObjectError):
            await migrations.up(empty_database_url, GUARDS)
        await conn.execute("DROP TRIGGER snapshot_triggers_refuse_update ON snapshot_triggers")
    assert await catalog(empty_database_url) == before
    assert await migrations.up(empty_database_url, GUARDS) == [GUARDS]


def test_every_migration_says_when_it_may_run() -> None:
    for number, revision in enumerate(migrations.revisions(), start=1):
        assert revision.startswith((f"{number:04}_pre_", f"{number:04}_post_"))
