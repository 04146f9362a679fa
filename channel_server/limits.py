"""Limits of a socket: every bound that protects the server from one client.

All of them are on by default, but for the rates of messages and bytes. Exceeding one hurts only the
connection that did it; what it sees is written at each field. Times are seconds, sizes are bytes.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias
from urllib.parse import SplitResult

import msgspec

from channel_server.rate_limit import Rate

OriginPolicy: TypeAlias = (
    Literal["same-host", "same-origin", "any"] | tuple[str, ...] | Callable[[SplitResult], bool]
)
"""Who may connect from a browser; see :mod:`channel_server.origin`."""

KIB = 1024
MIB = 1024 * KIB


class SocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and handshake policy of one mounted socket.

    Attributes:
        max_frame_bytes: Largest message, in bytes, after reassembly and inflation (64 KiB). A
            larger one closes the connection with 1009.
        max_fragments: Most frames of one fragmented message, empty ones included (128: browsers
            send 64 KiB in one or two). More close the connection with 1009.
        message_deadline: Seconds from the first byte of a message to its last (30). Later closes
            the connection with 1008.
        json_depth: Deepest nesting of a JSON message, the message itself included (64). Deeper
            closes the connection with 1008.
        max_topics: Most channels joined at one time (100). One more join is answered with
            ``{"reason": "too many channels joined"}``.
        mailbox: Messages that may wait for one channel (1024). Beyond, the connection is not read
            until half of them are handled; nothing is lost.
        join_timeout: Seconds a join may take (8, below the 10 of phoenix.js). Later answers
            ``{"reason": "join timeout"}``.
        shutdown_grace: Seconds a running handler may go on after its channel ended (5).
        handshake_timeout: Seconds from the accepted upgrade request to the response, ``connect``
            included (10). Later answers 503.
        idle_timeout: Seconds without received data (60). Later closes with 1002, as Phoenix does.
        close_timeout: Seconds for the closing handshake (5). Later the connection is cut.
        max_send_queue_bytes: Bytes that may wait for a client that reads slowly (1 MiB). More close
            the connection with 1013 and are counted. A single larger message is allowed if
            nothing waits.
        max_connections_per_address: Connections from one address to this socket (1000). One more
            is refused with 429.
        upgrades: How often one address may ask for a connection (200 a second, 2000 at once; of
            IPv6, a network of 64 bits is one address). Beyond, it is refused with 429 and
            ``Retry-After``.
        messages: How often one connection may send a message (no limit).
        message_policy: What happens beyond: ``pause`` reads the connection no faster than that, and
            nothing is lost; ``refuse`` answers ``{"reason": "rate_limited", "retry_after": s}``,
            but for heartbeats and leaves.
        message_excess: Messages beyond what ``refuse`` allows that close the connection with 1008
            (10 000); those it has paid for by waiting count no more.
        byte_rate: Bytes that one connection may send (no limit). Beyond, it is read no faster, and
            nothing is lost. A frame that is not a whole uncompressed message (control frames,
            fragments) counts 256 bytes more, and compressed ones what they inflate to.
        hosts: Names of hosts that requests may be for (any); others are refused with 403. Without
            it the policies ``same-host`` and ``same-origin`` believe the ``Host`` header, which
            pages cannot choose, but whoever answers for our name can.
        compression: Offer permessage-deflate (off: it costs memory, and lets secrets leak by size).
        check_origin: Which ``Origin`` headers are accepted (``same-host``); a missing header is
            always accepted, because only browsers send one.
        allow_plain: Accept websockets without TLS (on). Off: 403, unless they come from this
            machine. A proxy that ends TLS must then be listed as trusted.
        require_origin: Refuse requests without an ``Origin`` header (off).
        auth_token: Take a token from the ``Sec-WebSocket-Protocol`` header (off).
        subprotocols: Subprotocols offered besides ``phoenix``.
    """

    max_frame_bytes: int = 64 * KIB
    max_fragments: int = 128
    message_deadline: float = 30.0
    json_depth: int = 64
    max_topics: int = 100
    mailbox: int = 1024
    join_timeout: float = 8.0
    shutdown_grace: float = 5.0
    handshake_timeout: float = 10.0
    idle_timeout: float = 60.0
    close_timeout: float = 5.0
    max_send_queue_bytes: int = MIB
    max_connections_per_address: int = 1000
    upgrades: Rate = Rate(per_second=200.0, burst=2000.0)
    messages: Rate = Rate(per_second=0.0, burst=1.0)
    message_policy: Literal["pause", "refuse"] = "pause"
    message_excess: int = 10_000
    byte_rate: Rate = Rate(per_second=0.0, burst=1.0)
    hosts: tuple[str, ...] = ()
    compression: bool = False
    check_origin: OriginPolicy = "same-host"
    allow_plain: bool = True
    require_origin: bool = False
    auth_token: bool = False
    subprotocols: tuple[str, ...] = ()


DEFAULT_LIMITS = SocketLimits()
