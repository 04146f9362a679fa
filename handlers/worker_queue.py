"""Topic `worker:queue`: workers ask for runs.

Nothing here is allowed to fail from the worker's point of view. A claim without an answer costs the
worker a slot for an hour, an error or an answer without `runs` costs it its process. So a claim is
always answered at once, with `runs`, if need be with none.
"""

from collections.abc import Hashable
from math import ceil
from typing import Any, ClassVar, Final, cast

from channel_server.channel import Channel, Reply, on
from channel_server.log import get_logger
from handlers import wire_errors
from handlers.gateway import Gateway
from handlers.params import fields_of
from handlers.presence import WorkerSession
from handlers.request_rates import wait_for
from handlers.run_tokens import WorkerIdentity
from schema import queue
from schema.queue import ClaimedRun, Claims
from schema.refused import Refused

DEFAULT_QUEUES: Final = ("manual", "*")
LARGEST_DEMAND: Final = 100
LONGEST_NAME: Final = 255
MOST_QUEUES: Final = 64

_NO_RUNS: Final = Reply("ok", {"runs": []})

log = get_logger(__name__)


class Demand:
    """What a claim asks for, made usable whatever came.

    Args:
        payload: of the `claim`.

    Attributes:
        count: how many runs at most, 0 to 100; 1 if the payload does not say.
        worker_name: the worker's name for people, or None.
        queues: queues in order of preference.
    """

    __slots__ = ("count", "queues", "worker_name")

    def __init__(self, payload: Any) -> None:
        fields = fields_of(payload)
        self.count = _count(fields.get("demand", 1))
        self.worker_name = _name(fields.get("worker_name"))
        self.queues = _queues(fields.get("queues"))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return max(0, min(value, LARGEST_DEMAND))


def _name(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value.replace("\0", "\ufffd").strip()[:LONGEST_NAME] or None


def _queues(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return DEFAULT_QUEUES
    names = (_name(item) for item in cast("list[Any]", value)[:MOST_QUEUES])
    return tuple(dict.fromkeys(name for name in names if name is not None))


class WorkerQueueChannel(Channel):
    """The queue as one worker sees it. The topic's broadcasts, `work-available`, go to it."""

    joins_while_draining: ClassVar[bool] = True

    def join(self, payload: Any) -> Reply | None:
        """Let verified workers in; plain, so that a burst of joins and leaves keeps its order."""
        if not isinstance(self._worker, WorkerIdentity):
            return wire_errors.UNAUTHORIZED
        capacity = fields_of(payload).get("capacity")
        self._gateway.presence.described(self._session, capacity=capacity)
        return None

    @property
    def _worker(self) -> WorkerIdentity | None:
        return self.assigns.get("worker")

    @property
    def _session(self) -> WorkerSession:
        return self.assigns["session"]

    @property
    def _gateway(self) -> Gateway:
        return self.assigns["gateway"]

    @on("claim")
    async def claim(self, payload: Any) -> Reply:
        """Hand out up to `demand` runs, each with its token."""
        gateway = self._gateway
        demand = Demand(payload)
        if gateway.draining:
            gateway.metrics.claims["draining"] += 1
            return _NO_RUNS
        wait = wait_for(gateway.rates.claims, self._key())
        if wait:
            gateway.metrics.claims["rate_limited"] += 1
            return Reply("ok", {"runs": [], "retry_after": ceil(wait * 1000) / 1000})
        if not demand.count or not demand.queues or gateway.hint.known_empty(demand.queues):
            gateway.metrics.claims["hinted"] += 1
            return _NO_RUNS
        gateway.presence.described(self._session, name=demand.worker_name)
        runs = await self._claim(demand)
        if runs and not self.connected:
            await self._release(runs)
            return _NO_RUNS
        return Reply("ok", {"runs": [self._offer(run) for run in runs]})

    def handle_in(self, event: Any, payload: Any) -> Reply:
        """Refuse what we do not know; the channel lives on."""
        return wire_errors.UNKNOWN_EVENT

    def _key(self) -> Hashable:
        worker = self._worker
        # Who names no process is told apart by the socket.
        return id(self) if worker is None or worker.worker_id is None else worker.worker_id

    async def _claim(self, demand: Demand) -> list[ClaimedRun]:
        gateway = self._gateway
        mark = gateway.hint.before_claim()
        worker = self._worker
        # A run must not name a socket that nobody knows: its absence would go unnoticed.
        if not await gateway.presence.stored(self._session):
            gateway.metrics.claims["unavailable"] += 1
            return []
        try:
            async with gateway.claim_turns:
                # Somebody else may have found the queue empty while this one waited.
                if gateway.draining or gateway.hint.known_empty(demand.queues):
                    gateway.metrics.claims["hinted"] += 1
                    return []
                claims = await queue.claim(
                    gateway.repo,
                    demand.count,
                    demand.worker_name,
                    None if worker is None else worker.worker_id,
                    demand.queues,
                    self._session.row.id,
                )
        except Exception:
            log.exception("claim_failed")
            gateway.metrics.internal_errors += 1
            return []
        if isinstance(claims, Refused):
            gateway.metrics.claims[claims.kind] += 1
            return []
        self._note(demand, claims, mark)
        return claims.runs

    def _note(self, demand: Demand, claims: Claims, mark: int) -> None:
        gateway = self._gateway
        gateway.metrics.claims["runs" if claims.runs else "empty"] += 1
        gateway.metrics.runs_claimed += len(claims.runs)
        if not claims.runs and not claims.raced:
            gateway.hint.found_nothing(demand.queues, mark, held_back=not claims.idle)
        for run in claims.runs:
            gateway.publish_event(run.event)

    def _offer(self, run: ClaimedRun) -> dict[str, str]:
        worker = self._worker
        previous = worker is not None and worker.previous
        token = self._gateway.run_token(run.owner, run.run_timeout_ms, previous=previous)
        return {"id": str(run.id), "token": token}

    async def _release(self, runs: list[ClaimedRun]) -> None:
        """Give back what nobody will hear of; the lease watch does what fails here."""
        gateway = self._gateway
        released = await queue.release_all(gateway.repo, [run.owner for run in runs])
        if isinstance(released, Refused):
            log.warning("release_refused", kind=released.kind, runs=len(runs))
            return
        gateway.metrics.runs_released["socket_gone"] += len(released)
        for event in released:
            gateway.publish_event(event)
        gateway.queue_changed()
