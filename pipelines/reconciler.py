"""Repairs what a crash between two commits left behind. Looks at rows, not at stored statuses."""

import time
from uuid import UUID

import structlog

from pipelines.background import Loop
from pipelines.chain import child_request, insert_child
from pipelines.enums import JobState
from pipelines.progress import Owed, Progress
from pipelines.registry import Registry
from pipelines.settings import EngineSettings
from pipelines.storage import status, ticks
from pipelines.storage.connection import Connection, Pool
from pipelines.storage.jobs import get_job

log = structlog.stdlib.get_logger(__name__)

_OVERDUE = """SELECT clock_timestamp() - finished_at > $2::interval FROM pipeline_jobs
WHERE id = $1 AND state = 'FINISHED' FOR UPDATE"""

_UNKNOWN = """SELECT job_type, count(*) AS jobs FROM pipeline_jobs
WHERE state = 'NOT_STARTED' AND job_type <> ALL($1)
  AND created_at < clock_timestamp() - $2::interval GROUP BY job_type ORDER BY job_type"""


class Reconciler(Loop):
    """One pass: store statuses that differ from what the jobs say, insert follow-ups that are owed.

    Args:
        pool: Pool of the engine.
        registry: Chains, and the types that are known.
        settings: Intervals and windows.
    """

    def __init__(self, pool: Pool, registry: Registry, settings: EngineSettings) -> None:
        super().__init__("reconciler", settings.reconcile_interval.total_seconds())
        self._pool = pool
        self._registry = registry
        self._settings = settings
        self._pruned = 0.0

    async def pass_once(self) -> float | None:
        """Check all pipelines that changed lately, are not over, or know less than their jobs."""
        async with self._pool.acquire() as connection:
            found = await status.to_reconcile(connection, self._settings.reconcile_lookback)
        for pipeline_id in found:
            await self.reconcile(pipeline_id)
        async with self._pool.acquire() as connection:
            await self._warn(connection)
            if time.monotonic() - self._pruned > 3_600:
                await ticks.prune(connection, self._settings.reconcile_lookback * 30)
                self._pruned = time.monotonic()
        return None

    async def reconcile(self, pipeline_id: UUID) -> Progress | None:
        """Check one pipeline and repair it. Returns its progress after that."""
        async with self._pool.acquire() as connection:
            progress, changed = await self._recompute(connection, pipeline_id)
            if progress is not None and progress.owed:
                repaired = [await self._repair(connection, owed) for owed in progress.owed]
                if any(repaired):
                    progress, changed = await self._recompute(connection, pipeline_id)
        if changed and progress is not None:
            log.info(
                "pipeline_status_repaired", pipeline_id=str(pipeline_id), status=progress.status
            )
        return progress

    async def _recompute(
        self, connection: Connection, pipeline_id: UUID
    ) -> tuple[Progress | None, bool]:
        return await status.recompute(connection, pipeline_id, self._registry.chain)

    async def _repair(self, connection: Connection, owed: Owed) -> bool:
        follow = owed.follow
        if follow is None:
            return False
        async with connection.transaction():
            # The row is locked: of two processes that repair, the second one finds it done.
            overdue = await connection.fetchval(_OVERDUE, owed.job.id, self._settings.repair_after)
            if not overdue or await self._followed(connection, owed):
                return False
            parent = await get_job(connection, owed.job.id)
            if parent is None or parent.state is not JobState.FINISHED:
                return False
            request = child_request(
                parent,
                job_type=follow.dedup.job_type,
                data_entry_type_id=parent.data_entry_type_id
                if "data_entry_type_id" in follow.dedup.scope_columns
                else None,
                scope_key=parent.scope_key,
                dedup=follow.dedup,
                waits_for_siblings=follow.waits_for_siblings,
            )
            chained = await insert_child(connection, request)
        log.warning(
            "job_repaired", job_id=parent.id, job_type=follow.dedup.job_type, created=chained.job_id
        )
        return True

    async def _followed(self, connection: Connection, owed: Owed) -> bool:
        assert owed.follow is not None  # noqa: S101 (the caller looked)
        found = await connection.fetchval(
            """SELECT EXISTS (SELECT 1 FROM pipeline_jobs WHERE parent_id = $1 AND job_type = $2)
OR EXISTS (SELECT 1 FROM pipeline_joins AS joins JOIN pipeline_jobs AS job ON job.id = joins.job_id
  WHERE joins.requester_id = $1 AND job.job_type = $2)""",
            owed.job.id,
            owed.follow.dedup.job_type,
        )
        return bool(found)

    async def _warn(self, connection: Connection) -> None:
        rows = await connection.fetch(
            _UNKNOWN, list(self._registry.job_types), self._settings.repair_after
        )
        for row in rows:
            log.warning("job_type_unknown", job_type=row["job_type"], jobs=row["jobs"])
