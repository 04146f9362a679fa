"""Topics and their local subscribers. A broadcast is encoded once per serializer.

Delivery is at most once and nothing is stored. Broadcasts of one topic reach each subscriber in the
order in which they were made. A subscriber that is stalled delays nobody: bounding what waits for
it is the transport's business.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from channel_server.errors import ReservedEvent
from channel_server.message import RESERVED
from channel_server.serializer import Encoded, Serializer, check_payload

DEFAULT_CHUNK: Final = 256


class StandIn(msgspec.Struct, frozen=True):
    """What a client that is behind gets in place of a broadcast: where to find what it missed.

    Attributes:
        event: Its event.
        payload: A small JSON object.
        keep: Fields that keep their oldest value when several stand-ins become one; all others
            have the newest.
    """

    event: str
    payload: Mapping[str, Any]
    keep: tuple[str, ...] = ()

    def grown(self, newer: "StandIn") -> "StandIn":
        """One stand-in for what this one and a newer one stand for."""
        kept = {name: self.payload[name] for name in self.keep}
        return StandIn(newer.event, {**newer.payload, **kept}, self.keep)


class Broadcast:
    """A message to all subscribers of a topic, with its encodings.

    Attributes:
        topic: The topic.
        event: The event.
        payload: The payload; must not be changed by anybody.
        coalesce: See `PubSub.broadcast`.
        stand_in: See `PubSub.broadcast`.
        frames: Complete websocket frames by serializer version, kept here by transports so that
            each is made once.
    """

    __slots__ = ("_encoded", "coalesce", "event", "frames", "payload", "stand_in", "topic")

    def __init__(
        self,
        topic: str,
        event: str,
        payload: Any,
        *,
        coalesce: str | None = None,
        stand_in: StandIn | None = None,
    ) -> None:
        self.topic = topic
        self.event = event
        self.payload = payload
        self.coalesce = coalesce
        self.stand_in = stand_in
        self._encoded: dict[str, Encoded] = {}
        self.frames: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Broadcast({self.topic!r}, {self.event!r})"

    def encoded(self, serializer: Serializer) -> Encoded:
        """The message as `serializer` writes it; encoded at the first call.

        Raises:
            EncodeError: The payload has no wire format in it.
        """
        encoded = self._encoded.get(serializer.vsn)
        if encoded is None:
            encoded = serializer.encode_broadcast(self.topic, self.event, self.payload)
            self._encoded[serializer.vsn] = encoded
        return encoded


class Subscriber(Protocol):
    """Whoever wants the broadcasts of a topic; compared by identity."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Take one broadcast; must neither block nor raise."""
        ...


class DeliveryCounter(Protocol):
    """What PubSub counts with."""

    def broadcasted(self, deliveries: int) -> None:
        """A broadcast was handed to this many subscribers."""
        ...


class _FanOut:
    """A broadcast that is being delivered, in chunks."""

    __slots__ = ("ahead", "broadcast", "index", "targets")

    def __init__(self, broadcast: Broadcast, targets: list[Subscriber]) -> None:
        self.broadcast = broadcast
        self.targets = targets
        self.index = 0
        self.ahead: set[Subscriber] | None = None


class PubSub:
    """Exact topics, no patterns; subscribing twice is subscribing once. Not thread-safe.

    Args:
        chunk: Subscribers served in one go; the event loop runs before the next ones.
        metrics: Counts broadcasts and deliveries, if given.
    """

    def __init__(
        self, *, chunk: int = DEFAULT_CHUNK, metrics: DeliveryCounter | None = None
    ) -> None:
        self._chunk = chunk
        self._metrics = metrics
        self._topics: dict[str, dict[Subscriber, Serializer | None]] = {}
        self._fan_outs: dict[str, deque[_FanOut]] = {}

    def subscribe(
        self, topic: str, subscriber: Subscriber, serializer: Serializer | None = None
    ) -> None:
        """Deliver the topic's later broadcasts to `subscriber`.

        Args:
            topic: The topic.
            subscriber: Hashed and compared by identity.
            serializer: What the subscriber will encode with; broadcasts that cannot be encoded
                so are refused as a whole. None: it takes the message as it is.
        """
        self._topics.setdefault(topic, {})[subscriber] = serializer

    def unsubscribe(self, topic: str, subscriber: Subscriber) -> None:
        """Deliver nothing more, not even what was broadcast before; unknown ones are ignored."""
        subscribers = self._topics.get(topic)
        if subscribers is not None:
            subscribers.pop(subscriber, None)
            if not subscribers:
                del self._topics[topic]

    def subscribers(self, topic: str) -> int:
        """How many subscribers the topic has."""
        return len(self._topics.get(topic, ()))

    def topics(self) -> list[str]:
        """All topics that have subscribers."""
        return list(self._topics)

    def broadcast(
        self,
        topic: str,
        event: str,
        payload: Any,
        *,
        exclude: Subscriber | None = None,
        first: Subscriber | None = None,
        coalesce: str | None = None,
        stand_in: StandIn | None = None,
    ) -> int:
        """Send a message to all subscribers of a topic.

        Returning means handed over, not delivered. With more subscribers than one chunk, the
        others get it in later turns of the event loop, in order.

        Args:
            topic: The topic.
            event: The event.
            payload: A JSON object or `bytes`; must not be changed afterwards.
            exclude: A subscriber that does not get it.
            first: A subscriber that gets it before this returns, so that what it sends next comes
                after it.
            coalesce: What it is the state of. While a client is behind, it waits, and a newer one
                of the same topic and key takes its place: the client may see the newest only.
            stand_in: What a client that is behind gets instead; consecutive ones become one.

        Returns:
            How many subscribers it is for.

        Raises:
            EncodeError: The payload has no wire format in a serializer of some subscriber; then
                nobody gets it.
            ReservedEvent: The event belongs to the protocol.
        """
        if event in RESERVED:
            raise ReservedEvent(event)
        check_payload(payload)
        subscribers = self._topics.get(topic)
        if subscribers is None:
            return 0
        broadcast = Broadcast(topic, event, payload, coalesce=coalesce, stand_in=stand_in)
        for serializer in set(subscribers.values()):
            if serializer is not None:
                broadcast.encoded(serializer)
        targets = list(subscribers)
        if exclude in subscribers:
            targets.remove(exclude)
        if self._metrics is not None:
            self._metrics.broadcasted(len(targets))
        self._start(_FanOut(broadcast, targets), first)
        return len(targets)

    def _start(self, fan_out: _FanOut, first: Subscriber | None) -> None:
        topic = fan_out.broadcast.topic
        waiting = self._fan_outs.get(topic)
        if waiting is None:
            if len(fan_out.targets) <= self._chunk:
                # The usual case. Nobody else can start a fan-out of this topic meanwhile that
                # should come after: deliver() only queues.
                self._serve(fan_out, len(fan_out.targets))
                return
            waiting = self._fan_outs[topic] = deque()
            asyncio.get_running_loop().call_soon(self._turn, topic)
        waiting.append(fan_out)
        if first is not None:
            for earlier in waiting:
                self._serve_ahead(earlier, first)

    def _turn(self, topic: str) -> None:
        waiting = self._fan_outs[topic]
        fan_out = waiting[0]
        self._serve(fan_out, self._chunk)
        if fan_out.index >= len(fan_out.targets):
            waiting.popleft()
        if waiting:
            asyncio.get_running_loop().call_soon(self._turn, topic)
        else:
            del self._fan_outs[topic]

    def _serve(self, fan_out: _FanOut, count: int) -> None:
        broadcast = fan_out.broadcast
        ahead = fan_out.ahead
        subscribed = self._topics.get(broadcast.topic, {})
        start = fan_out.index
        fan_out.index = start + count
        for subscriber in fan_out.targets[start : start + count]:
            # Delivering may end subscribers, and time passes between chunks.
            if subscriber in subscribed and (ahead is None or subscriber not in ahead):
                subscriber.deliver(broadcast)

    def _serve_ahead(self, fan_out: _FanOut, subscriber: Subscriber) -> None:
        if fan_out.ahead is not None and subscriber in fan_out.ahead:
            return
        if subscriber in fan_out.targets[fan_out.index :]:
            if fan_out.ahead is None:
                fan_out.ahead = set()
            fan_out.ahead.add(subscriber)
            subscriber.deliver(fan_out.broadcast)
