"""What an application writes once per mount: who may connect, and which channel serves a topic."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from channel_server.channel import Channel, MaybeAsync
from channel_server.errors import BadReturn, DefinitionError
from channel_server.limits import DEFAULT_LIMITS, SocketLimits


class ConnectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the request of a connection; other headers are withheld on purpose.

    Attributes:
        peer: Address and port of the client, if known.
        scheme: `ws` or `wss`.
        host: Host that the client asked for.
        port: Port that the client asked for.
        path: Path of the request.
        query: Query string of the request; may hold tokens, never log it.
        vsn: Version of the serializer, `1.0.0` or `2.0.0`.
        x_headers: All headers whose names begin with `x-`, names in lower case.
        sec_websocket_headers: All headers whose names begin with `sec-websocket-`.
        trace_context_headers: `traceparent` and `tracestate`.
        user_agent: The `User-Agent` header.
        auth_token: Token of the `Sec-WebSocket-Protocol` header, if the socket takes one.
        origin: The `Origin` header.
    """

    peer: tuple[str, int] | None = None
    scheme: str = "ws"
    host: str = ""
    port: int | None = None
    path: str = ""
    query: str = ""
    vsn: str = "2.0.0"
    x_headers: Mapping[str, str] = {}
    sec_websocket_headers: Mapping[str, str] = {}
    trace_context_headers: Mapping[str, str] = {}
    user_agent: str | None = None
    auth_token: str | None = None
    origin: str | None = None


class Refuse(msgspec.Struct, frozen=True):
    """Refuses a connection; browsers show neither status nor reason to the page.

    Attributes:
        status: HTTP status of the response.
        reason: Its body, as text.
    """

    status: int = 403
    reason: str = ""


class ClientClose(msgspec.Struct, frozen=True):
    """The close frame of a client that ended its connection itself.

    Attributes:
        code: Its code; 1005 if it had none.
        reason: Its reason, as the client chose it.
    """

    code: int
    reason: str = ""


class Route(msgspec.Struct, frozen=True):
    """Which channel serves which topics.

    Attributes:
        pattern: A topic, or the beginning of one followed by `*`.
        channel: The channel class.
        assigns: Values given to each of its channels, over those of the socket.

    Raises:
        DefinitionError: `*` is not the last character, or the channel defines no join.
    """

    pattern: str
    channel: type[Channel]
    assigns: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        if "*" in self.pattern[:-1]:
            raise DefinitionError(f"route {self.pattern!r}: '*' may only be the last character")
        if self.channel.join is Channel.join:
            raise DefinitionError(f"{self.channel.__name__} defines no join")

    def matches(self, topic: str) -> bool:
        """Whether the topic belongs to this route."""
        if self.pattern.endswith("*"):
            return topic.startswith(self.pattern[:-1])
        return topic == self.pattern


class Socket:
    """One connection of a client. Subclasses define the routes and `connect`.

    Attributes:
        assigns: Values of this connection, set in `connect`; channels get copies.
        info: What is known about the request.
        expires_at: When the connection is closed by the server, in Unix seconds; None: never.
    """

    channels: ClassVar[Sequence[Route]] = ()
    """Routes; the first that matches a topic serves it."""
    limits: ClassVar[SocketLimits] = DEFAULT_LIMITS
    """Limits; a mount may override them."""

    def __init__(self, info: ConnectInfo | None = None) -> None:
        self.assigns: dict[str, Any] = {}
        self.info = info if info is not None else ConnectInfo()
        self.expires_at: float | None = None

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> MaybeAsync[Refuse | None]:
        """Decide whether the client may connect; None accepts. By default everybody may.

        Args:
            params: Parameters of the query, nested as Phoenix nests them; values are strings,
                lists and maps that the client chose.
            info: What is known about the request.
        """

    def opened(self) -> None:
        """The connection was accepted and is open; neither waits nor raises."""

    def ended(self, close: ClientClose | None) -> None:
        """The connection is gone and nothing of its channels runs any more; once per `opened`.

        Args:
            close: How the client closed it; None if the server did, or the connection broke.
        """

    def id(self) -> str | None:
        """A topic that names this client; None for no name.

        Broadcasting the event `disconnect` on it closes all connections that have it, with 1001;
        `recheck` closes those that :meth:`may_stay` is against, with 1008.
        """
        return None

    def may_stay(self) -> bool:
        """Whether the client may still be connected; asked at each `recheck`, never by itself."""
        return True

    @classmethod
    def route(cls, topic: str) -> Route | None:
        """The first route that matches the topic."""
        for route in cls.channels:
            if route.matches(topic):
                return route
        return None

    @classmethod
    def events(cls) -> frozenset[str]:
        """All events that the channels of this socket have handlers for."""
        return frozenset(event for route in cls.channels for event in route.channel.handlers)


async def connect(
    socket_class: type[Socket], params: dict[str, Any], info: ConnectInfo
) -> Socket | Refuse:
    """Make a Socket and ask it whether the client may connect.

    Raises:
        BadReturn: `connect` returned neither None nor a Refuse.
        Exception: Whatever `connect` raised.
    """
    socket = socket_class(info)
    result: object = socket.connect(params, info)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, Refuse):
        return result
    if result is not None:
        raise BadReturn("result of connect", "None or a Refuse", type(result))
    return socket
