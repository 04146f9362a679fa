"""What changed, told after the commit: notifications of the database become calls to subscribers.

The database sends one for every committed change of a job's state, message or metadata and of a
pipeline's status (triggers, so that no writer can forget it). Delivery is at most once; after a
reconnect ``resync`` events ask everybody to read again.
"""

from collections.abc import Callable
from uuid import UUID

import msgspec
import structlog

log = structlog.stdlib.get_logger(__name__)

CHANNEL = "pipeline_jobs"
"""Name of the notification channel."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a pipeline changed; read it to see what.

    Attributes:
        pipeline: Which one; None when anything may have changed.
        job: The job, if it was one.
        job_type: Its type.
        state: Its state.
        result: Its result.
        status: New status of the pipeline, if it was that.
        module: Module of it.
        year: Year of it.
        tenant: Tenant of it.
    """

    pipeline: UUID | None = None
    job: int | None = None
    job_type: str | None = None
    state: str | None = None
    result: str | None = None
    status: str | None = None
    module: int | None = None
    year: int | None = None
    tenant: str | None = None


RESYNC = JobEvent()
"""Anything may have changed."""

Subscriber = Callable[[JobEvent], None]
"""Called on the event loop; must not block. Exceptions are logged."""


class EventHub:
    """Hands events of one process to its subscribers."""

    def __init__(self) -> None:
        self._all: list[Subscriber] = []
        self._by_pipeline: dict[UUID, list[Subscriber]] = {}

    def subscribe(
        self, subscriber: Subscriber, *, pipeline_id: UUID | None = None
    ) -> Callable[[], None]:
        """Call ``subscriber`` with each event, or with those of one pipeline and with resyncs.

        Returns:
            A function that ends it; calling it twice is fine.
        """
        if pipeline_id is None:
            subscribers = self._all
        else:
            subscribers = self._by_pipeline.setdefault(pipeline_id, [])
        subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in subscribers:
                subscribers.remove(subscriber)
            if pipeline_id is not None and self._by_pipeline.get(pipeline_id) == []:
                del self._by_pipeline[pipeline_id]

        return unsubscribe

    @property
    def subscribers(self) -> int:
        """Number of subscriptions."""
        return len(self._all) + sum(len(some) for some in self._by_pipeline.values())

    def receive(self, payload: str) -> None:
        """Take a notification of the database; what is not one of ours is logged and ignored."""
        try:
            event = msgspec.json.decode(payload, type=JobEvent)
        except msgspec.DecodeError as error:
            log.warning("pipeline_notification_ignored", error=str(error))
            return
        self.publish(event)

    def resync(self) -> None:
        """Tell everybody that anything may have changed."""
        self.publish(RESYNC)

    def publish(self, event: JobEvent) -> None:
        """Hand an event to its subscribers."""
        targets = list(self._all)
        if event.pipeline is None:
            targets += [each for some in self._by_pipeline.values() for each in some]
        else:
            targets += self._by_pipeline.get(event.pipeline, [])
        for subscriber in targets:
            try:
                subscriber(event)
            except Exception:
                log.exception("pipeline_subscriber_failed")
