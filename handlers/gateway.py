"""What all channels, services and controllers of one application share."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import msgspec

from channel_server.log import get_logger
from channel_server.pubsub import PubSub
from handlers import keyring
from handlers.config import Settings
from handlers.feeds.feeds import Feeds
from handlers.gateway_metrics import GatewayMetrics
from handlers.jobs.engine import build_engine
from handlers.log_writer import LogWriter
from handlers.pipeline_feed import PipelineFeed
from handlers.presence import Presence
from handlers.queue_hint import QueueHint
from handlers.remark_writer import RemarkWriter
from handlers.request_rates import RequestRates
from handlers.revocations import Revocations, RevocationWatch
from handlers.scrubber import Scrubbers
from handlers.webhook_replies import Outcome, WebhookReplies
from handlers.work_available import WorkAvailable
from handlers.workers_feed import WorkersFeed
from schema.outcomes import Applied, Event, Owner, is_final
from schema.repo import Repo

RUN_UPDATED = "run:updated"

RUN_CANCEL = "run:cancel"
CANCEL_REASON = {"reason": "cancelled"}
"""What a worker is told with ``run:cancel``."""

CLAIM_TURNS = 4
"""Claims of one process under way at one time: more would only race each other for runs."""

log = get_logger(__name__)


def asked_topic(run_id: UUID) -> str:
    """The topic inside of this process to which the workers of a run listen; no socket's topic."""
    return f"worker_of:{run_id}"


class Gateway:
    """The parts of the run gateway.

    Args:
        settings: the configuration.
        repo: the door to the database.
        pubsub: where dashboards and workers are subscribed.
        metrics: what is counted.

    Attributes:
        draining: claims are answered with no runs from now on.
        listening: says whether this process hears the notices of the database.
        engine: durable jobs; started and stopped with the application.
        feed: pipelines as they change.
        feeds: runs and projects as they change.
        presence: which workers are connected here.
        remarks: what was odd about the events of runs.
    """

    def __init__(
        self, settings: Settings, repo: Repo, pubsub: PubSub, metrics: GatewayMetrics
    ) -> None:
        self.settings = settings
        self.repo = repo
        self.pubsub = pubsub
        self.metrics = metrics
        metrics.observed = lambda: repo.violations_observed
        self.revocations = Revocations()
        self.revocation_watch = RevocationWatch(
            repo, self.revocations, pubsub, settings.revocation_recheck
        )
        self.worker_tokens = keyring.worker_tokens(settings, self.revocations)
        self.run_tokens = keyring.run_tokens(settings)
        self.user_tokens = keyring.user_tokens(settings, self.revocations)
        self.cipher = keyring.cipher(settings)
        self.rates = RequestRates(settings)
        self.hint = QueueHint(settings.queue_recheck)
        self.work_available = WorkAvailable(pubsub, settings.work_available_interval)
        self.webhooks = WebhookReplies()
        self.scrubbers = Scrubbers()
        self.claim_turns = asyncio.Semaphore(CLAIM_TURNS)
        self.log_writer = LogWriter(repo)
        self.engine = build_engine(settings, repo, {"gateway": self})
        self.feed = PipelineFeed(self.engine)
        self.feeds = Feeds(repo, pubsub)
        self.presence = Presence(settings, repo, self._said_goodbye)
        self.remarks = RemarkWriter(repo, pubsub)
        self.workers_feed = WorkersFeed(settings, repo, pubsub)
        self.presence.changed = self.workers_feed.changed
        metrics.workers = lambda: self.presence.connected
        self.draining = False
        self.listening: Callable[[], bool] = lambda: False

    def run_token(self, owner: Owner, run_timeout_ms: int | None, *, previous: bool = False) -> str:
        """The token that comes with a claim; it outlives the run and its outages."""
        settings = self.settings
        timeout = settings.run_timeout if run_timeout_ms is None else run_timeout_ms / 1000
        lifetime = timeout + settings.run_grace + settings.run_token_extra
        return self.run_tokens.issue(owner, lifetime, previous=previous)

    def publish(self, run_id: UUID, project_id: UUID, applied: Applied) -> None:
        """Tell everybody who watches of one committed change of a run."""
        self.publish_event(
            Event(
                *(run_id, project_id, applied.version, applied.event, applied.payload_json),
                applied.seq,
            )
        )

    def publish_event(self, event: Event) -> None:
        """Tell everybody who watches of one event that the schema returned."""
        self.feeds.publish(event)

    def cancel_asked(self, run_id: UUID) -> None:
        """Ask the worker of a run to end it, if it is connected to this process."""
        self.pubsub.broadcast(asked_topic(run_id), RUN_CANCEL, CANCEL_REASON)

    def queue_changed(self) -> None:
        """A run may be claimable: ask the database again, and tell the workers."""
        self.hint.invalidate()
        self.work_available.notify()

    def _said_goodbye(self, events: list[Event]) -> None:
        self.metrics.runs_released["clean_shutdown"] += len(events)
        for event in events:
            log.info("claim_released", run=str(event.run_id), reason="clean_shutdown")
            self.publish_event(event)
            self.answer_caller(event)
        self.queue_changed()

    def run_ended(self) -> None:
        """A run is over: a workflow or project that was at its limit has room again."""
        if self.hint.holds_back:
            self.work_available.notify()
        self.hint.invalidate()

    def answer_caller(self, event: Event) -> None:
        """Answer the HTTP caller who waits for this run, if the event is the end of it.

        For runs that end without their worker: lost, or cancelled by an operator.
        """
        run_id = str(event.run_id)
        if event.name != RUN_UPDATED or not self.webhooks.waits_for(run_id):
            return
        told = msgspec.json.decode(event.payload_json)
        if is_final(told["run"]["state"]):
            self.webhooks.run_ended(run_id, Outcome(told["run"]))
