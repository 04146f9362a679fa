"""A transport that keeps what the server sends: tests of a connection need no network."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import structlog
from structlog.stdlib import BoundLogger
from structlog.testing import LogCapture

from channel_server.connection import Connection, ConnectionContext
from channel_server.limits import SocketLimits
from channel_server.metrics import Metrics
from channel_server.pubsub import Broadcast, PubSub
from channel_server.serializer import Encoded, Serializer, negotiate
from channel_server.socket import Socket


class RecordingTransport:
    """Keeps everything; satisfies `channel_server.connection.Transport`.

    Attributes:
        frames: Messages in the order in which they were sent.
        closed: Code and reason of the first close, or None.
        reading: Whether the server wants to receive.
        pauses: How often it stopped receiving.
    """

    def __init__(self) -> None:
        self.frames: list[Encoded] = []
        self.closed: tuple[int, str] | None = None
        self.reading = True
        self.pauses = 0

    def send(self, encoded: Encoded, topic: Any = None) -> None:
        """Keep a message."""
        self.frames.append(encoded)

    def send_broadcast(self, broadcast: Broadcast, serializer: Serializer) -> None:
        """Keep a broadcast."""
        self.frames.append(broadcast.encoded(serializer))

    def close(self, code: int, reason: str) -> None:
        """Note the code and the reason."""
        if self.closed is None:
            self.closed = (code, reason)

    def pause_reading(self) -> None:
        """Note that nothing more is wanted."""
        self.reading = False
        self.pauses += 1

    def resume_reading(self) -> None:
        """Note that more is wanted."""
        self.reading = True

    def congestion(self) -> None:
        """Nobody is slow."""


class RecordedClient:
    """A client of a connection whose transport records.

    Args:
        context: Of the mount.
        socket: An instance; `connect` is not called.
        vsn: The serializer.

    Attributes:
        connection: The server's end.
        transport: What it sends to.
    """

    def __init__(
        self, context: ConnectionContext, socket: Socket, vsn: str | None = "2.0.0"
    ) -> None:
        serializer = negotiate(vsn, context.limits.json_depth)
        if serializer is None:
            raise ValueError(f"no serializer {vsn}")
        self.transport = RecordingTransport()
        self.connection = Connection(context, socket, serializer, self.transport)

    def send(self, *frame: Any) -> None:
        """Send `join_ref, ref, topic, event, payload` as a V2 text frame."""
        self.connection.receive_text(msgspec.json.encode(frame))

    def send_v1(self, **frame: Any) -> None:
        """Send `topic, event, payload, ref` as a V1 text frame."""
        self.connection.receive_text(msgspec.json.encode(frame))

    def take(self) -> list[Any]:
        """What was sent since the last call: JSON decoded, binary as it is."""
        frames, self.transport.frames = self.transport.frames, []
        return [frame.data if frame.binary else msgspec.json.decode(frame.data) for frame in frames]


class RecordedMount:
    """A mounted socket without a port, whose clients and log are recorded.

    Args:
        socket_class: What is mounted.
        limits: Limits that differ from the defaults.

    Attributes:
        context: What its connections share.
        metrics: What was counted.
        pubsub: Where its channels broadcast.
    """

    def __init__(self, socket_class: type[Socket], **limits: Any) -> None:
        self._socket_class = socket_class
        self._capture = LogCapture()
        log = structlog.wrap_logger(
            structlog.PrintLogger(), processors=[self._capture], wrapper_class=BoundLogger
        )
        self.pubsub = PubSub()
        self.metrics = Metrics()
        self.context = ConnectionContext(
            pubsub=self.pubsub,
            limits=SocketLimits(**limits),
            metrics=self.metrics,
            log=cast("BoundLogger", log),
        )

    def client(self, vsn: str | None = "2.0.0", **assigns: Any) -> RecordedClient:
        """A new client; `assigns` stand for what `connect` would have set."""
        socket = self._socket_class()
        socket.assigns.update(assigns)
        return RecordedClient(self.context, socket, vsn)

    def joined(self, topic: str = "room:1", **assigns: Any) -> RecordedClient:
        """A new client that has sent a join with join_ref and ref `1`, the answer taken."""
        client = self.client(**assigns)
        client.send("1", "1", topic, "phx_join", {})
        client.take()
        return client

    def lines(self, event: str) -> list[Any]:
        """The log lines of an event."""
        return [line for line in self._capture.entries if line["event"] == event]


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until a condition holds.

    Raises:
        TimeoutError: It did not within 5 seconds.
    """
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition, not only what sets an event
            await asyncio.sleep(0)


async def settle(turns: int = 10) -> None:
    """Let the event loop run for some turns, enough for everything that waits for nothing."""
    for _ in range(turns):
        await asyncio.sleep(0)
