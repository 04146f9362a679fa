"""The client's end of a websocket: address, token, frames in and out.

Used by `channel_server.client` and by the test kit; knows nothing of channels.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from channel_server.client_errors import ConnectFailed, ConnectRefused, Disconnected

CLOSE_TIMEOUT = 2.0
"""Seconds that a close waits for the other side."""

_TOKEN_PREFIX = "base64url.bearer.phx."  # noqa: S105 - the name of a subprotocol, no token


def socket_url(url: str, params: Mapping[str, Any], vsn: str) -> str:
    """The address of a socket: mount point or full path, nested params in bracket notation."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/websocket"):
        path += "/websocket"
    query = urlencode([*_flatten(params), ("vsn", vsn)])
    joined = f"{parts.query}&{query}" if parts.query else query
    return urlunsplit((parts.scheme, parts.netloc, path, joined, ""))


class Wire:
    """A raw websocket to a Phoenix socket: frames in, frames out, nothing by itself.

    Used by the client and by the test kit. Attributes:
        close_code: None while open; 1006 if the connection broke.
        close_reason: The reason of the close.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def close_code(self) -> int | None:
        """The close code, None while open."""
        return self._connection.close_code

    @property
    def close_reason(self) -> str:
        """The close reason, empty while open."""
        return self._connection.close_reason or ""

    async def send(self, data: str | bytes) -> None:
        """Send one message.

        Raises:
            Disconnected: The connection is gone.
        """
        try:
            await self._connection.send(data)
        except ConnectionClosed as error:
            raise _disconnected(error) from None

    async def receive(self) -> str | bytes:
        """Wait for one message.

        Raises:
            Disconnected: The connection is gone.
        """
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise _disconnected(error) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a handshake, waiting for the server at most 2 s."""
        await self._connection.close(code, reason)

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._connection.transport.abort()


async def open_wire(
    url: str,
    *,
    auth_token: str | None = None,
    headers: Mapping[str, str] | None = None,
    open_timeout: float = 10.0,
    max_size: int = 32 * 1024 * 1024,
    **options: Any,
) -> Wire:
    """Open a websocket.

    Args:
        url: The full address, see `socket_url`.
        auth_token: Offered as the subprotocol `base64url.bearer.phx.…`, beside `phoenix`.
        headers: Additional request headers.
        open_timeout: Seconds until the connection must stand.
        max_size: Bytes of the largest message that is accepted; a larger one closes with 1009.
        options: Further options of `websockets.asyncio.client.connect`, e.g. `ssl`, `proxy`.

    Raises:
        ConnectRefused: The server answered with an HTTP status.
        ConnectFailed: No connection could be made.
    """
    settings: dict[str, Any] = {
        "compression": None,
        "proxy": None,
        "ping_interval": None,
        "close_timeout": CLOSE_TIMEOUT,
        "subprotocols": None if auth_token is None else ["phoenix", bearer(auth_token)],
        "additional_headers": headers,
        "open_timeout": open_timeout,
        "max_size": max_size,
    }
    try:
        return Wire(await ws_connect(url, **(settings | options)))
    except InvalidStatus as error:
        body = (error.response.body or b"").decode(errors="replace")[:1000]
        raise ConnectRefused(error.response.status_code, body) from None
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise ConnectFailed(str(error) or type(error).__name__) from error
    except WebSocketException as error:
        raise ConnectFailed(str(error)) from error


def bearer(token: str) -> str:
    """The subprotocol that carries a token, as phoenix.js writes it: standard base64.

    Where that has a slash, which HTTP does not allow there, the URL-safe alphabet is used; this
    server takes both, Phoenix only the first.
    """
    encoded = base64.b64encode(token.encode())
    if b"/" in encoded:
        encoded = base64.urlsafe_b64encode(token.encode())
    return _TOKEN_PREFIX + encoded.decode().rstrip("=")


def _disconnected(error: ConnectionClosed) -> Disconnected:
    # A message that is too large is closed by us: then the server's word may never come.
    close = error.rcvd or error.sent
    return Disconnected(1006, "") if close is None else Disconnected(close.code, close.reason)


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        name = f"{prefix}[{key}]" if prefix else str(key)
        yield from _flatten_value(name, value)


def _flatten_value(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from _flatten(cast("Mapping[str, Any]", value), name)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _flatten_value(f"{name}[]", item)
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
