"""How workers and dashboards fare while others attack: the same load, with and without each attack.

The server is a gateway with its default settings, and the load what it is for: workers report runs
to a durable PostgreSQL, dashboards watch and send heartbeats. Each attack runs in a process of its
own, on the core of the generator and giving way to it, so that what it costs the server is what
shows. It is halted in every other slice of a measurement, because machines have moods, and slices
are compared in pairs of neighbours. ``nothing`` is an attack that does nothing: what is said of it
is what the machine does by itself.

As a program it is the attacker: ``python -m benchmarks.attacks NAME PORT USER_TOKEN WORKER_TOKEN``.
"""

import itertools
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.loop import quantile
from benchmarks.paced import paced
from benchmarks.runs import Stage
from benchmarks.wire import Peer, PeerError, frame, text

WORKERS: Final = 8
DASHBOARDS: Final = 4
PACE: Final = 0.02
"""Seconds between two messages of a worker, and two heartbeats of a dashboard."""

SLICE: Final = 1.0
"""Seconds with the attack, and then without it."""

SETTLING: Final = 0.2
"""Seconds after a turn in which nothing is noted: what began before it is still being answered."""

GOAL: Final = 1.10
"""Most that the 99th percentile may grow by."""


class Effect(msgspec.Struct, frozen=True):
    """What one attack did to others.

    Attributes:
        attack: Its name.
        who: Whose answers these are: `workers` or `dashboards`.
        quiet_ms: 99th percentile of a slice without it, median of the slices.
        attacked_ms: 99th percentile of a slice with it.
        change: How the second compares with the first, median of the pairs.
        least: That median is no less, with 95 % confidence,
        most: and no more.
        cpu: Share of a core that the attack costs the server.
    """

    attack: str
    who: str
    quiet_ms: float
    attacked_ms: float
    change: float
    least: float
    most: float
    cpu: float


class Prey:
    """What an attacker knows of the server.

    Args:
        port: Where it listens on loopback.
        user: Token of a dashboard.
        worker: Token of a worker.
    """

    def __init__(self, port: int, user: str, worker: str) -> None:
        self.port = port
        self._paths = {
            "socket": f"/socket/websocket?vsn=2.0.0&token={user}",
            "worker": f"/worker/websocket?vsn=2.0.0&token={worker}",
            "stranger": f"/socket/websocket?vsn=2.0.0&token={user[:-8]}AAAAAAAA",
        }

    def tcp(self) -> socket.socket:
        """A connection on which nothing was sent yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def peer(self, mount: str = "socket") -> Peer:
        """A websocket.

        Raises:
            PeerError: It was refused.
        """
        return Peer(self.port, self._paths[mount])


Attack = Callable[[Prey], Iterator[float]]
"""Attacks step by step; says how many seconds to wait before the next."""


def nothing(prey: Prey) -> Iterator[float]:
    """Do nothing: what is measured then is how much the machine itself varies."""
    while True:
        yield 1.0


def forged_tokens_elsewhere(prey: Prey) -> Iterator[float]:
    """Work as much as for forged tokens, on a server that is somebody else's."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        prey.port = int(other.getsockname()[1])
        refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        while True:
            asking = prey.tcp()
            answering, _ = other.accept()
            asking.sendall(b"GET /socket/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
            answering.recv(1 << 16)
            answering.sendall(refusal)
            asking.recv(1 << 16)
            answering.close()
            asking.close()
            yield 0.01


def fifty_that_do_not_read(prey: Prey) -> Iterator[float]:
    """Ask again and again, and read no answer."""
    question = text(None, "1", "phoenix", "heartbeat", {"text": "x" * 30_000})
    peers = [prey.peer() for _ in range(50)]
    for peer in peers:
        peer.sock.setblocking(False)
    while True:
        for peer in peers:
            with suppress(OSError):
                peer.sock.send(question)
        yield 0.01


def half_requests(prey: Prey) -> Iterator[float]:
    """Open connections and send a byte of the request now and then."""
    opened = [prey.tcp() for _ in range(200)]
    for each in opened:
        each.sendall(b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nX: ")
    while True:
        for each in opened:
            with suppress(OSError):
                each.send(b"x")
        yield 0.2


def endless_fragments(prey: Prey) -> Iterator[float]:
    """Send messages in fragments that never end, and start anew when closed."""
    start, more = b"\x01\x81" + bytes(4) + b"[", b"\x00\x81" + bytes(4) + b" "
    while True:
        peer = prey.peer()
        with suppress(OSError):
            peer.sock.sendall(start + more * 1200)
        yield 0.02
        peer.close()


def odd_messages(prey: Prey) -> Iterator[float]:
    """Messages for topics that do not exist, at a steady pace."""
    peer = prey.peer()
    burst = text("1", "2", "nowhere", "__proto__", {"constructor": []}) * 20
    while True:
        with suppress(OSError):
            peer.sock.sendall(burst)
            if not peer.sock.recv(1 << 16):
                peer = prey.peer()
        yield 0.01


def a_worker_that_floods(prey: Prey) -> Iterator[float]:
    """Messages that mean nothing, more than a worker may send."""
    peer = prey.peer("worker")
    peer.join("worker:queue")
    peer.sock.setblocking(False)
    burst = text("1", "2", "worker:queue", "nonsense", {"x": 1}) * 100
    while True:
        with suppress(OSError):
            peer.sock.send(burst)
        with suppress(OSError):
            peer.sock.recv(1 << 20)
        yield 0.01


def joins_past_the_limit(prey: Prey) -> Iterator[float]:
    """Join topic after topic on one connection."""
    peer = prey.peer("worker")
    for count in itertools.count():
        topic = f"run:{count:08}-0000-4000-8000-000000000000"
        peer.sock.sendall(text(str(count), str(count), topic, "phx_join", {"token": "x"}))
        peer.sock.recv(1 << 16)
        yield 0.002


def deep_json(prey: Prey) -> Iterator[float]:
    """Send what is too deep, and connect again."""
    bad = frame(b"[" * 60_000)
    while True:
        peer = prey.peer()
        with suppress(OSError):
            peer.sock.sendall(bad)
            peer.sock.recv(1 << 16)
        peer.close()
        yield 0.02


def connections_that_are_cut(prey: Prey) -> Iterator[float]:
    """Connect, join, and vanish."""
    while True:
        peer = prey.peer("worker")
        peer.send("1", "1", "worker:queue", "phx_join", {})
        yield 0.02
        peer.close()


def forged_tokens(prey: Prey) -> Iterator[float]:
    """Ask for websockets with a token that somebody else signed."""
    while True:
        with suppress(PeerError):
            prey.peer("stranger").close()
        yield 0.01


def requests_without_a_token(prey: Prey) -> Iterator[float]:
    """Ask the API on one connection, without a token."""
    asked = prey.tcp()
    while True:
        asked.sendall(b"GET /api/runs HTTP/1.1\r\nHost: x\r\n\r\n")
        asked.recv(1 << 16)
        yield 0.005


ATTACKS: Final[dict[str, Attack]] = {
    "nothing": nothing,
    "forged tokens, elsewhere": forged_tokens_elsewhere,
    "fifty that do not read": fifty_that_do_not_read,
    "two hundred half requests": half_requests,
    "fragments without end": endless_fragments,
    "odd messages": odd_messages,
    "a worker that floods": a_worker_that_floods,
    "joins past the limit": joins_past_the_limit,
    "too deep JSON": deep_json,
    "connections that are cut": connections_that_are_cut,
    "forged tokens": forged_tokens,
    "requests without a token": requests_without_a_token,
}


@contextmanager
def attacker(stage: Stage, name: str) -> Generator["subprocess.Popen[bytes]"]:
    """A process that attacks, from the first step on, for as long as the block runs."""
    words = [sys.executable, "-m", "benchmarks.attacks", name, str(stage.server.port)]
    tokens = [stage.user_token(), stage.worker_token("attacker")]
    process = subprocess.Popen([*words, *tokens], stdout=subprocess.PIPE)
    try:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError(f"the attack {name!r} did not begin")
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Notes:
    """What each slice showed: of answers the 99th percentile, of the server its processor time."""

    def __init__(self) -> None:
        self.p99: dict[tuple[str, bool], list[float]] = {}
        self.cpu: dict[bool, list[float]] = {False: [], True: []}

    def add(self, attacked: bool, times: dict[str, list[float]], cpu: float) -> None:
        for who, each in times.items():
            self.p99.setdefault((who, attacked), []).append(quantile(each, 0.99) * 1e3)
        self.cpu[attacked].append(cpu)

    def effect(self, attack: str, who: str) -> Effect:
        quiet, attacked = self.p99[who, False], self.p99[who, True]
        changes = [after / before for before, after in zip(quiet, attacked, strict=True)]
        least, most = confidence(changes)
        return Effect(
            attack=attack,
            who=who,
            quiet_ms=statistics.median(quiet),
            attacked_ms=statistics.median(attacked),
            change=statistics.median(changes),
            least=least,
            most=most,
            cpu=(statistics.fmean(self.cpu[True]) - statistics.fmean(self.cpu[False])) / SLICE,
        )


def confidence(values: list[float]) -> tuple[float, float]:
    """Between which of the values their true median is, with 95 % confidence.

    By the ranks of a sign test, which asks nothing of how they are distributed.
    """
    ranked, half = sorted(values), 0.98 * math.sqrt(len(values))
    middle = (len(values) - 1) / 2
    last = len(values) - 1
    return ranked[max(0, math.floor(middle - half))], ranked[min(last, math.ceil(middle + half))]


def _observe(stage: Stage, name: str, seconds: float, notes: _Notes) -> None:
    """Measure for some seconds with the attack, and as many without, in turns."""
    pairs = max(1, round(seconds / SLICE))
    length = SLICE + SETTLING
    with (
        paced(stage, WORKERS, DASHBOARDS, PACE, (2 * pairs + 2) * length) as load,
        attacker(stage, name) as process,
    ):
        load.run(SLICE)
        # One pair begins with the attack, the next without: neither has the better time.
        for attacked in itertools.islice(itertools.cycle((True, False, False, True)), 2 * pairs):
            process.send_signal(signal.SIGCONT if attacked else signal.SIGSTOP)
            load.run(SETTLING)
            load.forget()
            began = stage.server.cpu()
            load.run(SLICE)
            notes.add(attacked, load.times(), stage.server.cpu() - began)


def measure(stage: Stage, name: str, *, seconds: float, repeat: int) -> list[Effect]:
    """Measure what one attack does to workers and to dashboards."""
    notes = _Notes()
    for _ in range(repeat):
        _observe(stage, name, seconds, notes)
    return [notes.effect(name, who) for who in ("workers", "dashboards")]


def show(effects: list[Effect]) -> None:
    """Print a table."""
    goal = f"≤ {GOAL - 1:+.0%}"
    table = Table("attack", "who", "p99 quiet", "p99 attacked", "change", "95 %", "goal", "core")
    for effect in effects:
        row = (f"{effect.quiet_ms:.2f} ms", f"{effect.attacked_ms:.2f} ms")
        change = f"{effect.change - 1:+.0%}"
        sure = f"{effect.least - 1:+.0%} … {effect.most - 1:+.0%}"
        table.add_row(effect.attack, effect.who, *row, change, sure, goal, f"{effect.cpu:.1%}")
    Console().print(table)


def attack() -> None:
    """Be the attacker, until killed."""
    name, port, user, worker = sys.argv[1:]
    # The load shares its core with the attacker: it is to wait for the server, not for that one.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    for count, pause in enumerate(ATTACKS[name](Prey(int(port), user, worker))):
        if count == 0:
            sys.stdout.write("attacking\n")
            sys.stdout.flush()
        time.sleep(pause)


if __name__ == "__main__":
    attack()
