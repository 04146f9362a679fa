"""What a channel can do: push, broadcast, reply, subscribe."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from channel_server.channel import Reply, ReplyRef
from channel_server.errors import NoReplyRef, NotJoined, ReservedEvent
from channel_server.message import RESERVED
from channel_server.pubsub import Broadcast

if TYPE_CHECKING:
    from channel_server.connection import Connection

JOINING: Final = 0
RUNNING: Final = 1
ENDED: Final = 2
TERMINATED: Final = 3


class ChannelServices:
    """The part of a running channel that its application calls.

    Attributes:
        topic: Its topic.
        join_ref: join_ref of its frames: the join message's, or else that message's ref.
        state: JOINING, RUNNING, ENDED or TERMINATED.
    """

    __slots__ = (
        "_connection",
        "_extra_topics",
        "_muted",
        "_ref",
        "join_ref",
        "state",
        "topic",
    )

    def __init__(self, connection: "Connection", topic: str, join_ref: Any) -> None:
        self._connection = connection
        self._extra_topics: set[str] | None = None
        self._muted = False
        self._ref: Any = None
        self.join_ref = join_ref
        self.state = JOINING
        self.topic = topic

    def deliver(self, broadcast: Broadcast) -> None:
        """Take a broadcast; see `Subscriber`."""
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        """See `Channel.connected`."""
        return not self._muted and self._connection.connected

    def push(self, event: str, payload: Any) -> None:
        """See `Channel.push`."""
        self._require_joined("push")
        if event in RESERVED:
            raise ReservedEvent(event)
        if not self._muted and self.state != TERMINATED:
            connection = self._connection
            encoded = connection.serializer.encode_push(self.join_ref, self.topic, event, payload)
            connection.transport.send(encoded, self.topic)

    def broadcast(self, event: str, payload: Any, *, to_self: bool) -> int:
        """See `Channel.broadcast` and `Channel.broadcast_from`."""
        self._require_joined("broadcast")
        pubsub = self._connection.context.pubsub
        if to_self:
            return pubsub.broadcast(self.topic, event, payload, first=self)
        return pubsub.broadcast(self.topic, event, payload, exclude=self)

    def reply(self, ref: ReplyRef, reply: Reply) -> None:
        """See `Channel.reply`."""
        if not self._muted:
            self._connection.send_reply(
                ref.join_ref, ref.ref, ref.topic, reply.status, reply.response
            )

    def reply_ref(self) -> ReplyRef:
        """See `Channel.reply_ref`."""
        self._require_joined("reply_ref")
        if self._ref is None:
            raise NoReplyRef(self.topic)
        return ReplyRef(self.join_ref, self._ref, self.topic)

    def subscribe(self, topic: str) -> None:
        """See `Channel.subscribe`."""
        if self.state < ENDED:
            if self._extra_topics is None:
                self._extra_topics = set()
            self._extra_topics.add(topic)
            self._connection.context.pubsub.subscribe(topic, self)

    def unsubscribe(self, topic: str) -> None:
        """See `Channel.unsubscribe`."""
        if self._extra_topics is not None and topic in self._extra_topics:
            self._extra_topics.remove(topic)
            self._connection.context.pubsub.unsubscribe(topic, self)

    def go_live(self) -> None:
        """See `Channel.go_live`."""
        if self.state == RUNNING and not self._muted:
            connection = self._connection
            connection.context.pubsub.subscribe(self.topic, self, connection.serializer)

    async def keep_pace(self) -> None:
        """See `Channel.keep_pace`."""
        waiting = self._connection.transport.congestion()
        if waiting is not None:
            await asyncio.wait([waiting])  # not the future itself: others wait for it too

    def unhandled_info(self, message: object) -> None:
        """See `Channel.handle_info`."""
        self._connection.context.log.warning(
            "info_unhandled", topic=self.topic, type=type(message).__name__
        )

    def _require_joined(self, action: str) -> None:
        if self.state == JOINING:
            raise NotJoined(self.topic, action)

    def _unsubscribe(self) -> None:
        pubsub = self._connection.context.pubsub
        pubsub.unsubscribe(self.topic, self)
        if self._extra_topics is not None:
            for topic in self._extra_topics:
                pubsub.unsubscribe(topic, self)
            self._extra_topics = None
