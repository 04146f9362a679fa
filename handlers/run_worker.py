"""Topic `run:<id>` on the worker socket: one worker reports one run.

The channel never closes by itself and never crashes: each event has an answer. The join prepares
the plan, so that `fetch:plan`, which must not fail, is answered from memory.

What if it is lost? A worker that loses its socket joins again with the same token. Its lease says
whether the run is still its own; if not, it is let in all the same and its events change nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

from channel_server.channel import Channel, Reply, on
from channel_server.log import get_logger
from channel_server.pubsub import Broadcast
from handlers import wire_errors
from handlers.events import (
    fetch_credential,
    fetch_dataclip,
    fetch_plan,
    run_batch_logs,
    run_complete,
    run_log,
    run_start,
    step_complete,
    step_start,
)
from handlers.gateway import CANCEL_REASON, RUN_CANCEL, Gateway, asked_topic
from handlers.params import fields_of
from handlers.presence import WorkerSession
from handlers.run_context import RunContext, insist
from handlers.run_tokens import as_uuid
from schema import plans, runs
from schema.changeset import Changeset
from schema.outcomes import Applied, Owner
from schema.plans import Joined
from schema.refused import Refused

PREFIX: Final = "run:"

EventHandler = Callable[[RunContext, Any], Awaitable[Reply]]

log = get_logger(__name__)


class RunWorkerChannel(Channel):
    """One run as its worker sees it; dashboards' broadcasts do not go to it."""

    subscribe_topic: ClassVar[bool] = False
    # A worker takes a refused re-join as final and a late answer as none: better wait for the
    # database than refuse. Workers themselves give up after 30 s and join again.
    join_timeout: ClassVar[float | None] = 60.0
    joins_while_draining: ClassVar[bool] = True

    _run: RunContext

    @property
    def _gateway(self) -> Gateway:
        return self.assigns["gateway"]

    async def join(self, payload: Any) -> Reply | None:
        """Let in whoever has a run token for this run; the plan is ready afterwards."""
        self.assigns["structured"] = wire_errors.wants_structure(payload)
        refused = await self._join(payload)
        return None if refused is None else self._shaped(refused)

    async def _join(self, payload: Any) -> Reply | None:
        owner = self._owner(payload)
        if owner is None:
            return wire_errors.UNAUTHORIZED
        gateway = self._gateway
        # Before the run is read: a wish to cancel it comes either with the run or afterwards.
        self.subscribe(asked_topic(owner.run_id))
        session: WorkerSession = self.assigns["session"]
        await gateway.presence.stored(session)
        joined = await insist(lambda: plans.join(gateway.repo, owner, session.row.id), float("inf"))
        if isinstance(joined, Refused):
            unknown = joined.kind == "not_found"
            return wire_errors.NOT_FOUND if unknown else wire_errors.refusal(joined)
        if joined.problem is not None:
            return await self._refuse_plan(owner, joined)
        # Who joined before may have fetched credentials that this process does not know.
        strange = joined.joined_before and not gateway.scrubbers.known(owner.run_id)
        self._run = RunContext(
            gateway,
            owner,
            project_id=joined.project_id,
            save_dataclips=joined.save_dataclips,
            plan_json=joined.plan_json,
            scrubber=gateway.scrubbers.of(owner.run_id),
        )
        if strange:
            await fetch_credential.learn_all(self._run)
        self.assigns["cancelled"] = joined.cancelled
        return None

    def joined(self) -> None:
        """Ask the worker to end a run that somebody wants cancelled; workers may ignore it."""
        if self.assigns["cancelled"]:
            self.push(RUN_CANCEL, CANCEL_REASON)

    def handle_info(self, message: Any) -> None:
        """Pass on what this process has to ask of the worker."""
        if isinstance(message, Broadcast):
            self.push(message.event, message.payload)

    def handle_in(self, event: Any, payload: Any) -> Reply:
        """Refuse what we do not know; the channel lives on."""
        return self._shaped(wire_errors.UNKNOWN_EVENT)

    def refused(self, reason: str, payload: Any) -> Reply:
        """Shape what the channel server says of a join, as this join asked for."""
        self.assigns["structured"] = wire_errors.wants_structure(payload)
        return self._shaped(wire_errors.refused_join(reason))

    @on(fetch_plan.EVENT)
    def fetch_plan(self, payload: Any) -> Reply:
        """See `handlers.events.fetch_plan`."""
        return fetch_plan.handle(self._run, payload)

    @on(fetch_credential.EVENT)
    async def fetch_credential(self, payload: Any) -> Reply:
        """See `handlers.events.fetch_credential`."""
        return await self._guard(fetch_credential.EVENT, fetch_credential.handle, payload)

    @on(fetch_dataclip.EVENT)
    async def fetch_dataclip(self, payload: Any) -> Reply:
        """See `handlers.events.fetch_dataclip`."""
        return await self._guard(fetch_dataclip.EVENT, fetch_dataclip.handle, payload)

    @on(run_start.EVENT)
    async def run_start(self, payload: Any) -> Reply:
        """See `handlers.events.run_start`."""
        return await self._guard(run_start.EVENT, run_start.handle, payload)

    @on(run_complete.EVENT)
    async def run_complete(self, payload: Any) -> Reply:
        """See `handlers.events.run_complete`."""
        return await self._guard(run_complete.EVENT, run_complete.handle, payload)

    @on(run_log.EVENT)
    async def run_log(self, payload: Any) -> Reply:
        """See `handlers.events.run_log`."""
        return await self._guard(run_log.EVENT, run_log.handle, payload)

    @on(run_batch_logs.EVENT)
    async def run_batch_logs(self, payload: Any) -> Reply:
        """See `handlers.events.run_batch_logs`."""
        return await self._guard(run_batch_logs.EVENT, run_batch_logs.handle, payload)

    @on(step_start.EVENT)
    async def step_start(self, payload: Any) -> Reply:
        """See `handlers.events.step_start`."""
        return await self._guard(step_start.EVENT, step_start.handle, payload)

    @on(step_complete.EVENT)
    async def step_complete(self, payload: Any) -> Reply:
        """See `handlers.events.step_complete`."""
        return await self._guard(step_complete.EVENT, step_complete.handle, payload)

    def _owner(self, payload: Any) -> Owner | None:
        run_id = as_uuid(self.topic.removeprefix(PREFIX))
        if run_id is None:
            return None
        return self._gateway.run_tokens.verify(fields_of(payload).get("token"), run_id)

    async def _guard(self, event: str, handle: EventHandler, payload: Any) -> Reply:
        """Answer `internal_error` for a bug of ours, and keep the channel."""
        try:
            return self._shaped(await handle(self._run, payload))
        except Exception as failure:
            log.exception("event_failed", event_name=event, topic=self.topic, failure=str(failure))
            self._gateway.metrics.internal_errors += 1
            return self._shaped(wire_errors.INTERNAL)

    async def _refuse_plan(self, owner: Owner, joined: Joined) -> Reply:
        """A plan that would kill the worker: end the run instead, with the reason."""
        gateway = self._gateway
        changes = Changeset(
            {"state": "exception", "error_type": "InvalidPlan", "error_message": joined.problem}
        )
        result = await runs.complete(
            gateway.repo, owner, changes, owner.lease.bytes, reported=False
        )
        if isinstance(result, Applied):
            gateway.publish(owner.run_id, joined.project_id, result)
        log.warning("plan_refused", run=str(owner.run_id), problem=joined.problem)
        return wire_errors.because("invalid_plan", "invalid_plan", message=joined.problem)

    def _shaped(self, reply: Reply) -> Reply:
        return wire_errors.structured(reply) if self.assigns["structured"] else reply
