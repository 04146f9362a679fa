"""One event stream that follows a feed: replayed events first, then live ones."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from channel_server.log import get_logger
from channel_server.pubsub import Broadcast, PubSub
from handlers.feeds.following import Start, Told
from handlers.following import Reader
from handlers.gateway import Gateway
from handlers.http.event_stream import wait_for_either
from handlers.run_tokens import User

MOST_BYTES: Final = 1024 * 1024
"""What waits for a client that reads slowly; more ends the stream, and it comes back."""

RETRY: Final = b"retry: 1000\n"
"""Milliseconds after which a browser that lost the stream comes back."""

_WRITE: Final = 64 * 1024

log = get_logger(__name__)


class Followed(msgspec.Struct, frozen=True):
    """What a stream follows.

    Attributes:
        topic: The topic whose broadcasts it has.
        position: Name of the position in a payload: ``version`` or ``cursor``.
        reader: Replays, then goes live.
        start: Where it begins.
    """

    topic: str
    position: str
    reader: Reader
    start: Start


def frame(name: str, payload: bytes, mark: object = None) -> bytes:
    """Return one event as it goes over the wire."""
    head = b"" if mark is None else f"id: {mark}\n".encode()
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), payload)


class StreamSink:
    """Collects events for one stream.

    Args:
        pubsub: Where it is subscribed once it is live.
        followed: What it follows.

    Attributes:
        broken: It must end; the client comes back with the last position that it has.
        woken: Set when there is something to do.
    """

    def __init__(self, pubsub: PubSub, followed: Followed) -> None:
        self.broken = False
        self.woken = asyncio.Event()
        self._pubsub = pubsub
        self._topic = followed.topic
        self._position = followed.position
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._taken = asyncio.Event()
        self._open = True

    @property
    def connected(self) -> bool:
        """Whether somebody reads."""
        return self._open and not self.broken

    def take(self, told: Told) -> None:
        """Keep a replayed event; its page may be larger than what may wait otherwise."""
        if self.connected:
            self._keep(frame(told.name, told.payload, told.mark))

    def deliver(self, broadcast: Broadcast) -> None:
        """Keep a live event."""
        if not self.connected:
            return
        if self._bytes > MOST_BYTES:
            log.info("stream_too_slow", topic=self._topic)
            self.break_off()
            return
        payload = broadcast.payload
        data = bytes(payload) if isinstance(payload, msgspec.Raw) else msgspec.json.encode(payload)
        mark = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get(self._position)
        text = None if mark is None else bytes(mark).decode().strip('"')
        self._keep(frame(broadcast.event, data, text))

    def go_live(self) -> None:
        """Have the broadcasts from now on."""
        if self.connected:
            self._pubsub.subscribe(self._topic, self)

    async def keep_pace(self) -> None:
        """Wait until most of it was written."""
        while self.connected and self._bytes > _WRITE:
            self._taken.clear()
            await self._taken.wait()

    def next(self) -> bytes:
        """Return what is to be written now; nothing if nothing waits."""
        data: list[bytes] = []
        size = 0
        while self._waiting and size < _WRITE:
            data.append(self._waiting.popleft())
            size += len(data[-1])
        self._bytes -= size
        self._taken.set()
        self.woken.clear()
        return b"".join(data)

    def break_off(self) -> None:
        """End the stream."""
        self.broken = True
        self.woken.set()
        self._taken.set()

    def close(self) -> None:
        """Nobody reads any more."""
        self._open = False
        self._taken.set()
        self._pubsub.unsubscribe(self._topic, self)

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)
        self.woken.set()


async def follow(gateway: Gateway, user: User, followed: Followed) -> AsyncGenerator[bytes]:
    """Yield the events of one client."""
    settings, closed = gateway.settings, gateway.feed.closed
    sink = StreamSink(gateway.pubsub, followed)
    clock = asyncio.get_running_loop().time
    life = settings.stream_lifetime
    if user.expires_at is not None:
        life = min(life, user.expires_at - time.time())
    ends = clock() + life
    start = followed.start
    gateway.feeds.streams[user.subject] += 1
    following = asyncio.create_task(_replay(sink, followed.reader))
    try:
        first = msgspec.json.encode(start.reply(followed.position))
        name = "joined" if start.complete else "snapshot"
        yield RETRY + frame(name, first, start.position)
        spoke = clock()
        while not closed.is_set() and clock() < ends and gateway.user_tokens.good(user):
            data = sink.next()
            if data:
                spoke = clock()
                yield data
                continue
            if sink.broken:
                return
            if clock() - spoke >= settings.stream_ping:
                spoke = clock()
                yield frame("ping", b"{}")
            pause = min(settings.stream_interval, settings.stream_ping, max(0.0, ends - clock()))
            await wait_for_either(sink.woken, closed, pause)
    finally:
        sink.close()
        following.cancel()
        followed.reader.close()
        gateway.feeds.stream_ended(user.subject)


async def _replay(sink: StreamSink, reader: Reader) -> None:
    try:
        if await reader.follow(sink):
            return
    except Exception:
        log.exception("replay_failed")
    # A stream that goes on without its events would be a gap that nobody is told of.
    sink.break_off()
