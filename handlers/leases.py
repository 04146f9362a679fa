"""The lease watch: claims that no worker joined in time go back to the queue.

A claim is provisional until its worker joins `run:<id>`. If the answer to the claim was lost on the
way, nobody knows of it: after `unheard_claim_after` the run is available again, with no lease, so
that a worker that turns up later changes nothing.
"""

import asyncio

from channel_server.log import get_logger
from channel_server.service import Service
from handlers.gateway import Gateway
from schema import queue
from schema.refused import Refused

BATCH = 100

log = get_logger(__name__)


class LeaseWatch(Service):
    """Releases unheard claims; emits `checked` with how many after each look.

    Args:
        gateway: the shared parts.
    """

    name = "lease_watch"

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    async def run(self) -> None:
        """Look, wait, look again."""
        self.ready()
        while True:
            released = await self.check()
            self.signals.emit("checked", released)
            if released < BATCH:
                await asyncio.sleep(self._gateway.settings.lease_check_interval)

    async def check(self) -> int:
        """Release what is due now; how many it was."""
        gateway = self._gateway
        released = await queue.release_unheard(
            gateway.repo, gateway.settings.unheard_claim_after, BATCH, gateway.presence.watch
        )
        if isinstance(released, Refused):
            log.debug("lease_watch_refused", kind=released.kind)
            return 0
        for event in released:
            gateway.publish_event(event)
            gateway.answer_caller(event)  # it is over if somebody wanted it cancelled
            log.info("claim_released", run=str(event.run_id), reason="unheard")
        if released:
            gateway.metrics.runs_released["unheard"] += len(released)
            gateway.queue_changed()
        return len(released)
