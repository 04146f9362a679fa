"""The HTTP side of a handshake: reading the request, validating the upgrade, writing responses."""

from email.utils import formatdate
from typing import Final

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from channel_server.limits import DEFAULT_LIMITS, SocketLimits
from channel_server.transport.handshake import Refusal
from channel_server.transport.quiet import QUIET

_DEFLATE: Final = ServerPerMessageDeflateFactory(
    # 4 KiB windows and small hash tables: about a tenth of zlib's default memory.
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)

UNREADABLE: Final = Refusal(400, "not a valid HTTP request", "request")


class Upgrade(ServerProtocol):
    """The engine of a handshake, whose origin and subprotocol are decided elsewhere."""

    def __init__(self, limits: SocketLimits = DEFAULT_LIMITS) -> None:
        super().__init__(max_size=limits.max_frame_bytes, logger=QUIET)
        self.chosen: str | None = None

    def process_origin(self, headers: Headers) -> Origin | None:
        """Not here: origins were checked before the application was asked."""
        return None

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Not here: tokens hidden in the header are no valid subprotocols."""
        return None if self.chosen is None else Subprotocol(self.chosen)

    def validate(
        self, request: Request, limits: SocketLimits, subprotocol: str | None
    ) -> Response | Refusal:
        """The 101 response, or why the request is no websocket upgrade."""
        self.max_message_size = limits.max_frame_bytes
        self.available_extensions = [_DEFLATE] if limits.compression else None
        self.chosen = subprotocol
        response = self.accept(request)
        if response.status_code == 101:
            return response
        error = self.handshake_exc
        if isinstance(error, InvalidHeaderValue) and error.name == "Sec-WebSocket-Version":
            return Refusal(
                426,
                "only websocket version 13 is supported",
                "version",
                {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"},
            )
        return Refusal(400, f"not a websocket upgrade: {error}", "upgrade")

    def unreadable(self) -> Refusal:
        """Why a request could not be read."""
        for data in self.data_to_send():
            status = data[9:12]
            if status.isdigit():
                return Refusal(int(status), "request line or headers too large", "too_large")
        return UNREADABLE


def serialize(refusal: Refusal, *, method: str = "GET") -> bytes:
    """The whole response of a refusal; the connection closes after it."""
    body = refusal.body()
    lines = [
        f"HTTP/1.1 {refusal.status} {refusal.phrase()}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Length: {len(body)}",
        "Content-Type: text/plain; charset=utf-8",
        *(f"{name}: {value}" for name, value in refusal.headers.items()),
    ]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" else head + body
