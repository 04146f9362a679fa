"""Messages as the application sees them, and the names that the protocol keeps for itself."""

from typing import Any

import msgspec

JOIN = "phx_join"
LEAVE = "phx_leave"
REPLY = "phx_reply"
CLOSE = "phx_close"
ERROR = "phx_error"
HEARTBEAT = "heartbeat"
PHOENIX = "phoenix"
"""Topic of heartbeats."""
DISCONNECT = "disconnect"
"""Event that closes every connection subscribed to a socket id, broadcast on that id."""
RECHECK = "recheck"
"""Event, broadcast on a socket id, that closes those of its connections that may not stay."""

RESERVED = frozenset({JOIN, LEAVE, REPLY, CLOSE, ERROR})
"""Events that application code may neither push nor broadcast."""


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message of a client, decoded and not yet trusted.

    The wire decides nothing about types: each field may be any JSON value, and is echoed as it
    came. Only a `str` topic can be joined.

    Attributes:
        join_ref: Which join of the topic it belongs to, or None.
        ref: What a reply to it will carry, or None.
        topic: The topic.
        event: The event.
        payload: Any JSON value, or `bytes` if it came in a binary frame.
    """

    join_ref: Any
    ref: Any
    topic: Any
    event: Any
    payload: Any
