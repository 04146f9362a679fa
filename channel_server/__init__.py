"""A Phoenix-style channel server.

An application defines a `Socket` (who may connect, which topics exist) and `Channel`s (what happens
on them), mounts the socket at a path of an `Endpoint`, and starts that.
"""

from channel_server.channel import Channel, HandlerResult, Reply, ReplyRef, Stop, error, ok, on
from channel_server.errors import (
    BadReturn,
    ChannelServerError,
    DefinitionError,
    EncodeError,
    MalformedFrame,
    NoReplyRef,
    NotJoined,
    ReservedEvent,
    UnhandledEvent,
)
from channel_server.limits import SocketLimits
from channel_server.message import Message
from channel_server.pubsub import Broadcast, PubSub
from channel_server.socket import ConnectInfo, Refuse, Route, Socket

__all__ = [
    "BadReturn",
    "Broadcast",
    "Channel",
    "ChannelServerError",
    "ConnectInfo",
    "DefinitionError",
    "EncodeError",
    "HandlerResult",
    "MalformedFrame",
    "Message",
    "NoReplyRef",
    "NotJoined",
    "PubSub",
    "Refuse",
    "Reply",
    "ReplyRef",
    "ReservedEvent",
    "Route",
    "Socket",
    "SocketLimits",
    "Stop",
    "UnhandledEvent",
    "error",
    "ok",
    "on",
]
