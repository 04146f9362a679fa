"""Connections without a network: the whole channel server but for its transport.

Frames go through the real serializers and `channel_server.connection`; what is missing is what
belongs to the transport: handshake headers and origins, frame limits, timeouts, the bounded send
queue, and the closing at `expires_at`. Test those over a real websocket.
"""

# ruff: noqa: ASYNC109 - callers give a timeout per call; it is part of the API

import asyncio
from collections.abc import Mapping
from typing import Any

from channel_server.client_errors import ConnectRefused, Disconnected
from channel_server.client_frames import V2, decode
from channel_server.connection import Connection, ConnectionContext
from channel_server.limits import SocketLimits
from channel_server.metrics import Metrics
from channel_server.pubsub import Broadcast, PubSub
from channel_server.serializer import Encoded, Serializer, negotiate
from channel_server.socket import ClientClose, ConnectInfo, Refuse, Socket
from channel_server.socket import connect as connect_socket
from channel_server.testing.peer import IN_PROCESS_TIMEOUT, Peer

BUSY_LIMIT = 10.0
"""Seconds that a busy channel may keep an assertion waiting beyond its timeout."""

GONE = 1006
"""Stands for a connection that broke."""

_IDLE_TURNS = 3
_POLL = 0.001


class InProcess:
    """A channel server without a port.

    Args:
        mounts: The sockets by path.
        pubsub: Shared with others; a new one if None.
        limits: For all mounts; each socket's own if None.
        metrics: What is counted; a new one if None.

    Attributes:
        pubsub: Where channels broadcast; tests may broadcast from outside here.
        metrics: What was counted.
        ready: False refuses connections with 503, as a server that starts or drains does.
        peers: All connections that were made.
    """

    def __init__(
        self,
        mounts: Mapping[str, type[Socket]],
        *,
        pubsub: PubSub | None = None,
        limits: SocketLimits | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.pubsub = PubSub() if pubsub is None else pubsub
        self.metrics = Metrics() if metrics is None else metrics
        self.ready = True
        self.peers: list[InProcessPeer] = []
        self._mounts = dict(mounts)
        self._limits = limits

    async def dial(self, mount: str, params: Mapping[str, Any], vsn: str) -> Peer:
        """Connect, as `channel_server.testing.replay.Dial` wants it."""
        return await self.connect(mount, params, vsn=vsn)

    async def connect(
        self,
        mount: str,
        params: Mapping[str, Any] | None = None,
        *,
        vsn: str = V2,
        info: ConnectInfo | None = None,
        timeout: float = IN_PROCESS_TIMEOUT,
    ) -> "InProcessPeer":
        """Connect to a mount.

        Args:
            mount: The path.
            params: What the socket's `connect` gets, beside `vsn`.
            vsn: The serializer.
            info: What the socket is told about the request.
            timeout: Seconds that assertions wait by default.

        Raises:
            ConnectRefused: The socket refused, or there is none.
        """
        if not self.ready:
            raise ConnectRefused(503, "not ready")
        if mount not in self._mounts:
            raise ConnectRefused(404, "")
        socket_class = self._mounts[mount]
        limits = self._limits or socket_class.limits
        serializer = negotiate(vsn, limits.json_depth)
        if serializer is None:
            raise ConnectRefused(403, "")
        told = info or ConnectInfo(path=f"{mount}/websocket", vsn=vsn)
        socket = await connect_socket(socket_class, {**(params or {}), "vsn": vsn}, told)
        if isinstance(socket, Refuse):
            raise ConnectRefused(socket.status, socket.reason)
        context = ConnectionContext(pubsub=self.pubsub, limits=limits, metrics=self.metrics)
        peer = InProcessPeer(context, socket, serializer, timeout)
        self.peers.append(peer)
        return peer

    async def drain(self) -> None:
        """Refuse connections, close every one with 1012, and wait for their channels."""
        self.ready = False
        for peer in self.peers:
            peer.connection.drain()
        await asyncio.gather(*(peer.connection.wait_terminated() for peer in self.peers))

    async def stop(self) -> None:
        """Drop every connection and wait for their channels."""
        self.ready = False
        await asyncio.gather(*(peer.abort() for peer in self.peers))


class InProcessPeer(Peer):
    """A client's end of a connection without a network.

    Attributes:
        connection: The server's end.
    """

    def __init__(
        self, context: ConnectionContext, socket: Socket, serializer: Serializer, timeout: float
    ) -> None:
        super().__init__(serializer.vsn, timeout)
        self.connection = Connection(context, socket, serializer, _Loopback(self))
        self._paused = False
        self._unread: list[str | bytes] = []

    @property
    def busy(self) -> bool:
        """Whether a channel of this connection is handling something, or has something to."""
        return any(info.busy or info.queued for info in self.connection.channels())

    async def send_raw(self, data: str | bytes) -> None:
        """Hand text or bytes to the server as one message."""
        if self.close_code is not None:
            raise Disconnected(self.close_code, self.close_reason)
        if self._paused:
            self._unread.append(data)
        else:
            self._deliver(data)

    async def settle(self) -> None:
        """Wait until every channel of this connection is idle, and the event loop with them.

        Raises:
            TimeoutError: A channel is still busy after `BUSY_LIMIT`.
        """
        async with asyncio.timeout(BUSY_LIMIT):
            idle = 0
            while idle < _IDLE_TURNS:
                idle = 0 if self.busy else idle + 1
                await asyncio.sleep(_POLL if self.busy else 0)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side and wait for the channels."""
        self._closing(code)
        self.ended(code, reason)
        self.connection.disconnected("closed", None if code == GONE else ClientClose(code, reason))
        await self.connection.wait_terminated()

    async def abort(self) -> None:
        """Vanish and wait for the channels."""
        await self.close(GONE)

    def pause(self) -> None:
        """The server does not read for now."""
        self._paused = True

    def resume(self) -> None:
        """The server reads again, as soon as the event loop comes to it."""
        self._paused = False
        asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        while self._unread and not self._paused and self.close_code is None:
            self._deliver(self._unread.pop(0))

    def _deliver(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.connection.receive_text(data.encode())
        else:
            self.connection.receive_binary(data)

    async def _wait(self, deadline: float) -> None:
        clock = asyncio.get_running_loop().time
        last = deadline + BUSY_LIMIT
        while True:
            try:
                await super()._wait(deadline)
            except TimeoutError:
                if not self.busy or clock() > last:
                    raise
                deadline = clock() + _POLL * 10
            else:
                return


class _Loopback:
    """The server's transport: frames go straight into the peer's inbox."""

    def __init__(self, peer: InProcessPeer) -> None:
        self._peer = peer

    def send(self, encoded: Encoded, topic: Any = None) -> None:
        """Decode the frame as a client does."""
        peer = self._peer
        if peer.close_code is None:
            data = encoded.data if encoded.binary else encoded.data.decode()
            peer.arrived(decode(data, peer.vsn))

    def send_broadcast(self, broadcast: Broadcast, serializer: Serializer) -> None:
        """Decode the broadcast as a client does."""
        self.send(broadcast.encoded(serializer))

    def close(self, code: int, reason: str) -> None:
        """End the connection; the server hears of it in its own turn, as from a socket."""
        peer = self._peer
        if peer.close_code is None:
            peer.ended(code, reason)
            asyncio.get_running_loop().call_soon(peer.connection.disconnected, "closed")

    def pause_reading(self) -> None:
        """Hold what the client sends."""
        self._peer.pause()

    def resume_reading(self) -> None:
        """Hand on what the client sends."""
        self._peer.resume()

    def congestion(self) -> None:
        """Nobody is slow."""
