"""What waits for a client that is behind, with the outdated left out.

It exists only while there is something in it. Per topic it keeps an order: that of the latest
version of each entry. So a client that is cut before it has everything, and resumes after the last
event that it got, misses nothing that it was not told of.
"""

from typing import Final

from channel_server.pubsub import Broadcast, StandIn
from channel_server.serializer import Encoded, Serializer

ENTRY: Final = 256
"""Bytes that an entry counts for besides its message."""

_Waiting = Broadcast | StandIn | Encoded


class Backlog:
    """Messages that wait, by topic.

    Args:
        serializer: Of the client.

    Attributes:
        bytes: What is in it, about.
        serializer: Of the client.
    """

    __slots__ = ("_serial", "_topics", "bytes", "serializer")

    def __init__(self, serializer: Serializer) -> None:
        self.bytes = 0
        self.serializer = serializer
        self._serial = 0
        self._topics: dict[str, dict[str | int, _Waiting]] = {}

    def __bool__(self) -> bool:
        return bool(self._topics)

    def __len__(self) -> int:
        return sum(map(len, self._topics.values()))

    def holds(self, topic: object) -> bool:
        """Whether something of the topic waits; then what comes later must wait too."""
        return type(topic) is str and topic in self._topics

    def put(self, broadcast: Broadcast) -> int:
        """Add a broadcast.

        Its stand-in takes its place if it has one. With a key it replaces the older one of that
        key, and goes to the end. A stand-in without a key grows the one before it if nothing else
        of the topic is between them: what is between would be told out of order.

        Returns:
            How many broadcasts the client will not see because of it: 0 or 1.
        """
        waiting = self._topics.setdefault(broadcast.topic, {})
        stand_in = broadcast.stand_in
        if broadcast.coalesce is not None:
            replaced = waiting.pop(broadcast.coalesce, None)
            self._count(replaced, -1)
            self._add(waiting, broadcast.coalesce, stand_in or broadcast)
            return 1 if replaced is not None or stand_in is not None else 0
        if stand_in is None:
            self._add(waiting, self._next(), broadcast)
            return 0
        last = next(reversed(waiting), None)
        before = None if last is None else waiting[last]
        if last is not None and isinstance(before, StandIn) and before.event == stand_in.event:
            waiting[last] = before.grown(stand_in)
        else:
            self._add(waiting, self._next(), stand_in)
        return 1

    def put_encoded(self, topic: str, encoded: Encoded) -> None:
        """Add a reply or a push of a topic that waits already."""
        self._add(self._topics.setdefault(topic, {}), self._next(), encoded)

    def take(self) -> Broadcast | Encoded:
        """Remove what goes out next; topics take turns.

        Raises:
            StopIteration: It is empty.
        """
        topic = next(iter(self._topics))
        waiting = self._topics.pop(topic)
        entry = waiting.pop(next(iter(waiting)))
        if waiting:
            self._topics[topic] = waiting
        self._count(entry, -1)
        if isinstance(entry, StandIn):
            return self.serializer.encode_broadcast(topic, entry.event, entry.payload)
        return entry

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _add(self, waiting: dict[str | int, _Waiting], key: str | int, entry: _Waiting) -> None:
        waiting[key] = entry
        self._count(entry, 1)

    def _count(self, entry: _Waiting | None, sign: int) -> None:
        if isinstance(entry, Broadcast):
            self.bytes += sign * (ENTRY + len(entry.encoded(self.serializer).data))
        elif isinstance(entry, Encoded):
            self.bytes += sign * (ENTRY + len(entry.data))
        elif entry is not None:
            self.bytes += sign * ENTRY
