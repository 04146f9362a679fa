"""A steady load on a gateway: workers that report runs, dashboards that watch and ask.

Unlike the scenario of whole runs it goes no faster than it was told, so that how long answers take
says what else the server was busy with.
"""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.loop import Loop
from benchmarks.runs import Stage
from benchmarks.walking import Run, Worker
from benchmarks.wire import Peer, PeerError, split, text

_HEARTBEAT: Final = text(None, "hb", "phoenix", "heartbeat", {})
_LONGEST: Final = 1.0
_REPLY: Final = b'[null,"hb","phoenix"'


class Dashboard:
    """A connection that watches, and sends a heartbeat now and then.

    Args:
        peer: The connection.
        pace: Seconds between two heartbeats.

    Attributes:
        times: Seconds that each reply took.
        due: When the next heartbeat is to be sent; infinite while one is not answered.
    """

    __slots__ = ("_buffer", "_pace", "_peer", "_sent", "due", "times")

    def __init__(self, peer: Peer, pace: float) -> None:
        self.times: list[float] = []
        self.due = 0.0
        self._peer = peer
        self._pace = pace
        self._sent = 0.0
        self._buffer = b""

    def send(self) -> None:
        """Send a heartbeat."""
        self.due = math.inf
        self._sent = time.perf_counter()
        self._peer.sock.sendall(_HEARTBEAT)

    def received(self, data: memoryview) -> None:
        """Take broadcasts and replies."""
        self._buffer += data
        while (found := split(self._buffer)) is not None:
            payload, used = found
            self._buffer = self._buffer[used:]
            if payload.startswith(_REPLY):
                self.times.append(time.perf_counter() - self._sent)
                self.due = self._sent + self._pace


class Load:
    """Workers and dashboards, each at its pace.

    Args:
        workers: By connection.
        dashboards: By connection.
        runs: What the workers walk.
    """

    def __init__(
        self, workers: dict[Peer, Worker], dashboards: dict[Peer, Dashboard], runs: Iterator[Run]
    ) -> None:
        self._workers = workers
        self._dashboards = dashboards
        self._runs = runs
        self._all = [*workers.values(), *dashboards.values()]
        self._loop = Loop([*workers, *dashboards], self._received)
        for worker in workers.values():
            self._next_run(worker)

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        self._loop.run(time.monotonic() + seconds, self._tick)

    def forget(self) -> None:
        """Forget the times that were noted."""
        for one in self._all:
            one.times.clear()

    def times(self) -> dict[str, list[float]]:
        """Seconds that the replies took, to `workers` and to `dashboards`."""
        return {
            "workers": [value for one in self._workers.values() for value in one.times],
            "dashboards": [value for one in self._dashboards.values() for value in one.times],
        }

    def close(self) -> None:
        """Close every connection."""
        self._loop.close()

    def _tick(self) -> float:
        now = time.perf_counter()
        for one in self._all:
            if one.due <= now:
                one.send()
        # A wait is a whole number of milliseconds: what is due within one is looked for.
        return max(0.0, min(_LONGEST, *(one.due - now for one in self._all)) - 0.001)

    def _received(self, peer: Peer, size: int) -> None:
        data = self._loop.data[:size]
        dashboard = self._dashboards.get(peer)
        if dashboard is not None:
            dashboard.received(data)
        elif self._workers[peer].received(data):
            self._next_run(self._workers[peer])

    def _next_run(self, worker: Worker) -> None:
        run = next(self._runs, None)
        if run is None:
            raise PeerError("all prepared runs are walked")
        worker.walk(run)


@contextmanager
def paced(
    stage: Stage, workers: int, dashboards: int, pace: float, seconds: float
) -> Generator[Load]:
    """A load for at most so many seconds.

    Args:
        stage: The gateway.
        workers: How many.
        dashboards: How many.
        pace: Seconds between two messages of one of them.
        seconds: For which runs are prepared.
    """
    # A walk has a join and a leave besides its messages.
    most = workers * (int(seconds / pace / 16) + 2)
    runs = iter(stage.claimed(most))
    load = Load(
        {peer: Worker(peer, pace) for peer in stage.workers(workers)},
        {peer: Dashboard(peer, pace) for peer in stage.dashboards(dashboards)},
        runs,
    )
    try:
        yield load
    finally:
        load.close()
