"""What of a request an application may see; other headers, cookies above all, are withheld.

A page of another site can make a browser connect with the user's cookies. An application that never
sees them cannot be tricked into trusting them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from channel_server.socket import ConnectInfo
from channel_server.transport.request import HandshakeRequest

_TRACE: Final = frozenset({"traceparent", "tracestate"})


def make_connect_info(request: HandshakeRequest, auth_token: str | None, vsn: str) -> ConnectInfo:
    """The part of a request that ``connect`` is given."""
    host, port = _split_host(request.header("Host") or "")
    return ConnectInfo(
        peer=request.peer,
        scheme="wss" if request.scheme == "https" else "ws",
        host=host,
        port=port,
        path=request.path,
        query=request.query,
        vsn=vsn,
        x_headers=_headers(request, lambda name: name.startswith("x-")),
        sec_websocket_headers=_headers(request, lambda name: name.startswith("sec-websocket-")),
        trace_context_headers=_headers(request, lambda name: name in _TRACE),
        user_agent=request.header("User-Agent"),
        auth_token=auth_token,
        origin=request.header("Origin"),
    )


_NONE: Final[Mapping[str, str]] = MappingProxyType({})  # one for all: most have no such header


def _headers(request: HandshakeRequest, wanted: Callable[[str], bool]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers.raw_items():
        key = name.lower()
        if wanted(key):
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found or _NONE


def _split_host(header: str) -> tuple[str, int | None]:
    try:
        url = urlsplit(f"//{header}")
        port = url.port
    except ValueError:
        return "", None
    return url.hostname or "", port
