"""One websocket, from the request to the end: the ``asyncio.Protocol`` given to uvicorn.

States::

    REQUEST ──request──▶ CONNECTING ──accepted──▶ OPEN ──close, failure──▶ CLOSING ──▶ CLOSED
       │                     │                                               ▲
       └──────refused────────┴─────────── (response, then closed) ───────────┘

Nothing runs and nothing ticks while a connection is idle: no task, no timer. Its deadlines are one
entry in :class:`~channel_server.transport.deadlines.Deadlines`.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final, cast

from websockets.http11 import Request

from channel_server.connection import Connection
from channel_server.log import get_logger
from channel_server.transport.handshake import (
    DRAINING,
    NOT_FOUND,
    TIMED_OUT,
    TOO_MANY,
    Handshake,
    Refusal,
    too_often,
)
from channel_server.transport.hub import Hub
from channel_server.transport.incoming import DEADLINE_ERROR, Incoming
from channel_server.transport.mounts import Place
from channel_server.transport.outgoing import HIGH_WATER, Pause, State
from channel_server.transport.proxies import Address
from channel_server.transport.request import make_request
from channel_server.transport.upgrade import Upgrade, serialize

log = get_logger(__name__)

GONE: Final = 1006
_IDLE: Final = (1002, "no data received for too long")
_EXPIRED: Final = (1008, "session expired")
_RESTART: Final = (1012, "server restarts")
_REASONS: Final = {1001: "disconnected", 1012: "draining", 1013: "slow_client"}


class WebSocketTransport(Incoming):
    """A websocket.

    Args:
        hub: Of the endpoint.
        uvicorn: What uvicorn passes to every websocket protocol; not needed.
    """

    __slots__ = (
        "_address",
        "_closes_at",
        "_code",
        "_opening",
        "_place",
        "_waiting",
        "bucket",
        "hub",
    )

    def __init__(self, hub: Hub, **uvicorn: Any) -> None:
        super().__init__(hub.metrics, hub.loop)
        self.hub = hub
        self.bucket: int | None = None
        self._address: str | None = None
        self._closes_at = 0.0  # when a handshake or a drain has lasted too long; 0 if none goes on
        self._code = GONE
        self._opening: asyncio.Task[None] | None = None
        self._place: Place | None = None
        self._waiting = 0  # bytes in the send queue when the deadline was checked last

    @property
    def opened(self) -> bool:
        """Whether messages go both ways."""
        return self.state is State.OPEN

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        self.transport = cast("asyncio.Transport", transport)
        self._engine = Upgrade()
        self.hub.connections.add(self)
        self._close_by(self.hub.handshake_timeout)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self.state is State.OPEN or (self.state is State.CLOSING and not self.discarding):
            self._receive(data)
        elif self.state is State.REQUEST:
            self._read_request(data)
        elif self.state is State.CONNECTING:
            # It should have waited for the response; reading is paused, so this is not much.
            self._buffer = self._buffer or bytearray()
            self._buffer += data

    def eof_received(self) -> None:
        """The client sends nothing more: asyncio closes the connection after this."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        state, self.state = self.state, State.CLOSED
        hub = self.hub
        hub.remove(self)
        hub.deadlines.cancel(self)
        hub.metrics.slow_clients.discard(self)
        self._decongest()
        if self._opening is not None:
            self._opening.cancel()
        if self._place is not None:
            self._place.leave(self._address)
        self._engine = self._buffer = self._fragments = self._backlog = None
        if state is State.OPEN or state is State.CLOSING:
            hub.metrics.disconnected(self._code)
            log.info("socket_disconnected", code=self._code, peer=self._address)
            self._end_connection()

    # The opening handshake.

    def _read_request(self, data: bytes) -> None:
        engine = cast("Upgrade", self._engine)
        engine.receive_data(data)
        for event in engine.events_received():
            self._request(cast("Request", event))
            return
        if engine.handshake_exc is not None:
            self._refuse(engine.unreadable())

    def _request(self, raw: Request) -> None:
        hub, transport = self.hub, self.transport
        request = make_request(
            raw.method,
            raw.path,
            raw.headers,
            peer=peer_address(transport),
            secure=transport.get_extra_info("sslcontext") is not None,
            proxies=hub.proxies,
            protocol=raw.protocol,
        )
        found = hub.places.find(request.path)
        if found is None:
            self._refuse(NOT_FOUND)
            return
        place, variables = found
        self.limits = place.limits
        self._address = request.peer[0] if request.peer is not None else None
        closed = hub.closed_for_now()
        if closed is not None:
            self._refuse(closed)
        elif wait := place.upgrade_wait(self._address, self._loop.time()):
            self._refuse(too_often(wait))
        elif not place.enter(self._address):
            self._refuse(TOO_MANY)
        else:
            self._place = place
            self._close_by(place.limits.handshake_timeout)
            self._ask(Handshake(request, place), variables, raw)

    def _ask(self, handshake: Handshake, variables: dict[str, str], raw: Request) -> None:
        refusal = handshake.check(variables)
        if refusal is not None:
            self._refuse(refusal)
            return
        self.state = State.CONNECTING
        answer = handshake.connect()
        if isinstance(answer, Awaitable):
            self._pause(Pause.CONNECTING)
            self._opening = self._loop.create_task(self._connecting(handshake, answer, raw))
        else:
            self._decided(handshake, answer, raw)

    async def _connecting(
        self, handshake: Handshake, answer: Awaitable[Refusal | None], raw: Request
    ) -> None:
        refusal = await answer
        self._opening = None
        if self.state is State.CONNECTING:
            self._decided(handshake, refusal, raw)

    def _decided(self, handshake: Handshake, refusal: Refusal | None, raw: Request) -> None:
        try:
            self._conclude(handshake, refusal, raw)
        except Exception:
            log.exception("transport_crashed")
            self.transport.abort()

    def _conclude(self, handshake: Handshake, refusal: Refusal | None, raw: Request) -> None:
        engine = cast("Upgrade", self._engine)
        if refusal is None:
            refusal = self.hub.closed_for_now()
        if refusal is not None:
            self._refuse(refusal)
            return
        response = engine.validate(raw, self.limits, handshake.subprotocol)
        if isinstance(response, Refusal):
            self._refuse(response)
            return
        engine.send_response(response)
        self._write_engine()
        self._opened(handshake)

    def _opened(self, handshake: Handshake) -> None:
        hub, place, engine = self.hub, handshake.place, self._engine
        self.state = State.OPEN
        self._deflate = engine is not None and bool(engine.extensions)
        if not self._deflate:
            self._engine = None
        self.transport.set_write_buffer_limits(
            high=min(HIGH_WATER, self.limits.max_send_queue_bytes)
        )
        self.connection = Connection(
            hub.context(place), handshake.socket, handshake.serializer, self
        )
        hub.metrics.connected()
        log.info(
            "socket_connected",
            path=handshake.request.path,
            vsn=handshake.serializer.vsn,
            peer=self._address,
        )
        self._seen = self._loop.time()
        self._closes_at = 0.0
        hub.deadlines.schedule(self, self._next_deadline(self._seen))
        self._resume(Pause.CONNECTING)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a status other than 101 and close."""
        self.state = State.CLOSED
        self.hub.metrics.refused(refusal.kind)
        log.info("socket_refused", status=refusal.status, reason=refusal.kind, peer=self._address)
        self.transport.write(serialize(refusal))
        self.transport.close()

    # Deadlines.

    def deadline_reached(self, now: float) -> float | None:
        """See :class:`~channel_server.transport.deadlines.Expiring`."""
        if self.state is State.OPEN:
            self._check_open(now)
            if self.state is State.OPEN:
                return self._next_deadline(now)
        if now < self._closes_at:
            return self._closes_at
        if self.state is State.CONNECTING:
            self._refuse(TIMED_OUT)
        else:
            self.transport.abort()
        return None

    def _check_open(self, now: float) -> None:
        limits = self.limits
        if self._pauses:
            self._check_progress(now)
        expires_at = self.connection.socket.expires_at
        if expires_at is not None and time.time() >= expires_at:
            self.close(*_EXPIRED)
        elif self._closes_at and now >= self._closes_at:
            self.close(*_RESTART)
        elif now >= self._seen + limits.idle_timeout:
            self.close(*_IDLE)
        elif self._late(now):
            self._fail(*DEADLINE_ERROR)

    def _late(self, now: float) -> bool:
        """Whether the message that is arriving should have been here."""
        # Who sends too much delays itself; other delays are ours.
        ours = self._pauses & ~Pause.RATE
        return bool(self._since) and not ours and now >= self._since + self.limits.message_deadline

    def _check_progress(self, now: float) -> None:
        # Silence counts only against a client that neither sends nor takes anything.
        waiting = self._buffered()
        if self._pauses & ~Pause.WRITING or waiting < self._waiting:
            self._seen = now
        self._waiting = waiting

    def _next_deadline(self, now: float) -> float:
        due = self._seen + self.limits.idle_timeout
        if self._closes_at:
            due = min(due, self._closes_at)
        if self._since:
            due = min(due, self._since + self.limits.message_deadline)
        expires_at = self.connection.socket.expires_at
        if expires_at is not None:
            due = min(due, now + max(0.0, expires_at - time.time()))
        return due

    def _message_began(self, when: float) -> None:
        self.hub.deadlines.schedule_within(self, when + self.limits.message_deadline)

    def _close_by(self, timeout: float) -> None:
        self._closes_at = self._loop.time() + timeout
        self.hub.deadlines.schedule_within(self, self._closes_at)

    # The end.

    def drain(self) -> None:
        """Answer what arrived, then close with 1012; refuse with 503 what is not open yet."""
        if self.state is State.OPEN:
            self._closes_at = self._loop.time() + self.limits.shutdown_grace
            self.hub.deadlines.schedule_within(self, self._closes_at)
            self.connection.drain()
        else:
            self.shut()

    def shut(self) -> None:
        """Close with 1012 at once; refuse with 503 what is not open yet."""
        if self.state is State.OPEN:
            self.close(*_RESTART)
        elif self.state is State.REQUEST or self.state is State.CONNECTING:
            self._refuse(DRAINING)

    def _closing(self, code: int) -> None:
        self.state = State.CLOSING
        self._code = code
        self._decongest()
        self._close_by(self.limits.close_timeout)
        if self._pauses:
            # The client's close frame is behind what was not read.
            self._resume(self._pauses)
        # Later, because a fan-out may be going through the subscriptions that this ends.
        self._loop.call_soon(self._end_connection)

    def _end_connection(self) -> None:
        try:
            connection = self.connection
        except AttributeError:
            return  # ended before
        del self.connection
        connection.disconnected(_REASONS.get(self._code, "closed"), self.closed_by)


def peer_address(transport: asyncio.BaseTransport) -> Address | None:
    """The address of the other side, or None over a Unix domain socket."""
    name: object = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        host, port = cast("tuple[str, int]", name)[:2]
        return host, port
    return None
