"""What the database tells every server process: a run may be claimed, or was changed elsewhere.

The notice is sent by the statement that created, released or cancelled the run, so it comes after
the commit, from whichever process it was. What if it is lost? The queue hint forgets by itself,
workers ask by themselves, and after a lost connection everything is assumed to have changed; a
dashboard that misses a change made elsewhere sees it when it fetches the run again.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final
from uuid import UUID

import msgspec

from channel_server.log import get_logger
from handlers.gateway import RUN_CREATED, Gateway
from handlers.run_tokens import as_uuid
from schema import run_events
from schema.refused import Refused

FIRST_VERSION: Final = 1
"""Version of a run when it was created; a released one has a later one."""

log = get_logger(__name__)


class Notices:
    """Acts on the notices of one listener.

    Args:
        gateway: the shared parts.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    def received(self, payload: str) -> None:
        """A notice arrived; one that cannot be read changes nothing."""
        notice = _decode(payload)
        if notice.get("tokens_revoked") is True:
            self._gateway.revocation_watch.changed()
            return
        project_id, version = as_uuid(notice.get("project_id")), notice.get("version")
        available, changed = (
            as_uuid(notice.get("run_available")),
            as_uuid(notice.get("run_changed")),
        )
        if project_id is not None and available is not None:
            self._gateway.queue_changed()
            if version == FIRST_VERSION and self._gateway.pubsub.subscribers(
                f"project:{project_id}"
            ):
                self._begin(self._created(available, project_id))
        elif changed is not None and isinstance(version, int):
            self._begin(self._changed(changed, version))
        else:
            log.warning("notice_ignored")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def resync(self) -> None:
        """Notices may have been missed."""
        self._gateway.revocation_watch.changed()
        self._gateway.queue_changed()

    async def stop(self) -> None:
        """Forget what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _changed(self, run_id: UUID, version: int) -> None:
        """Another process made this change, such as an operator's cancel."""
        event = await run_events.fetch(self._gateway.repo, run_id, version)
        if event is None or isinstance(event, Refused):
            log.warning("notice_without_run", run=str(run_id))
            return
        self._gateway.publish_event(event)
        self._gateway.answer_caller(event)

    async def _created(self, run_id: UUID, project_id: UUID) -> None:
        event = await run_events.fetch(self._gateway.repo, run_id, FIRST_VERSION)
        if event is None or isinstance(event, Refused):
            log.warning("notice_without_run", run=str(run_id))
            return
        payload = msgspec.Raw(event.payload_json.encode())
        self._gateway.pubsub.broadcast(f"project:{project_id}", RUN_CREATED, payload)


def _decode(payload: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
