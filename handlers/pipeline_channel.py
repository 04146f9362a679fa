"""Topics `pipeline:<id>` and `module:<year>:<module id>` on the user socket: durable jobs, live.

Both push `pipeline-update` with what `GET /api/pipelines/<id>` shows, from the same serialiser: the
whole pipeline each time, so a lost or late one costs nothing. The join reply has a snapshot. What
other tenants own is refused (`pipeline:`) or left out (`module:`).
"""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from channel_server.channel import Channel, Reply, ok, on
from handlers import wire_errors
from handlers.gateway import Gateway
from handlers.pipeline_feed import PipelinesUnavailableError
from handlers.run_tokens import User, as_uuid
from pipelines import JobEvent
from pipelines.storage.connection import is_outage
from pipelines.storage.listing import shown_pipelines

PIPELINE_PREFIX: Final = "pipeline:"
MODULE_PREFIX: Final = "module:"
UPDATE: Final = "pipeline-update"

PATIENCE: Final = 5.0
"""Seconds that a join waits for a connection."""

UNAVAILABLE: Final[Reply] = wire_errors.UNAVAILABLE


class PipelineWatcher(Channel):
    """What both topics share: news are read once per burst and pushed if the user may see them."""

    subscribe_topic = False

    @property
    def _gateway(self) -> Gateway:
        return self.assigns["gateway"]

    @property
    def _user(self) -> User:
        return self.assigns["user"]

    def wants(self, event: JobEvent) -> bool:
        """Whether an event is about something that is watched here."""
        raise NotImplementedError

    def watch(self, pipeline_id: UUID | None) -> None:
        """Hear of what changes from now on, until the channel ends."""
        self.assigns["dirty"] = set[UUID]()
        hub = self._gateway.engine.hub
        self.assigns["unsubscribe"] = hub.subscribe(self._changed, pipeline_id=pipeline_id)

    def stale(self) -> set[UUID]:
        """Return what is to be read anew after events may have been lost."""
        return set()

    async def handle_info(self, message: Any) -> None:
        """Read a pipeline that changed, and push it."""
        dirty: set[UUID] = self.assigns["dirty"]
        dirty.discard(message)
        try:
            wire = await self._gateway.feed.read(message)
        except PipelinesUnavailableError:
            return  # once the database is back, everything is read again
        if wire is not None and self._user.sees_tenant(wire["tenant_id"]):
            self.push(UPDATE, wire)

    def handle_in(self, event: Any, payload: Any) -> Reply:
        """Refuse what we do not know; the channel lives on."""
        return wire_errors.UNKNOWN_EVENT

    def terminate(self, reason: str) -> None:
        """Stop listening."""
        unsubscribe: Callable[[], None] | None = self.assigns.get("unsubscribe")
        if unsubscribe is not None:
            unsubscribe()

    def _changed(self, event: JobEvent) -> None:
        dirty: set[UUID] = self.assigns["dirty"]
        if event.pipeline is None:
            found = self.stale()
        else:
            found = {event.pipeline} if self.wants(event) else set[UUID]()
        # One message per burst: whatever comes before it is handled is read with it.
        for pipeline_id in found - dirty:
            dirty.add(pipeline_id)
            self.send_info(pipeline_id)


class PipelineChannel(PipelineWatcher):
    """One pipeline."""

    async def join(self, payload: Any) -> Reply:
        """Let in users of its tenant; the reply is a snapshot."""
        name = self.topic.removeprefix(PIPELINE_PREFIX)
        pipeline_id = as_uuid(name)
        if self._user.tenants is None:
            return wire_errors.UNAUTHORIZED
        if pipeline_id is None or str(pipeline_id) != name:
            return wire_errors.NOT_FOUND
        self.assigns["pipeline_id"] = pipeline_id
        # Before the snapshot is read: nothing that changes after it goes unheard.
        self.watch(pipeline_id)
        return await self._snapshot(refuse=True)

    @on("fetch:pipeline")
    async def fetch(self, payload: Any) -> Reply:
        """The pipeline as it is now."""
        return await self._snapshot(refuse=False)

    def wants(self, event: JobEvent) -> bool:
        """Whether it is this pipeline."""
        return event.pipeline == self.assigns["pipeline_id"]

    def stale(self) -> set[UUID]:
        """Return the pipeline."""
        return {self.assigns["pipeline_id"]}

    async def _snapshot(self, *, refuse: bool) -> Reply:
        reply: Reply = UNAVAILABLE
        try:
            wire = await self._gateway.feed.read(self.assigns["pipeline_id"])
        except PipelinesUnavailableError:
            wire = None
        else:
            reply = wire_errors.NOT_FOUND
        if wire is not None:
            seen = self._user.sees_tenant(wire["tenant_id"])
            reply = ok(wire) if seen else wire_errors.UNAUTHORIZED
        if refuse and reply.status != "ok":
            self.terminate("refused")
        return reply


class ModuleChannel(PipelineWatcher):
    """All pipelines that concern a module in a year."""

    async def join(self, payload: Any) -> Reply:
        """Let in who may see pipelines; the reply is the one to show now, or null."""
        if self._user.tenants is None:
            return wire_errors.UNAUTHORIZED
        year, _, module = self.topic.removeprefix(MODULE_PREFIX).partition(":")
        if not (_number(year) and _number(module)):
            return wire_errors.NOT_FOUND
        self.assigns["scope"] = (int(module), int(year))
        engine = self._gateway.engine
        if not engine.running:
            return UNAVAILABLE
        self.watch(None)
        try:
            async with engine.pool.acquire(timeout=PATIENCE) as connection:
                shown = await shown_pipelines(
                    connection, int(year), [int(module)], self._user.tenant_filter()
                )
        except Exception as error:
            self.terminate("refused")
            if is_outage(error):
                return UNAVAILABLE
            raise
        self.assigns["known"] = set(shown.values())
        current = shown.get(int(module))
        return ok({"pipeline_id": None if current is None else str(current)})

    def wants(self, event: JobEvent) -> bool:
        """Whether a job or pipeline of the module changed."""
        if (event.module, event.year) != self.assigns["scope"]:
            return False
        if not self._user.sees_tenant(event.tenant):
            return False
        known: set[UUID] = self.assigns.setdefault("known", set[UUID]())
        if event.pipeline is not None:
            known.clear()
            known.add(event.pipeline)
        return True

    def stale(self) -> set[UUID]:
        """Return the pipeline that was heard of last."""
        return set(self.assigns.get("known", set[UUID]()))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7 and str(int(text)) == text
