"""Pipelines as they change: one read of the database serves all who watch the same pipeline.

Channels and event streams subscribe to the engine's hub to learn *that* something changed, and read
here *what*. A read that is under way when somebody asks may be older than what they heard of, so
they get the next one, together with everybody else who asks meanwhile.
"""

import asyncio
from typing import Any
from uuid import UUID

from pipelines import Engine, snapshot_to_wire
from pipelines.storage.connection import is_outage


class PipelinesUnavailableError(Exception):
    """The engine does not run, or its database is out of reach."""

    def __str__(self) -> str:
        return "pipelines cannot be read now"


class PipelineFeed:
    """Reads pipelines for those who watch them.

    Args:
        engine: The engine; only used while it runs.

    Attributes:
        closed: Set when the server drains: streams end.
        reads: Number of reads of the database. For tests.
    """

    def __init__(self, engine: Engine) -> None:
        self.closed = asyncio.Event()
        self.reads = 0
        self._engine = engine
        self._under_way: dict[UUID, asyncio.Task[Any]] = {}
        self._next: dict[UUID, asyncio.Task[Any]] = {}

    async def read(self, pipeline_id: UUID) -> dict[str, Any] | None:
        """Return a pipeline as everybody is shown it, as it is now or later; None if there is none.

        Raises:
            PipelinesUnavailableError: See there.
        """
        task = self._next.get(pipeline_id)
        if task is None:
            before = self._under_way.get(pipeline_id)
            task = asyncio.create_task(self._read(pipeline_id, before))
            waiting = self._under_way if before is None else self._next
            waiting[pipeline_id] = task
        # One who goes away must not take the others' answer along.
        return await asyncio.shield(task)

    def close(self) -> None:
        """Make all streams end."""
        self.closed.set()

    async def _read(
        self, pipeline_id: UUID, before: asyncio.Task[Any] | None
    ) -> dict[str, Any] | None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 (it runs in a task of its own)
        if before is not None:
            await asyncio.wait([before])
            self._under_way[pipeline_id] = me
            if self._next.get(pipeline_id) is me:
                del self._next[pipeline_id]
        try:
            return await self._snapshot(pipeline_id)
        finally:
            if self._under_way.get(pipeline_id) is me:
                del self._under_way[pipeline_id]

    async def _snapshot(self, pipeline_id: UUID) -> dict[str, Any] | None:
        self.reads += 1
        try:
            snapshot = await self._engine.snapshot(pipeline_id)
        except RuntimeError as error:
            raise PipelinesUnavailableError from error
        except Exception as error:
            if is_outage(error):
                raise PipelinesUnavailableError from error
            raise
        return None if snapshot is None else snapshot_to_wire(snapshot)
