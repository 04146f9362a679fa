"""How a well-behaved client fares while others attack: pairs of the same measurement.

Each attack runs in a process of its own, on the core of the generator and giving way to it, so that
what it costs the server is what shows. The client asks at a fixed pace and notes how long each
answer took; half of the measurements are without the attack, in turns, because the machine has
moods.

As a program it is the attacker: ``python -m benchmarks.attacks NAME PORT SECONDS``.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.loop import quantile
from benchmarks.process import Server
from benchmarks.wire import Peer, frame, text

PATH: Final = "/socket/websocket?vsn=2.0.0"
PACE: Final = 0.002
"""Seconds between two questions of the well-behaved client."""

GOAL: Final = 1.10
"""Most that the 99th percentile may grow by."""

_HEAD: Final = b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n"


class Effect(msgspec.Struct, frozen=True):
    """What one attack did to the well-behaved client.

    Attributes:
        attack: Its name.
        quiet_ms: 99th percentile without it, median of the repetitions.
        attacked_ms: 99th percentile with it.
        change: How the second compares with the first, median of the pairs.
    """

    attack: str
    quiet_ms: float
    attacked_ms: float
    change: float


def _tcp(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def _until(seconds: float) -> Generator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def fifty_that_do_not_read(port: int, seconds: float) -> None:
    """Ask for echoes of 30 KiB and read none."""
    question = text("1", "2", "room:1", "echo", {"text": "x" * 30_000})
    peers = [Peer(port, PATH) for _ in range(50)]
    for peer in peers:
        peer.join("room:slow")
        peer.sock.setblocking(False)
    for _ in _until(seconds):
        for peer in peers:
            with suppress(OSError):
                peer.sock.send(question)
        time.sleep(0.01)


def half_requests(port: int, seconds: float) -> None:
    """Open connections and send a byte of the request now and then."""
    opened = [_tcp(port) for _ in range(200)]
    for each in opened:
        each.sendall(_HEAD)
    for _ in _until(seconds):
        for each in opened:
            with suppress(OSError):
                each.send(b"X")
        time.sleep(0.2)


def endless_fragments(port: int, seconds: float) -> None:
    """Send messages in fragments that never end, and start anew when closed."""
    start, more = b"\x01\x81" + bytes(4) + b"[", b"\x00\x81" + bytes(4) + b" "
    while seconds > 0:
        began = time.monotonic()
        peer = Peer(port, PATH)
        with suppress(OSError):
            peer.sock.sendall(start)
            for _ in range(1200):
                peer.sock.send(more)
        peer.close()
        time.sleep(0.02)
        seconds -= time.monotonic() - began


def odd_messages(port: int, seconds: float) -> None:
    """Messages for topics that do not exist, at a steady pace."""
    peer = Peer(port, PATH)
    burst = text("1", "2", "nowhere", "__proto__", {"constructor": []}) * 20
    for _ in _until(seconds):
        peer.sock.sendall(burst)
        peer.sock.recv(1 << 16)
        time.sleep(0.01)


def joins_of_ten_thousand_topics(port: int, seconds: float) -> None:
    """Join topic after topic on one connection, past the limit."""
    peer = Peer(port, PATH)
    for count, _ in enumerate(_until(seconds)):
        peer.sock.sendall(text(str(count), "1", f"room:{count}", "phx_join", {}))
        peer.sock.recv(1 << 16)
        time.sleep(0.001)


def deep_json(port: int, seconds: float) -> None:
    """Send what is too deep, and connect again."""
    bad = frame(b"[" * 60_000)
    for _ in _until(seconds):
        peer = Peer(port, PATH)
        with suppress(OSError):
            peer.sock.sendall(bad)
            peer.sock.recv(1 << 16)
        peer.close()
        time.sleep(0.01)


def connections_that_are_cut(port: int, seconds: float) -> None:
    """Connect, join, and vanish."""
    for _ in _until(seconds):
        peer = Peer(port, PATH)
        peer.join("room:cut")
        peer.close()
        time.sleep(0.005)


ATTACKS: Final[dict[str, Callable[[int, float], None]]] = {
    "fifty that do not read": fifty_that_do_not_read,
    "two hundred half requests": half_requests,
    "fragments without end": endless_fragments,
    "odd messages": odd_messages,
    "joins past the limit": joins_of_ten_thousand_topics,
    "too deep JSON": deep_json,
    "connections that are cut": connections_that_are_cut,
}


def p99(peer: Peer, seconds: float) -> float:
    """Milliseconds that the slowest hundredth of the answers took at least."""
    question = text("1", "2", "room:1", "echo", {"text": "x" * 64})
    times: list[float] = []
    due = time.perf_counter()
    for _ in _until(seconds):
        time.sleep(max(0.0, due - time.perf_counter()))
        due += PACE
        asked = time.perf_counter()
        peer.sock.sendall(question)
        peer.receive()
        times.append(time.perf_counter() - asked)
    return quantile(times, 0.99) * 1e3


@contextmanager
def attacking(name: str, port: int, seconds: float) -> Generator[None]:
    """Let an attack go on beside the block."""
    words = [sys.executable, "-m", "benchmarks.attacks", name, str(port), str(seconds)]
    process = subprocess.Popen(words)
    time.sleep(1.0)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def measure(server: Server, name: str, *, seconds: float, repeat: int) -> Effect:
    """Measure with and without an attack, in turns."""
    quiet: list[float] = []
    attacked: list[float] = []
    for _ in range(repeat):
        peer = Peer(server.port, PATH)
        peer.join("room:1")
        quiet.append(p99(peer, seconds))
        with attacking(name, server.port, seconds + 5):
            attacked.append(p99(peer, seconds))
        peer.close()
    changes = [with_it / without for without, with_it in zip(quiet, attacked, strict=True)]
    return Effect(
        name, statistics.median(quiet), statistics.median(attacked), statistics.median(changes)
    )


def show(effects: list[Effect]) -> None:
    """Print a table."""
    table = Table("attack", "p99 quiet", "p99 attacked", "change", "goal")
    for effect in effects:
        row = (f"{effect.quiet_ms:.2f} ms", f"{effect.attacked_ms:.2f} ms")
        table.add_row(effect.attack, *row, f"{effect.change - 1:+.0%}", f"≤ {GOAL - 1:+.0%}")
    Console().print(table)


if __name__ == "__main__":
    # The client shares its core with the attacker: it is to wait for the server, not for that one.
    os.nice(19)
    ATTACKS[sys.argv[1]](int(sys.argv[2]), float(sys.argv[3]))
