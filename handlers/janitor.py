"""The janitor: runs whose worker is gone, or that are too old, are lost; open steps are closed.

It yields to whoever writes a run at the same moment, and to the worker that holds the lease and
tells the truth later (`late_completion`).
"""

import asyncio
from collections.abc import Sequence

from channel_server.log import get_logger
from channel_server.service import Service
from handlers.gateway import Gateway
from schema import janitor
from schema.janitor import Swept
from schema.refused import Refused

log = get_logger(__name__)


class Janitor(Service):
    """Sweeps from time to time; emits `swept` with how many runs were lost.

    Args:
        gateway: the shared parts.
    """

    name = "janitor"

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    async def run(self) -> None:
        """Sweep, wait, sweep again."""
        self.ready()
        while True:
            lost = await self.sweep()
            self.signals.emit("swept", lost)
            if lost < self._gateway.settings.janitor_batch:
                await asyncio.sleep(self._gateway.settings.janitor_interval)

    async def sweep(self) -> int:
        """Mark what is lost now and close what was left open; how many runs were lost."""
        settings, repo = self._gateway.settings, self._gateway.repo
        lost = await janitor.mark_lost(
            repo,
            default_timeout_s=settings.run_timeout,
            grace_s=settings.run_grace,
            limit=settings.janitor_batch,
            watch=self._gateway.presence.watch,
            gone_after_s=settings.worker_gone_after,
        )
        cancelled = await janitor.end_cancelled(
            repo, grace_s=settings.cancel_grace, limit=settings.janitor_batch
        )
        orphans = await janitor.close_orphan_steps(repo, limit=settings.janitor_batch)
        self._tell(lost)
        self._tell(cancelled)
        self._tell(orphans)
        return 0 if isinstance(lost, Refused) else len(lost)

    def _tell(self, swept: Sequence[Swept] | Refused) -> None:
        if isinstance(swept, Refused):
            log.debug("janitor_refused", kind=swept.kind)
            return
        for run in swept:
            for event in run.events:
                self._gateway.publish_event(event)
                self._gateway.answer_caller(event)
            self._gateway.run_ended()
            if run.reason is not None:
                self._lost(run, run.reason)

    def _lost(self, run: Swept, reason: str) -> None:
        gateway = self._gateway
        log.warning("run_lost", run=str(run.run_id), error_type=reason)
        gateway.metrics.runs_lost[reason] += 1
