"""What the database tells every server process: a run may be claimed, or was changed elsewhere.

The notice is sent by the statement that created, released or cancelled the run, so it comes after
the commit, from whichever process it was. What if it is lost? The queue hint forgets by itself,
workers ask by themselves, and after a lost connection everything is assumed to have changed. The
feeds of dashboards look by themselves, once a second.
"""

from typing import Any
from uuid import UUID

import msgspec

from channel_server.log import get_logger
from handlers.feeds.following import Tasks
from handlers.gateway import Gateway
from handlers.run_tokens import as_uuid
from schema import run_events
from schema.refused import Refused

log = get_logger(__name__)


class Notices:
    """Acts on the notices of one listener.

    Args:
        gateway: the shared parts.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks = Tasks()

    def received(self, payload: str) -> None:
        """A notice arrived; one that cannot be read changes nothing."""
        notice = _decode(payload)
        if notice.get("tokens_revoked") is True:
            self._gateway.revocation_watch.changed()
            return
        if (cancelled := as_uuid(notice.get("run_cancel"))) is not None:
            self._gateway.cancel_asked(cancelled)
            return
        project_id, version = as_uuid(notice.get("project_id")), notice.get("version")
        available, changed = (
            as_uuid(notice.get("run_available")),
            as_uuid(notice.get("run_changed")),
        )
        if project_id is not None and available is not None:
            self._gateway.queue_changed()
            self._gateway.feeds.projects.ask(project_id)
            if isinstance(version, int):
                self._gateway.feeds.runs.heard(available, version)
        elif project_id is not None and changed is not None and isinstance(version, int):
            self._gateway.feeds.runs.heard(changed, version)
            self._gateway.feeds.projects.ask(project_id)
            if self._gateway.webhooks.waits_for(str(changed)):
                self._tasks.start(self._ended_elsewhere(changed, version))
        elif "workers_changed" in notice:
            self._gateway.workers_feed.changed()
        elif not self._gateway.feeds.relay.received(notice):
            log.warning("notice_ignored")

    def resync(self) -> None:
        """Notices may have been missed."""
        self._gateway.revocation_watch.changed()
        self._gateway.queue_changed()
        self._tasks.start(self._gateway.feeds.sweep())

    async def stop(self) -> None:
        """Forget what is under way."""
        await self._tasks.stop()

    async def _ended_elsewhere(self, run_id: UUID, version: int) -> None:
        """Another process, such as an operator's, may have ended a run that a caller waits for."""
        event = await run_events.fetch(self._gateway.repo, run_id, version)
        if event is None or isinstance(event, Refused):
            log.warning("notice_without_run", run=str(run_id))
            return
        self._gateway.answer_caller(event)


def _decode(payload: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
