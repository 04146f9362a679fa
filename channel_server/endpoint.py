"""Sockets and an HTTP application on one port: start, drain, stop.

uvicorn owns the port and speaks HTTP. It hands websocket upgrades to
:class:`~channel_server.transport.websocket.WebSocketTransport`.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from channel_server.connection import Connection
from channel_server.log import get_logger, quiet_libraries
from channel_server.metrics import Metrics
from channel_server.pubsub import PubSub, StandIn
from channel_server.transport.draining import close_all
from channel_server.transport.draining import drain as drain_hub
from channel_server.transport.front import ASGIApp, Front
from channel_server.transport.handshake import Refusal
from channel_server.transport.hub import Hub
from channel_server.transport.mounts import Mount
from channel_server.transport.proxies import TrustedProxies
from channel_server.transport.upgrade import serialize
from channel_server.transport.websocket import WebSocketTransport, peer_address

__all__ = ["Endpoint", "EndpointError", "Mount"]

log = get_logger(__name__)

_MAX_HEADERS = 128
_MAX_HEAD_BYTES = 64 * 1024
_TOO_MANY = Refusal(
    429, "too many connections from this address", "address_limit", {"Retry-After": "5"}
)
_TOO_LARGE = Refusal(431, "request line or headers too large", "too_large")


class EndpointError(Exception):
    """An endpoint that cannot be started, or is not running."""


class Endpoint:
    """Serves sockets and an HTTP application.

    Args:
        mounts: Sockets and their paths; the first that matches a request wins.
        http_app: Any ASGI application, for everything that is not a socket path; 404 if None.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one, see :attr:`port`.
        uds: Path of a Unix domain socket to listen at instead.
        pubsub: Shared with other parts of the process, if given.
        metrics: Where to count.
        drain_window: Seconds over which :meth:`stop` spreads the closing of websockets (2). A few
            connections need less: it takes at most 20 ms for each.
        stop_timeout: Seconds for what is in progress when :meth:`stop` is called, after the window
            (10).
        trusted_proxies: Addresses and networks (``10.0.0.0/8``, ``unix``) whose
            ``X-Forwarded-For`` and ``X-Forwarded-Proto`` headers are believed; none by default.
        ssl_context: To serve TLS.
        http_connections: Connections of one address that speak HTTP (1000; 0 is no limit); one more
            is answered 429. Listed proxies are not counted.
        reuse_port: Let several processes listen at the same port.
        drained: Called by :meth:`stop` when no websocket is left, before HTTP requests in progress
            are waited for: the time to answer those that wait for something.
    """

    def __init__(
        self,
        mounts: Sequence[Mount],
        *,
        http_app: ASGIApp | None = None,
        host: str = "127.0.0.1",
        port: int = 4000,
        uds: str | None = None,
        pubsub: PubSub | None = None,
        metrics: Metrics | None = None,
        drain_window: float = 2.0,
        stop_timeout: float = 10.0,
        trusted_proxies: Sequence[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
        drained: Callable[[], None] | None = None,
        http_connections: int = 1000,
    ) -> None:
        self.metrics = metrics if metrics is not None else Metrics()
        self.pubsub = pubsub if pubsub is not None else PubSub(metrics=self.metrics)
        self.host = host
        self.port = port
        self.uds = uds
        self._mounts = tuple(mounts)
        self._http_app = http_app
        self._drain_window = drain_window
        self._stop_timeout = stop_timeout
        self._trusted = tuple(trusted_proxies)
        self._ssl = ssl_context
        self._reuse_port = reuse_port
        self._drained = drained
        self._http_connections = http_connections
        self._ready = True
        self._hub: Hub | None = None
        self._server: _Server | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to, without path: ``ws://127.0.0.1:4000``."""
        return f"{'ws' if self._ssl is None else 'wss'}://{self._authority()}"

    @property
    def http_url(self) -> str:
        """Where the HTTP application is: ``http://127.0.0.1:4000``."""
        return f"{'http' if self._ssl is None else 'https'}://{self._authority()}"

    @property
    def ready(self) -> bool:
        """Whether new websockets are accepted; set it to False to refuse them with 503."""
        return self._ready

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._ready = ready
        if self._hub is not None:
            self._hub.ready = ready

    @property
    def draining(self) -> bool:
        """Whether the endpoint is stopping."""
        return self._hub is not None and self._hub.draining

    def connections(self) -> list[Connection]:
        """The open websockets."""
        hub = self._hub
        return [] if hub is None else [c.connection for c in hub.connections if c.opened]

    def broadcast(
        self,
        topic: str,
        event: str,
        payload: Any,
        *,
        coalesce: str | None = None,
        stand_in: StandIn | None = None,
    ) -> int:
        """Send a message to all subscribers of a topic, from outside of channels.

        Args:
            topic: The topic.
            event: The event.
            payload: A JSON object or `bytes`; must not be changed afterwards.
            coalesce: What it is the state of, see `PubSub.broadcast`.
            stand_in: What clients that are behind get instead, see `PubSub.broadcast`.

        Returns:
            How many subscribers it was handed to; not how many received it.

        Raises:
            EncodeError: The payload has no wire format; nobody got it.
            ReservedEvent: The event belongs to the protocol.
        """
        return self.pubsub.broadcast(topic, event, payload, coalesce=coalesce, stand_in=stand_in)

    async def start(self) -> None:
        """Listen and serve, in the running event loop, until :meth:`stop`.

        Raises:
            EndpointError: It runs already, or the HTTP application failed to start.
            OSError: The address cannot be bound.
        """
        if self._hub is not None:
            raise EndpointError("the endpoint is running")
        hub = Hub(
            self._mounts,
            pubsub=self.pubsub,
            metrics=self.metrics,
            proxies=TrustedProxies(self._trusted),
            http_connections=self._http_connections,
        )
        hub.ready = self._ready
        server = _Server(self._config(hub))
        listener = None if self.uds is not None else self._bind()
        try:
            await server.open(listener)
        except SystemExit as error:
            # uvicorn's way to say that the application's lifespan failed.
            raise EndpointError("the HTTP application failed to start") from error
        finally:
            if not server.started and listener is not None:
                listener.close()
        self._hub, self._server, self._stopping = hub, server, None
        quiet_libraries()
        log.info("endpoint_started", url=self.uds or self.url)

    async def stop(self, *, drain: bool = True) -> None:
        """Send all clients away and stop; may be called twice, and before :meth:`start`.

        New websockets are refused with 503 at once. What channels are handling is finished and
        answered, then each websocket is closed with 1012. It takes at most ``drain_window`` plus
        two times ``stop_timeout`` seconds.

        Args:
            drain: If False, websockets are closed with 1012 at once; handlers that are running are
                not waited for, and clients that do not answer the close are cut after a second.
        """
        if self._hub is None or self._server is None:
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(self._hub, self._server, drain=drain))
        await asyncio.shield(self._stopping)

    def abort(self) -> None:
        """Cut everything that is open, now, and listen no longer; `stop` then ends soon."""
        hub, server = self._hub, self._server
        if hub is None or server is None:
            return
        hub.draining = True
        for connection in list(hub.connections):
            connection.transport.abort()
        server.abort()

    async def _stop(self, hub: Hub, server: "_Server", *, drain: bool) -> None:
        if drain:
            await drain_hub(hub, window=self._drain_window, timeout=self._stop_timeout)
        else:
            await close_all(hub, timeout=min(1.0, self._stop_timeout))
        if self._drained is not None:
            self._drained()
        await server.close()
        hub.deadlines.close()
        if self.uds is not None:
            await asyncio.to_thread(Path(self.uds).unlink, missing_ok=True)
        self._hub = self._server = None
        log.info("endpoint_stopped")

    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def _bind(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._reuse_port:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener

    def _config(self, hub: Hub) -> uvicorn.Config:
        context = self._ssl
        return uvicorn.Config(
            cast("Any", Front(hub, self._http_app)),
            uds=self.uds,
            http=cast("Any", partial(_Http, hub)),
            ws=cast("Any", partial(WebSocketTransport, hub)),
            interface="asgi3",
            lifespan="auto",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=bool(self._trusted),
            forwarded_allow_ips=[name for name in self._trusted if name != "unix"],
            timeout_graceful_shutdown=max(1, round(self._stop_timeout)),
            ssl_context_factory=None if context is None else lambda _config, _make: context,
        )


class _Server(uvicorn.Server):
    """uvicorn without its main loop and without its signal handlers; those are the caller's."""

    _ticking: asyncio.Task[None] | None = None
    _sockets: list[socket.socket] | None = None

    async def open(self, listener: socket.socket | None) -> None:
        """Start the application's lifespan and listen."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        self._sockets = None if listener is None else [listener]
        await self.on_tick(0)
        await self.startup(sockets=self._sockets)
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Stop listening, finish requests in progress, end the lifespan."""
        if self._ticking is not None:
            self._ticking.cancel()
        loop = asyncio.get_running_loop()
        for listener in (each for server in self.servers for each in server.sockets):
            loop.remove_reader(listener.fileno())
        # What asyncio has accepted and not yet handed over would stay open for good, unanswered.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await self._finished()
        except TimeoutError:
            log.warning("requests_cancelled", requests=len(self.server_state.tasks))
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()

    def abort(self) -> None:
        """Stop listening and cut all requests in progress."""
        for server in self.servers:
            server.close()
        for task in self.server_state.tasks:
            task.cancel()
        for connection in list(self.server_state.connections):
            cast("Any", connection).transport.abort()

    async def _finished(self) -> None:
        # uvicorn offers nothing to wait for, and polls too, but sleeps first and longer.
        state = self.server_state
        while state.connections or state.tasks:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self.on_tick(0)  # renews the Date header


class _Http(HttpToolsProtocol):
    """uvicorn's HTTP with the limits it lacks: for the head of a request, its size and time."""

    def __init__(self, hub: Hub, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self.hub = hub
        self.bucket: int | None = None
        self._data = b""
        self._head_bytes = 0
        self._head_count = 0
        self._unparsed = 0  # bytes since the parser last told of something
        self._refused = False
        self._counted: str | None = None  # the address that this connection is counted for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = peer_address(transport)
        address = None if peer is None else peer[0]
        if self.hub.http_enter(address):
            self._counted = address
            self._expect_head()
        else:
            self._refuse(_TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self.hub.deadlines.cancel(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._data = data
        self._unparsed += len(data)
        super().data_received(data)
        self._data = b""
        # The parser keeps the value of a header to itself until it is complete.
        if self._unparsed > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)

    def handle_websocket_upgrade(self) -> None:
        self._leave()  # websockets are counted by their mount
        self.hub.deadlines.cancel(self)
        super().handle_websocket_upgrade()
        # Frames of a client that did not wait for the response came with the request.
        upgrade = sys.exc_info()[1]
        if isinstance(upgrade, httptools.HttpParserUpgrade):
            early = self._data[cast("int", upgrade.args[0]) :]
            if early:
                cast("asyncio.Protocol", self.transport.get_protocol()).data_received(early)

    def deadline_reached(self, now: float) -> float | None:
        """The head of the request took too long."""
        del now
        self.transport.close()
        return None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._head_count = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_count += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.hub.deadlines.cancel(self)
        self._unparsed = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            super().send_400_response(msg)

    def _expect_head(self) -> None:
        deadlines = self.hub.deadlines
        deadlines.schedule_within(self, deadlines.now() + self.hub.handshake_timeout)

    def _count(self, size: int) -> None:
        self._unparsed = 0
        self._head_bytes += size
        if self._head_bytes > _MAX_HEAD_BYTES or self._head_count > _MAX_HEADERS:
            self._refuse(_TOO_LARGE)
            raise ValueError("head too large")  # ends the parser

    def _leave(self) -> None:
        if self._counted is not None:
            self.hub.http_leave(self._counted)
            self._counted = None

    def _refuse(self, refusal: Refusal) -> None:
        self._refused = True
        self.hub.metrics.refused(refusal.kind)
        self.transport.write(serialize(refusal))
        self.transport.close()
