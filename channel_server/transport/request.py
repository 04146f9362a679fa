"""The HTTP request that asks for a websocket, however it reached us."""

from urllib.parse import unquote_to_bytes

import msgspec
from websockets.datastructures import Headers

from channel_server.transport.proxies import Address, TrustedProxies


class HandshakeRequest(msgspec.Struct, frozen=True):
    """A request to a socket path.

    Attributes:
        method: Of HTTP.
        target: Path and query, as sent.
        headers: Names in any case; repeated headers are kept apart.
        peer: Address of the client, behind trusted proxies too; None over a Unix socket.
        scheme: ``http`` or ``https``, as the client used it.
        protocol: ``HTTP/1.1``.
    """

    method: str
    target: str
    headers: Headers
    peer: Address | None
    scheme: str
    protocol: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        """The path as sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query string as sent."""
        return self.target.partition("?")[2].partition("#")[0]

    def header(self, name: str) -> str | None:
        """The values of a header joined with commas, or None."""
        values = self.headers.get_all(name)
        return ", ".join(values) if values else None


def make_request(
    method: str,
    target: str,
    headers: Headers,
    *,
    peer: Address | None,
    secure: bool,
    proxies: TrustedProxies,
    protocol: str = "HTTP/1.1",
) -> HandshakeRequest:
    """The request as its client made it, if a trusted proxy passed it on."""
    return HandshakeRequest(
        method=method,
        target=target,
        headers=headers,
        peer=proxies.client(peer, ", ".join(headers.get_all("X-Forwarded-For"))),
        scheme=proxies.scheme(
            peer,
            "https" if secure else "http",
            ", ".join(headers.get_all("X-Forwarded-Proto")),
        ),
        protocol=protocol,
    )


def split_path(path: str) -> tuple[str, ...] | None:
    """The decoded segments of a path, or None if it is not UTF-8."""
    try:
        return tuple(
            unquote_to_bytes(part).decode() if "%" in part else part
            for part in path.strip("/").split("/")
        )
    except UnicodeError:
        return None
