"""An asyncio Phoenix client, serializer V2.

```python
async with Client("ws://localhost:4000/socket", params={"token": token}) as client:
    room = client.channel("room:1", {"nick": "ada"})
    await room.join()
    reply = await room.push("say", {"text": "hello"})
    async for event in room.events():
        print(event.event, event.payload)
```

**After a lost connection** the client connects again with full-jitter back-off, evaluates
`params` and `auth_token` anew, and joins every channel again. It does so after *every* close that
it did not ask for, whatever the code, as phoenix.js does since 1.8.16; name codes in
`final_codes` (older phoenix.js: `{1000}`) that shall end it instead. A refused upgrade is tried
again too: only the first `connect` raises it.

**What is not promised.** Pushes are sent at most once: one in flight when the connection is lost
fails with `Disconnected`, and whether the server acted is unknown. Events that were sent while
the client was away are not seen. A client belongs to one event loop.
"""

# ruff: noqa: ASYNC109 - callers give a timeout per call; it is part of the API

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

import structlog

from channel_server.client_channel import ClientChannel, ReplyValue
from channel_server.client_errors import (
    BufferFull,
    ChannelClosed,
    ClientError,
    ConnectFailed,
    ConnectRefused,
    Disconnected,
    EventsLost,
    JoinRefused,
    PushTimeout,
)
from channel_server.client_events import Event, EventStream
from channel_server.client_frames import V2, Frame, FrameError, Observer, decode, encode
from channel_server.message import HEARTBEAT, PHOENIX
from channel_server.transport.wire import CLOSE_TIMEOUT, Wire, open_wire, socket_url

__all__ = [
    "BufferFull",
    "ChannelClosed",
    "Client",
    "ClientChannel",
    "ClientError",
    "ConnectFailed",
    "ConnectRefused",
    "Disconnected",
    "Event",
    "EventStream",
    "EventsLost",
    "JoinRefused",
    "PushTimeout",
    "ReplyValue",
    "full_jitter",
]

ParamSource = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None

_log: Any = structlog.get_logger("channel_server.client")


def full_jitter(attempt: int, *, base: float = 0.1, cap: float = 10.0) -> float:
    """Seconds to wait before try number `attempt` (from 0): uniform in 0 to min(cap, base·2ⁿ)."""
    return random.uniform(0, min(cap, base * 2.0 ** min(attempt, 32)))  # noqa: S311 - no secret


class Client:
    """A connection that comes back, and its channels.

    Args:
        url: The mount point (`ws://host/socket`) or the full path.
        params: Connect params, or a callable that gives them anew for each connection.
        auth_token: A token sent as subprotocol instead of in the address, or a callable.
        timeout: Seconds to wait for replies and joins.
        heartbeat_interval: Seconds between heartbeats; one that is not answered before the next
            is due closes the connection with 1000 and connects again.
        backoff: `attempt -> seconds` before connecting or joining again; default `full_jitter`.
        rejoin_limit: How often in a row a rejoin may be refused before the channel is closed.
        max_buffered: How many pushes per channel wait while it is not joined.
        max_events: How many events an `EventStream` holds unread.
        max_size: Bytes of the largest incoming message.
        final_codes: Close codes of the server after which the client does not come back.
        observer: Told of every frame and connection, e.g. to record them.
        options: Passed to `open_wire`.
    """

    def __init__(
        self,
        url: str,
        *,
        params: ParamSource = None,
        auth_token: str | Callable[[], str] | None = None,
        timeout: float = 10.0,
        heartbeat_interval: float = 30.0,
        backoff: Callable[[int], float] = full_jitter,
        rejoin_limit: int = 5,
        max_buffered: int = 1000,
        max_events: int = 4096,
        max_size: int = 32 * 1024 * 1024,
        final_codes: frozenset[int] = frozenset(),
        observer: Observer | None = None,
        **options: Any,
    ) -> None:
        self.timeout = timeout
        self.rejoin_limit = rejoin_limit
        self.max_buffered = max_buffered
        self.max_events = max_events
        self._backoff = backoff
        self._url = url
        self._params = params
        self._auth_token = auth_token
        self._heartbeat_interval = heartbeat_interval
        self._final_codes = final_codes
        self._observer = observer
        self._options: dict[str, Any] = options | {"max_size": max_size}
        self._channels: dict[str, ClientChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._opened = asyncio.Event()
        self._ended = asyncio.Event()
        self._last_ref = 0
        self._heartbeat_ref: str | None = None
        self._proven = False
        self._closing = False
        self._close_callbacks: list[Callable[[Disconnected], object]] = []

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether the socket is open now."""
        return self._wire is not None

    async def connect(self, *, retry: bool = False) -> None:
        """Open the connection and keep it open until `close`.

        Args:
            retry: Keep trying until it stands, instead of raising when the first try fails.

        Raises:
            ConnectRefused: The server answered with an HTTP status.
            ConnectFailed: No connection could be made.
        """
        if self._runner is not None:
            raise RuntimeError("connect was called already")
        first = None if retry else await self._open()
        self._runner = asyncio.create_task(self._run(first), name="phoenix-client")
        opened = asyncio.create_task(self._opened.wait())
        try:
            await asyncio.wait({opened, self._runner}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            opened.cancel()
            await asyncio.gather(opened, return_exceptions=True)
        if self._closing:
            raise ConnectFailed("the client was closed")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection for good; channels end, nothing is left running. Twice is fine."""
        self._closing = True
        if self._wire is not None:
            if self._observer is not None:
                self._observer.closing(code)
            await self._wire.close(code, reason)
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        await self._finish("the client was closed")

    def channel(self, topic: str, payload: Any = None) -> ClientChannel:
        """A channel for a topic, not yet joined.

        Args:
            topic: The topic; one channel at a time.
            payload: The join payload (`{}` if None), or a callable evaluated at each join.

        Raises:
            RuntimeError: There is a channel of that topic which has not ended.
        """
        channel = ClientChannel(self, topic, {} if payload is None else payload)
        self.adopt(channel)
        return channel

    def on_close(self, callback: Callable[[Disconnected], object]) -> None:
        """Call `callback(Disconnected)` after each loss of the connection."""
        self._close_callbacks.append(callback)

    async def wait_closed(self) -> None:
        """Wait until the client has ended, by `close` or by one of `final_codes`."""
        await self._ended.wait()

    async def wait_connected(self, timeout: float) -> bool:
        """Wait until the socket is open; False when the time is over.

        Raises:
            Disconnected: It will never be open again.
        """
        if self._wire is not None:
            return True
        try:
            async with asyncio.timeout(max(0.0, timeout)):
                await self._opened.wait()
        except TimeoutError:
            return False
        if self._wire is None and self._closing:
            raise Disconnected(None, "the client was closed")
        return True

    # What channels need.

    def backoff(self, attempt: int) -> float:
        """Seconds to wait before try number `attempt`, from 0."""
        return self._backoff(attempt)

    def next_ref(self) -> str:
        """A ref that no message of this client has had."""
        self._last_ref += 1
        return str(self._last_ref)

    async def send(self, frame: Frame) -> None:
        """Send one frame.

        Raises:
            Disconnected: There is no connection.
        """
        wire = self._wire
        if wire is None:
            raise Disconnected(None, "not connected")
        if self._observer is not None:
            self._observer.sent(frame)
        try:
            await wire.send(encode(frame, V2))
        except Disconnected:
            # Who sends may know before the task that reads does. A join that saw the connection
            # as open until then would try again at once, for ever, and never let that task run.
            if self._wire is wire:
                self._wire = None
                self._opened.clear()
            raise

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine until it ends or the client closes."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def adopt(self, channel: ClientChannel) -> None:
        """Take the frames of the channel's topic to it.

        Raises:
            RuntimeError: There is another channel of that topic which has not ended.
        """
        known = self._channels.setdefault(channel.topic, channel)
        if known is not channel and known.state != "closed":
            raise RuntimeError(f"{channel.topic} has a channel already")
        self._channels[channel.topic] = channel

    def forget(self, channel: ClientChannel) -> None:
        """The channel has closed."""
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]

    # Inside.

    async def _open(self) -> Wire:
        params = self._params() if callable(self._params) else self._params or {}
        token = self._auth_token() if callable(self._auth_token) else self._auth_token
        url = socket_url(self._url, params, V2)
        return await open_wire(url, auth_token=token, **self._options)

    async def _run(self, wire: Wire | None) -> None:
        attempt = 0
        while True:
            try:
                wire = wire or await self._open()
            except ConnectFailed as error:
                _log.warning("client_connect_failed", reason=str(error), attempt=attempt)
            except Exception:
                # `params` or `auth_token` could not be evaluated; perhaps the next time.
                _log.exception("client_connect_failed", attempt=attempt)
            else:
                self._proven = False
                lost = await self._serve(wire)
                wire = None
                if self._closing or lost.code in self._final_codes:
                    await self._finish(str(lost))
                    return
                # A server that accepts and drops at once must not be hammered: only a
                # connection on which something arrived starts the back-off anew.
                attempt = 0 if self._proven else attempt
            await asyncio.sleep(self._backoff(attempt))
            attempt += 1

    async def _serve(self, wire: Wire) -> Disconnected:
        self._wire = wire
        self._opened.set()
        if self._observer is not None:
            self._observer.opened()
        for channel in tuple(self._channels.values()):
            channel.connection_opened()
        heartbeat = asyncio.create_task(self._heartbeat(wire))
        lost = Disconnected(1006, "")
        try:
            while True:
                self._dispatch(decode(await wire.receive()))
        except Disconnected as error:
            lost = error
        except FrameError as error:
            lost = Disconnected(1002, error.reason)
            await wire.close(1002, "not a Phoenix frame")
        finally:
            heartbeat.cancel()
            self._lost(wire, lost)
        return lost

    def _lost(self, wire: Wire, error: Disconnected) -> None:
        self._wire = None
        self._opened.clear()
        if wire.close_code is None:
            wire.abort()
        if self._observer is not None:
            self._observer.closed(error.code or 1006)
        for channel in tuple(self._channels.values()):
            channel.connection_lost(error)
        for callback in tuple(self._close_callbacks):
            try:
                callback(error)
            except Exception:
                _log.exception("client_callback_failed", callback="on_close")

    def _dispatch(self, frame: Frame) -> None:
        self._proven = True
        if self._observer is not None:
            self._observer.received(frame)
        if frame.topic == PHOENIX:
            if frame.ref == self._heartbeat_ref:
                self._heartbeat_ref = None
        elif isinstance(frame.topic, str) and isinstance(frame.event, str):
            channel = self._channels.get(frame.topic)
            # Refs of this client are strings: anything else answers nobody.
            if channel is not None and isinstance(frame.ref, str | None):
                channel.receive(frame)

    async def _heartbeat(self, wire: Wire) -> None:
        self._heartbeat_ref = None
        while True:
            await asyncio.sleep(self._heartbeat_interval)
            if self._heartbeat_ref is not None:
                await self._give_up(wire)
                return
            self._heartbeat_ref = self.next_ref()
            try:
                await self.send(Frame(None, self._heartbeat_ref, PHOENIX, HEARTBEAT, {}))
            except Disconnected:
                return

    async def _give_up(self, wire: Wire) -> None:
        """Close a connection on which nobody answers, and do not wait long for an answer."""
        try:
            async with asyncio.timeout(min(self._heartbeat_interval, CLOSE_TIMEOUT)):
                await wire.close(1000, "heartbeat timeout")
        except TimeoutError:
            wire.abort()

    async def _finish(self, reason: str) -> None:
        self._closing = True
        self._opened.set()  # for whoever waits for a connection that will not come
        for channel in tuple(self._channels.values()):
            channel.shut(reason)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._ended.set()
