"""Many connections in one `epoll` loop, and how long each answer took."""

import select
import time
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.wire import READ, Peer, PeerError

Received = Callable[[Peer, int], None]

_WAIT: Final = 1.0


class Loop:
    """Reads whatever arrives on any of the peers.

    Args:
        peers: Connections; they become non-blocking.
        received: Called with the size of each piece of data, which is in `data` until it returns.

    Attributes:
        data: What arrived last.
    """

    def __init__(self, peers: Sequence[Peer], received: Received) -> None:
        self._received = received
        self._buffer = bytearray(READ)
        self.data = memoryview(self._buffer)
        self._peers = {peer.sock.fileno(): peer for peer in peers}
        self._epoll = select.epoll()
        for number, peer in self._peers.items():
            peer.sock.setblocking(False)
            self._epoll.register(number, select.EPOLLIN)

    def run(self, deadline: float, tick: Callable[[], float] = lambda: _WAIT) -> None:
        """Read until the monotonic time of the deadline.

        Args:
            deadline: When to end.
            tick: Called before each wait; says how many seconds that may last.
        """
        buffer, peers, received = self._buffer, self._peers, self._received
        while time.monotonic() < deadline:
            for number, _ in self._epoll.poll(tick()):
                peer = peers[number]
                size = peer.sock.recv_into(buffer)
                if not size:
                    raise PeerError("the server closed the connection")
                received(peer, size)

    def close(self) -> None:
        """Close every connection."""
        self._epoll.close()
        for peer in self._peers.values():
            peer.close()


def quantile(samples: list[float], share: float) -> float:
    """The sample below which this share of them lies; 0 without samples."""
    if not samples:
        return 0.0
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
