"""The opening handshake: who may connect, in the order in which Phoenix decides it.

1. ready and not draining (503), method GET (400), connections of the address (429);
2. TLS, where it is required (403), and origin (403); 3. auth token (403);
4. subprotocol (403); 5. query (400) and vsn (403);
6. the application's ``connect`` (its status, 403 by default) and ``id``;
7. the websocket upgrade itself (400, or 426 for a version other than 13).

Refusals carry their reason as a plain text body. Nothing here waits, except ``connect``, if it is
a coroutine.
"""

import http
import math
from collections.abc import Awaitable, Mapping
from ipaddress import ip_address
from typing import Any, Final, cast

import msgspec

from channel_server.log import get_logger
from channel_server.origin import host_of, origin_allowed
from channel_server.serializer import Serializer, negotiate
from channel_server.socket import ConnectInfo, Refuse, Socket
from channel_server.transport.connect_info import make_connect_info
from channel_server.transport.mounts import Place
from channel_server.transport.query import BadQueryError, decode_query
from channel_server.transport.request import HandshakeRequest
from channel_server.transport.subprotocols import BadTokenError, choose, parse_offer

log = get_logger(__name__)


class Refusal(msgspec.Struct, frozen=True):
    """An answer other than 101.

    Attributes:
        status: Of HTTP.
        reason: The text body, fit for strangers.
        kind: A short constant for logs and metrics.
        headers: Further response headers.
    """

    status: int
    reason: str
    kind: str
    headers: Mapping[str, str] = {}

    def body(self) -> bytes:
        """The response's body."""
        return self.reason.encode()

    def phrase(self) -> str:
        """The response's reason phrase."""
        try:
            return http.HTTPStatus(self.status).phrase
        except ValueError:
            return "Refused"


NOT_READY: Final = Refusal(503, "not ready", "not_ready", {"Retry-After": "1"})
DRAINING: Final = Refusal(503, "server is shutting down", "draining", {"Retry-After": "1"})
TIMED_OUT: Final = Refusal(503, "connecting took too long", "timeout", {"Retry-After": "1"})
NOT_FOUND: Final = Refusal(404, "no socket at this path", "not_found")
BAD_METHOD: Final = Refusal(400, "", "method")
TOO_MANY: Final = Refusal(429, "too many connections from this address", "address_limit")
PLAIN: Final = Refusal(403, "TLS is required here; use wss", "plain")
BAD_HOST: Final = Refusal(403, "host not allowed", "host")
BAD_ORIGIN: Final = Refusal(403, "origin not allowed", "origin")
BAD_TOKEN: Final = Refusal(403, "auth token cannot be decoded", "auth_token")
BAD_SUBPROTOCOL: Final = Refusal(403, "no common subprotocol", "subprotocol")
BAD_VSN: Final = Refusal(403, "unsupported vsn; use 1.0.0 or 2.0.0", "vsn")
FORBIDDEN: Final = Refusal(403, "", "connect")
CRASHED: Final = Refusal(500, "internal error", "crash")


def too_often(wait: float) -> Refusal:
    """The refusal of an address that asks too often, with the time to wait."""
    headers = {"Retry-After": str(math.ceil(wait))}
    return Refusal(429, "too many requests from this address", "rate_limited", headers)


class Handshake:
    """One handshake: what was found out about a request so far.

    Attributes:
        serializer: Of the negotiated version.
        socket: The application's socket; meaningful once ``connect`` accepted.
        subprotocol: To echo, if any.
    """

    __slots__ = (
        "info",
        "params",
        "place",
        "request",
        "serializer",
        "socket",
        "subprotocol",
        "token",
    )

    serializer: Serializer
    socket: Socket
    info: ConnectInfo
    params: dict[str, Any]

    def __init__(self, request: HandshakeRequest, place: Place) -> None:
        self.request = request
        self.place = place
        self.token: str | None = None
        self.subprotocol: str | None = None

    def check(self, variables: Mapping[str, str]) -> Refusal | None:
        """Everything before the application is asked; ``variables`` are those of the path."""
        if self.request.method != "GET":
            return BAD_METHOD
        if not self.place.limits.allow_plain and self._is_plain():
            return PLAIN
        if not self._host_allowed():
            return BAD_HOST
        return self._check_origin() or self._check_protocols() or self._check_query(variables)

    def _is_plain(self) -> bool:
        """Whether the client came without TLS, and over a network that others may listen to."""
        peer = self.request.peer
        if self.request.scheme == "https" or peer is None:
            return False
        return not ip_address(peer[0].partition("%")[0]).is_loopback

    def connect(self) -> Refusal | Awaitable[Refusal | None] | None:
        """Ask the application; awaitable only if its ``connect`` is."""
        try:
            self.socket = self.place.mount.socket(self.info)
            answer: object = self.socket.connect(self.params, self.info)
        except Exception as error:
            return self._crashed(error)
        if isinstance(answer, Awaitable):
            return self._await_connect(answer)
        return self._connected(answer)

    async def _await_connect(self, answer: Awaitable[object]) -> Refusal | None:
        try:
            return self._connected(await answer)
        except Exception as error:
            return self._crashed(error)

    def _connected(self, answer: object) -> Refusal | None:
        if isinstance(answer, Refuse):
            return Refusal(answer.status, answer.reason, "connect")
        if answer is not None:
            return self._invalid("connect", answer)
        try:
            socket_id = cast("object", self.socket.id())
        except Exception as error:
            return self._crashed(error)
        if socket_id is not None and not isinstance(socket_id, str):
            return self._invalid("id", socket_id)
        return None

    def _invalid(self, callback: str, answer: object) -> Refusal:
        log.error(
            "socket_callback_invalid",
            socket=self.place.mount.socket.__qualname__,
            callback=callback,
            returned=type(answer).__name__,
        )
        return FORBIDDEN

    def _crashed(self, error: Exception) -> Refusal:
        log.error(
            "socket_connect_crashed",
            socket=self.place.mount.socket.__qualname__,
            exc_info=error,
        )
        return CRASHED

    def _host_allowed(self) -> bool:
        allowed = self.place.limits.hosts
        if not allowed:
            return True
        return host_of(self.request.header("Host") or "") in allowed

    def _check_origin(self) -> Refusal | None:
        limits, request = self.place.limits, self.request
        origins = request.headers.get_all("Origin")
        if not origins:
            return BAD_ORIGIN if limits.require_origin else None
        if len(origins) > 1 or not origin_allowed(
            limits.check_origin,
            origins[0],
            scheme=request.scheme,
            host=request.header("Host") or "",
        ):
            return BAD_ORIGIN
        return None

    def _check_protocols(self) -> Refusal | None:
        limits, headers = self.place.limits, self.request.headers
        try:
            offer = parse_offer(
                headers.get_all("Sec-WebSocket-Protocol"), auth_token=limits.auth_token
            )
        except BadTokenError:
            return BAD_TOKEN
        accepted, self.subprotocol = choose(
            offer.protocols, limits.subprotocols, auth_token=limits.auth_token
        )
        if not accepted:
            return BAD_SUBPROTOCOL
        self.token = offer.token
        return None

    def _check_query(self, variables: Mapping[str, str]) -> Refusal | None:
        try:
            self.params = decode_query(self.request.query)
        except BadQueryError as error:
            return Refusal(400, str(error), "query")
        self.params.update(variables)
        serializer = negotiate(self.params.get("vsn"), self.place.limits.json_depth)
        if serializer is None:
            return BAD_VSN
        self.serializer = serializer
        self.info = make_connect_info(self.request, self.token, serializer.vsn)
        return None
