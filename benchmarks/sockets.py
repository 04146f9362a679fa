"""Scenarios without a database: echo, fan-out, idle connections."""

import time
from collections import deque
from functools import partial
from typing import Any, Final

from benchmarks.loop import Loop, quantile
from benchmarks.process import Server
from benchmarks.report import Figures
from benchmarks.wire import Peer, PeerError, text

PATH: Final = "/socket/websocket?vsn=2.0.0"
WARM_UP: Final = 1.0
ECHO_BYTES: Final = 64
FAN_OUT_BYTES: Final = 200
AHEAD: Final = 2  # broadcasts under way


def connect(port: int, count: int, topic: str = "room:1") -> list[Peer]:
    """Open connections and join a topic on each."""
    peers = [Peer(port, PATH) for _ in range(count)]
    for peer in peers:
        peer.join(topic)
    return peers


class _Echo:
    """A closed loop: each reply is followed by the next message.

    Every message is the same bytes, and so every reply is: the generator has next to nothing to do.
    """

    def __init__(self, peers: list[Peer], in_flight: int) -> None:
        self._in_flight = in_flight
        self._frame = text("1", "2", "room:1", "echo", {"text": "x" * ECHO_BYTES})
        self._bursts = [self._frame * count for count in range(in_flight + 1)]
        self._sent: dict[Peer, deque[float]] = {peer: deque() for peer in peers}
        self._carry = dict.fromkeys(peers, 0)
        self.replies = 0
        self.times: list[float] = []
        self.reply_bytes = 0

    def measure_reply(self, peer: Peer) -> None:
        """Learn how long a reply is, and that it is what it should be."""
        peer.sock.sendall(self._frame)
        payload, self.reply_bytes = peer.receive()
        if b'"ok"' not in payload or b"xxxx" not in payload:
            raise PeerError(payload.decode())

    def start(self, peer: Peer) -> None:
        """Send the first messages of a connection."""
        self._sent[peer].extend([time.perf_counter()] * self._in_flight)
        peer.sock.send(self._bursts[self._in_flight])

    def received(self, peer: Peer, size: int) -> None:
        """Count whole replies by their length, and send as many messages."""
        count, self._carry[peer] = divmod(self._carry[peer] + size, self.reply_bytes)
        if not count:
            return
        now, sent = time.perf_counter(), self._sent[peer]
        for _ in range(count):
            self.times.append(now - sent.popleft())
            sent.append(now)
        self.replies += count
        peer.sock.send(self._bursts[count])


def echo(server: Server, *, in_flight: int, seconds: float, connections: int = 50) -> Figures:
    """Messages that are answered with their own payload."""
    peers = connect(server.port, connections)
    load = _Echo(peers, in_flight)
    load.measure_reply(peers[0])
    loop = Loop(peers, load.received)
    for peer in peers:
        load.start(peer)
    loop.run(time.monotonic() + WARM_UP)
    load.times.clear()
    replies, cpu, began = load.replies, server.cpu(), time.perf_counter()
    loop.run(time.monotonic() + seconds)
    elapsed = time.perf_counter() - began
    done, cpu = load.replies - replies, server.cpu() - cpu
    loop.close()
    return Figures(
        rate=done / elapsed,
        p50_ms=quantile(load.times, 0.5) * 1e3,
        p99_ms=quantile(load.times, 0.99) * 1e3,
        cpu_us=cpu / done * 1e6,
    )


class _FanOut:
    """Broadcasts, each of which every subscriber gets."""

    def __init__(self, sender: Peer, subscribers: int) -> None:
        self._sender = sender
        self._subscribers = subscribers
        self._frame = text("1", "2", "room:1", "bcast", {"text": "x" * FAN_OUT_BYTES})
        self.received_bytes = 0
        self.broadcasts = 0
        self.broadcast_bytes = 0
        self._due = 0

    def measure(self, subscriber: Peer) -> None:
        """Learn how long a broadcast is."""
        self._sender.sock.sendall(self._frame)
        payload, self.broadcast_bytes = subscriber.receive()
        if b'"msg"' not in payload:
            raise PeerError(payload.decode())
        self._due = self._subscribers * self.broadcast_bytes

    def send(self) -> None:
        """Broadcast once more."""
        self.broadcasts += 1
        self._sender.sock.sendall(self._frame)

    @property
    def deliveries(self) -> float:
        """How many broadcasts have arrived, over all subscribers."""
        return self.received_bytes / self.broadcast_bytes

    def received(self, peer: Peer, size: int) -> None:
        """Count, and keep a few broadcasts under way."""
        if peer is self._sender:
            return
        self.received_bytes += size
        if self.received_bytes >= self._due:
            self._due += self._subscribers * self.broadcast_bytes
            self.send()


def fan_out(server: Server, *, seconds: float, subscribers: int = 1000) -> Figures:
    """One message to all; a delivery is one subscriber that got one message."""
    # The sender is in the room, and gets each message too; what it reads is not counted.
    peers = connect(server.port, subscribers)
    sender = connect(server.port, 1)[0]
    load = _FanOut(sender, subscribers)
    load.measure(peers[0])
    for peer in peers[1:]:
        peer.receive()
    loop = Loop([*peers, sender], load.received)
    for _ in range(AHEAD):
        load.send()
    loop.run(time.monotonic() + WARM_UP)
    before, cpu, began = load.deliveries, server.cpu(), time.perf_counter()
    loop.run(time.monotonic() + seconds)
    elapsed = time.perf_counter() - began
    done, cpu = load.deliveries - before, server.cpu() - cpu
    loop.close()
    return Figures(rate=done / elapsed, cpu_us=cpu / done * 1e6)


def idle(server: Server, *, connections: int) -> Figures:
    """Connections that joined one topic each and say nothing."""
    warm = [Peer(server.port, PATH) for _ in range(50)]
    for peer in warm:
        peer.join("room:1")
        peer.close()
    before, began = server.memory(), time.perf_counter()
    peers: list[Peer] = []
    for number in range(connections):
        peer = Peer(server.port, PATH)
        peer.join(f"room:{number}")
        peers.append(peer)
    elapsed = time.perf_counter() - began
    memory = server.memory() - before
    for peer in peers:
        peer.close()
    return Figures(rate=connections / elapsed, kib=memory / connections / 1024)


SCENARIOS: dict[str, tuple[str, str, Any]] = {
    "echo, 50 connections, 1 in flight": ("replies/s", "≥ 50,000", partial(echo, in_flight=1)),
    "echo, 50 connections, 8 in flight": ("replies/s", "≥ 110,000", partial(echo, in_flight=8)),
    "fan-out to 1,000, 200 bytes": ("deliveries/s", "≥ 110,000", fan_out),
}
