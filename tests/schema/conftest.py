"""A project with one of everything, written with plain SQL, for the tests of the schema."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from schema.repo import connection

_PATHS: dict[str, tuple[str, ...]] = {
    "available": (),
    "claimed": ("claimed",),
    "started": ("claimed", "started"),
}

_EMISSIONS = """
WITH unit AS (INSERT INTO units (institutional_id) VALUES ('u') RETURNING id),
report AS (INSERT INTO carbon_reports (unit_id, year) SELECT id, 2025 FROM unit RETURNING id),
module AS (INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
  SELECT id, 3 FROM report RETURNING id),
entry AS (INSERT INTO data_entries
  (carbon_report_module_id, data_entry_type_id, kind_key, subkind_key, quantity, source)
  SELECT id, 31, 'k', '', 1, 'USER_MANUAL' FROM module RETURNING id),
factor AS (INSERT INTO factors
  (data_entry_type_id, emission_type_id, year, classification, kind_key, subkind_key, value)
  VALUES (31, 60201, 2025, '{}', 'k', '', 1) RETURNING id),
input AS (INSERT INTO ingest_inputs (content_hash, file_name, content)
  VALUES (encode(sha256('x'), 'hex'), 'x.csv', 'x'))
INSERT INTO data_entry_emissions
  (data_entry_id, emission_type_id, primary_factor_id, kg_co2eq, scope)
SELECT entry.id, 60201, factor.id, 1, 1 FROM entry, factor"""


_WORKERS = """
WITH server AS (INSERT INTO servers (name, version) VALUES ('s', '1') RETURNING id)
INSERT INTO worker_sessions (server_id, worker_id) SELECT id, 'w' FROM server"""


class Seed:
    """One project, workflow, snapshot, job, trigger, credential and dataclip.

    ``other`` makes a second, unrelated set. Nothing of ours is used to write: the tests of a
    statement do not depend on another statement.
    """

    def __init__(self, conn: Any) -> None:
        self.conn = conn
        self.project_id = uuid4()
        self.workflow_id = uuid4()
        self.snapshot_id = uuid4()
        self.job_id = uuid4()
        self.trigger_id = uuid4()
        self.credential_id = uuid4()
        self.dataclip_id = uuid4()

    async def write(self) -> "Seed":
        """Insert the rows."""
        project, workflow, snapshot = self.project_id, self.workflow_id, self.snapshot_id
        for sql, args in (
            ("INSERT INTO projects (id, name) VALUES ($1, $2)", (project, str(project))),
            (
                "INSERT INTO workflows (id, project_id, key, name) VALUES ($1, $2, 'w', 'w')",
                (workflow, project),
            ),
            (
                "INSERT INTO jobs (id, workflow_id, project_id, key, name, adaptor, body)"
                " VALUES ($1, $2, $3, 'j', 'j', 'a', 'b')",
                (self.job_id, workflow, project),
            ),
            (
                "INSERT INTO triggers (id, workflow_id, project_id, key, type)"
                " VALUES ($1, $2, $3, 't', 'webhook')",
                (self.trigger_id, workflow, project),
            ),
            (
                "INSERT INTO edges (workflow_id, key, source_trigger_id, target_job_id)"
                " VALUES ($1, 'e', $2, $3)",
                (workflow, self.trigger_id, self.job_id),
            ),
            (
                "INSERT INTO snapshots (id, project_id, workflow_id, lock_version)"
                " VALUES ($1, $2, $3, 1)",
                (snapshot, project, workflow),
            ),
            ("INSERT INTO snapshot_jobs VALUES ($1, $2)", (snapshot, self.job_id)),
            ("INSERT INTO snapshot_triggers VALUES ($1, $2)", (snapshot, self.trigger_id)),
            (
                "INSERT INTO credentials (id, project_id, name, body, key_id)"
                " VALUES ($1, $2, 'c', 'x', 'k')",
                (self.credential_id, project),
            ),
            (
                "INSERT INTO dataclips (id, project_id, type, body)"
                " VALUES ($1, $2, 'http_request', '{}')",
                (self.dataclip_id, project),
            ),
        ):
            await self.conn.execute(sql, *args)
        return self

    async def other(self) -> "Seed":
        """Return another project with one of everything."""
        return await Seed(self.conn).write()

    async def work_order(self) -> UUID:
        """Insert a work order and return its id."""
        row: UUID = await self.conn.fetchval(
            "INSERT INTO work_orders (project_id, workflow_id, snapshot_id, trigger_id,"
            " dataclip_id) VALUES ($1, $2, $3, $4, $5) RETURNING id",
            *(self.project_id, self.workflow_id, self.snapshot_id),
            *(self.trigger_id, self.dataclip_id),
        )
        return row

    async def run(self, state: str = "available", *, work_order: UUID | None = None) -> UUID:
        """Insert a run, bring it to a state the legal way, and return its id."""
        run_id: UUID = await self.conn.fetchval(
            "INSERT INTO runs (project_id, workflow_id, work_order_id, snapshot_id, dataclip_id,"
            " starting_trigger_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
            *(self.project_id, self.workflow_id, work_order or await self.work_order()),
            *(self.snapshot_id, self.dataclip_id, self.trigger_id),
        )
        for step in _PATHS.get(state, ("claimed", "started", state)):
            await self.move(run_id, step)
        return run_id

    async def move(self, run_id: UUID, state: str) -> None:
        """Change the state of a run, with the columns that must go with it."""
        await self.conn.execute(
            "UPDATE runs SET state = $2,"
            " lease = CASE WHEN $2 = 'available' THEN NULL ELSE coalesce(lease, $3) END,"
            " claimed_at = CASE WHEN $2 = 'available' THEN NULL ELSE now() END,"
            " started_at = CASE WHEN $2 = 'started' THEN now() ELSE started_at END,"
            " finished_at = CASE WHEN $2 IN ('available', 'claimed', 'started') THEN NULL"
            " ELSE now() END WHERE id = $1",
            *(run_id, state, uuid4()),
        )

    async def step(self, run_id: UUID) -> UUID:
        """Insert an unfinished step of a run and return its id."""
        step_id: UUID = await self.conn.fetchval(
            "INSERT INTO steps (project_id, snapshot_id, job_id, input_dataclip_id, started_at)"
            " VALUES ($1, $2, $3, $4, now()) RETURNING id",
            *(self.project_id, self.snapshot_id, self.job_id, self.dataclip_id),
        )
        await self.conn.execute("INSERT INTO run_steps VALUES ($1, $2)", run_id, step_id)
        return step_id

    async def log_line(self, run_id: UUID, step_id: UUID | None = None, version: int = 1) -> None:
        """Insert a log line of a run."""
        await self.conn.execute(
            "INSERT INTO log_lines (run_id, step_id, message, timestamp, version)"
            " VALUES ($1, $2, 'hello', now(), $3)",
            *(run_id, step_id, version),
        )

    async def everything(self) -> UUID:
        """Insert at least one row into every table that has none; return the id of a run."""
        run_id = await self.run("success")
        step_id = await self.step(run_id)
        await self.log_line(run_id, step_id)
        await self.conn.execute(
            "INSERT INTO run_events (run_id, version, event) VALUES ($1, 1, 'run:updated')", run_id
        )
        await self.conn.execute(
            "INSERT INTO run_event_horizons VALUES ($1, pg_current_xact_id())", self.project_id
        )
        await self.conn.execute(_EMISSIONS)
        await self.conn.execute(_WORKERS)
        await self.conn.execute(
            "INSERT INTO revocations (kind, value, revoked_by) VALUES ('user', 'mallory', 'ana')"
        )
        await self.conn.execute(
            "INSERT INTO run_remarks (run_id, kind, event) VALUES ($1, 'late', 'run:start')", run_id
        )
        await self.conn.execute(
            "INSERT INTO run_statistics (workflow_id, day, total, seconds, computed_at)"
            " VALUES ($1, '2026-01-01', 1, 2, now())",
            self.workflow_id,
        )
        return run_id


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Any]:
    """A bare connection to a fresh, migrated database."""
    async with connection(database_url) as opened:
        yield opened


@pytest.fixture
async def seed(conn: Any) -> Seed:
    """A project with one of everything."""
    return await Seed(conn).write()
