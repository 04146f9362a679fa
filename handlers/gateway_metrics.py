"""What the gateway counts besides what every channel server counts."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class GatewayMetrics(Collector):
    """Counters of one gateway; touched from the event loop's thread only.

    Args:
        registry: where to register.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.claims: Counter[str] = Counter()
        """Claims by result: `runs`, `empty`, `hinted` (no query), `draining`, `unavailable`."""
        self.runs_claimed = 0
        self.runs_released: Counter[str] = Counter()
        """Released claims by reason: `unheard`, `socket_gone`, `clean_shutdown`."""
        self.runs_lost: Counter[str] = Counter()
        """Lost runs by error type."""
        self.runs_completed: Counter[str] = Counter()
        """Completed runs by state."""
        self.events_dropped: Counter[str] = Counter()
        """Events of workers that changed nothing, by reason: `lease_lost`, `too_late`, `resent`."""
        self.logs_dropped: Counter[str] = Counter()
        """Log lines acknowledged and not stored, by reason."""
        self.internal_errors = 0
        self.retries = 0
        self.observed: Callable[[], int] = int
        """Illegal transitions that were let through, with `state_machine = observe`."""
        self.workers: Callable[[], int] = int
        """Open sockets of workers."""
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families; called by the registry."""
        plain = (
            ("runs_claimed", "Runs handed to workers.", self.runs_claimed),
            ("internal_errors", "Events answered internal_error.", self.internal_errors),
            ("retries", "Statements tried again while the database was away.", self.retries),
            ("observed_transitions", "Illegal transitions let through.", self.observed()),
        )
        for name, text, value in plain:
            yield CounterMetricFamily(f"run_gateway_{name}", text, value=value)
        text = "Open sockets of workers."
        yield GaugeMetricFamily("run_gateway_workers_connected", text, value=self.workers())
        labelled = (
            ("claims", "Claims of workers.", "result", self.claims),
            ("runs_released", "Claims given back to the queue.", "reason", self.runs_released),
            ("runs_lost", "Runs marked lost.", "error_type", self.runs_lost),
            ("runs_completed", "Runs completed by workers.", "state", self.runs_completed),
            ("events_dropped", "Events that changed nothing.", "reason", self.events_dropped),
            ("logs_dropped", "Log lines not stored.", "reason", self.logs_dropped),
        )
        for name, text, label, counter in labelled:
            family = CounterMetricFamily(f"run_gateway_{name}", text, labels=[label])
            for key, count in counter.items():
                family.add_metric([key], count)
            yield family
