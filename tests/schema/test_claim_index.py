"""A claim walks the queue, not the table: a million finished runs cost it nothing."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from schema.queue_claim import CLAIM_SQL
from schema.repo import Repo, connection
from tests.schema.world import World, project, workflow

FINISHED = 1_000_000
NEEDED = (
    "runs_pkey",
    "runs_available_index",
    "runs_in_flight_workflow_index",
    "runs_in_flight_project_index",
    "runs_project_id_claimed_at_index",
)
"""Indexes of the claim. The others are dropped before the load: they only make it slower."""

IDLE = "UPDATE pg_index SET indisready = false WHERE indrelid = 'runs'::regclass"
"""Nothing is put into the indexes of the table, until they are made anew, which is cheaper."""


async def load_finished(dsn: str) -> None:
    """A million finished runs beside those that are there; what a claim does not need is away."""
    async with connection(dsn) as admin:
        await admin.execute("SET session_replication_role = replica")
        checks = await admin.fetch(
            "SELECT conname FROM pg_constraint"
            " WHERE conrelid = 'runs'::regclass AND contype IN ('c', 'u')"
        )
        for (name,) in checks:
            await admin.execute(f"ALTER TABLE runs DROP CONSTRAINT {name} CASCADE")
        names = await admin.fetch(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'runs' AND NOT indexname = ANY($1)",
            list(NEEDED),
        )
        for (name,) in names:
            await admin.execute(f"DROP INDEX {name}")
        await admin.execute(IDLE)
        await admin.execute(
            f"""
INSERT INTO runs (id, project_id, workflow_id, work_order_id, snapshot_id, starting_trigger_id,
  state, inserted_at, claimed_at, started_at, finished_at, lease)
SELECT lpad(to_hex(n), 32, '0')::uuid, r.project_id, r.workflow_id, r.work_order_id, r.snapshot_id,
  r.starting_trigger_id, 'success', t, t, t, t, r.id
FROM (SELECT * FROM runs LIMIT 1) r,
  (SELECT n, now() - n * interval '1 second' AS t FROM generate_series(1, {FINISHED}) n) s"""
        )
        await admin.execute("REINDEX TABLE runs")
        await admin.execute("VACUUM (ANALYZE) runs")


async def explained(dsn: str, demand: int) -> dict[str, Any]:
    """The plan of a claim as it is run, with what it read."""
    async with connection(dsn) as admin:
        text = await admin.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM_SQL}",
            *(demand, ["*"], None, None, None),
        )
    (plan,) = msgspec.json.decode(text)
    return cast("dict[str, Any]", plan["Plan"])


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.timeout(180)
async def test_a_claim_among_a_million_finished_runs_reads_the_queue_only(
    database_url: str,
) -> None:
    repo = await Repo.connect(database_url, min_size=1, statement_timeout_ms=120_000)
    flows = [workflow("a", concurrency=3), workflow("b")]
    world = await World.create(repo, project(concurrency=5, workflows=flows))
    other = await World.create(repo, project("other"))
    for at in (0, 0, 1, 1):
        await world.enqueue(at)
    await other.enqueue()
    await load_finished(database_url)
    assert await world.value("SELECT count(*) FROM runs") == FINISHED + 5

    plan = await explained(database_url, 3)
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "runs"]
    assert {node["Node Type"] for node in scans} <= {
        "Index Scan",
        "Index Only Scan",
        "Bitmap Heap Scan",
        "ModifyTable",
    }
    used = {node["Index Name"] for node in nodes(plan) if "Index Name" in node}
    assert "runs_available_index" in used
    assert {name for name in used if name.startswith("runs_")} <= set(NEEDED)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 1_000
    assert await world.value("SELECT count(*) FROM runs WHERE state = 'claimed'") == 3
    await repo.close()
