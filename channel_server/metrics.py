"""Prometheus metrics of a channel server.

Counting one message must cost far less than handling it, so the counters here are plain integers
that :class:`Metrics` turns into metric families when somebody scrapes. They are only ever touched
from the event loop's thread. Each instance has a registry of its own.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, in seconds, of the duration histograms."""

OTHER = "other"
"""Label of events and statuses that nobody declared: clients must not grow the label set."""

STATUSES = frozenset({"ok", "error", "noreply", "stop", "crash"})


class SendQueue(Protocol):
    """A connection whose client reads slowly."""

    def queued_bytes(self) -> int:
        """Bytes that wait for it."""
        ...


class Durations:
    """A histogram of durations that costs one bisection per observation."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration in seconds."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """The cumulative counts, by upper bound."""
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


class EventStats:
    """What is counted for one event name."""

    __slots__ = ("durations", "statuses")

    def __init__(self) -> None:
        self.durations = Durations()
        self.statuses: Counter[str] = Counter()


class Metrics(Collector):
    """Everything a channel server counts.

    Args:
        registry: Where to register; a new registry if None, so that two servers in one process
            do not collide.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.connections = 0
        self.connects = 0
        self.refusals: Counter[str] = Counter()
        self.disconnects: Counter[str] = Counter()
        self.protocol_errors: Counter[str] = Counter()
        self.joins: Counter[str] = Counter()
        self.join_durations = Durations()
        self.leaves = 0
        self.replies: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.dropped_bytes = 0
        self.coalesced = 0
        self.broadcasts = 0
        self.deliveries = 0
        self.pauses = 0
        self._events: dict[str, EventStats] = {OTHER: EventStats()}
        self.slow_clients: set[SendQueue] = set()
        self.registry.register(self)

    def declare_events(self, events: Iterable[str]) -> None:
        """Give these events a label of their own; all others are counted as ``other``."""
        for event in events:
            self._events.setdefault(event, EventStats())

    # Counting. Called from the event loop's thread only.

    def connected(self) -> None:
        """A websocket was accepted."""
        self.connects += 1
        self.connections += 1

    def refused(self, reason: str) -> None:
        """A websocket was refused before the upgrade; ``reason`` is a short constant."""
        self.refusals[reason] += 1

    def disconnected(self, code: int) -> None:
        """A websocket ended; 1006 if without a closing handshake."""
        self.connections -= 1
        self.disconnects[str(code)] += 1

    def protocol_error(self, reason: str) -> None:
        """A client broke the protocol; ``reason`` is a short constant."""
        self.protocol_errors[reason] += 1

    def joined(self, result: str, seconds: float) -> None:
        """A join ended: ``ok``, ``error``, ``timeout``, ``crash`` or a refusal by a limit."""
        self.joins[result] += 1
        self.join_durations.observe(seconds)

    def left(self) -> None:
        """A channel ended by request of the client."""
        self.leaves += 1

    def handled(self, event: str, status: str, seconds: float) -> None:
        """A message was handled.

        Args:
            event: Its event; undeclared ones are counted as ``other``.
            status: The status of the reply, or ``noreply``, ``stop`` or ``crash``.
            seconds: How long the handler took.
        """
        stats = self._events.get(event)
        if stats is None:
            stats = self._events[OTHER]
        stats.durations.observe(seconds)
        stats.statuses[status if status in STATUSES else OTHER] += 1

    def replied(self, status: str) -> None:
        """A reply was sent."""
        self.replies[status if status in STATUSES else OTHER] += 1

    def crashed(self, callback: str) -> None:
        """A callback of a channel raised; ``callback`` is its name."""
        self.crashes[callback] += 1

    def dropped(self, reason: str, size: int = 0) -> None:
        """A message, or a whole connection, was given up; ``size`` in bytes."""
        self.drops[reason] += 1
        self.dropped_bytes += size

    def broadcasted(self, deliveries: int) -> None:
        """A broadcast was handed to this many subscribers."""
        self.broadcasts += 1
        self.deliveries += deliveries

    def paused(self) -> None:
        """Reading of a connection was paused: a mailbox was full, or it sent too much."""
        self.pauses += 1

    # Reading.

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families; called by the registry."""
        yield from self._gauges()
        yield from self._counters()
        yield from self._event_families()

    def _gauges(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "channel_server_connections", "Open websockets.", value=self.connections
        )
        yield GaugeMetricFamily(
            "channel_server_send_queue_bytes",
            "Bytes waiting for clients that read slowly.",
            value=sum(queue.queued_bytes() for queue in self.slow_clients),
        )
        yield GaugeMetricFamily(
            "channel_server_slow_connections",
            "Connections with bytes waiting.",
            value=len(self.slow_clients),
        )

    def _counters(self) -> Iterator[Metric]:
        plain = (
            ("connects", "Accepted websockets.", self.connects),
            ("leaves", "Channels that the client left.", self.leaves),
            ("dropped_bytes", "Bytes given up for slow clients.", self.dropped_bytes),
            ("coalesced", "Broadcasts left out for clients that were behind.", self.coalesced),
            ("broadcasts", "Broadcasts.", self.broadcasts),
            ("deliveries", "Broadcasts handed to a subscriber.", self.deliveries),
            ("read_pauses", "Times a full mailbox or a rate stopped reading.", self.pauses),
        )
        for name, text, value in plain:
            yield CounterMetricFamily(f"channel_server_{name}", text, value=value)
        labelled = (
            ("refusals", "Refused websockets.", "reason", self.refusals),
            ("disconnects", "Ended websockets.", "code", self.disconnects),
            ("protocol_errors", "Protocol errors of clients.", "reason", self.protocol_errors),
            ("joins", "Joins.", "result", self.joins),
            ("replies", "Replies.", "status", self.replies),
            ("channel_crashes", "Callbacks that raised.", "callback", self.crashes),
            ("drops", "Messages or connections given up.", "reason", self.drops),
        )
        for name, text, label, counter in labelled:
            family = CounterMetricFamily(f"channel_server_{name}", text, labels=[label])
            for key, count in counter.items():
                family.add_metric([key], count)
            yield family

    def _event_families(self) -> Iterator[Metric]:
        joins = HistogramMetricFamily("channel_server_join_seconds", "Duration of joins.")
        joins.add_metric([], self.join_durations.buckets(), self.join_durations.total)
        yield joins
        events = CounterMetricFamily(
            "channel_server_events", "Handled messages.", labels=["event", "status"]
        )
        durations = HistogramMetricFamily(
            "channel_server_event_seconds", "Duration of handlers.", labels=["event"]
        )
        for event, stats in self._events.items():
            for status, count in stats.statuses.items():
                events.add_metric([event, status], count)
            durations.add_metric([event], stats.durations.buckets(), stats.durations.total)
        yield events
        yield durations
