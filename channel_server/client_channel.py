"""One topic of a client: join, push, events, rejoin, leave.

```
closed --join()--> joining --ok--> joined --phx_leave--> leaving --> closed
                      ^               |
                      +-- errored <---+  connection lost, phx_error: joins again by itself
```

A server's `phx_close` and a refused first join end the channel for good. A refused *re*join is
tried again with back-off, `rejoin_limit` times.
"""

# ruff: noqa: ASYNC109 - callers give a timeout per call; it is part of the API

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import msgspec
import structlog

from channel_server.client_errors import (
    BufferFull,
    ChannelClosed,
    ClientError,
    Disconnected,
    JoinRefused,
    PushTimeout,
)
from channel_server.client_events import Event, EventStream
from channel_server.client_frames import Frame
from channel_server.message import CLOSE, ERROR, JOIN, LEAVE, REPLY

State = Literal["closed", "joining", "joined", "errored", "leaving"]

_log: Any = structlog.get_logger("channel_server.client")


class ReplyValue(msgspec.Struct, frozen=True):
    """The answer to a push.

    Attributes:
        status: `"ok"`, `"error"`, or what the application defined.
        response: Any JSON value, or `bytes`.
    """

    status: str
    response: Any

    @property
    def ok(self) -> bool:
        """Whether the status is `"ok"`."""
        return self.status == "ok"


class Link(Protocol):
    """What a channel needs of its client."""

    timeout: float
    rejoin_limit: int
    max_buffered: int
    max_events: int

    @property
    def connected(self) -> bool:
        """Whether frames can be sent now."""
        ...

    def next_ref(self) -> str:
        """A ref that no message of this client has had."""
        ...

    def backoff(self, attempt: int) -> float:
        """Seconds to wait before try number `attempt`, from 0."""
        ...

    async def wait_connected(self, timeout: float) -> bool:
        """Wait until frames can be sent; False when the time is over."""
        ...

    async def send(self, frame: Frame) -> None:
        """Send one frame; raises `Disconnected`."""
        ...

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Run a coroutine until the client closes."""
        ...

    def adopt(self, channel: "ClientChannel") -> None:
        """The channel wants its frames; raises RuntimeError if another has them."""
        ...

    def forget(self, channel: "ClientChannel") -> None:
        """The channel has closed."""
        ...


class ClientChannel:
    """One topic. Made by `Client.channel`; not safe to use from other threads.

    Attributes:
        topic: The topic.
        state: `closed`, `joining`, `joined`, `errored` (will join again) or `leaving`.
        joined_response: The response to the last successful join.
    """

    def __init__(self, link: Link, topic: str, payload: Any) -> None:
        self.topic = topic
        self.state: State = "closed"
        self.joined_response: Any = None
        self._link = link
        self._payload = payload
        self._join_ref: str | None = None
        self._pending: dict[str, asyncio.Future[ReplyValue]] = {}
        self._buffer: deque[Frame] = deque()
        self._handlers: dict[str, list[Callable[[Any], object]]] = {}
        self._streams: list[EventStream] = []
        self._on_join: list[Callable[[Any], object]] = []
        self._rejoining: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._first = False
        self._reason = "it was not joined"

    async def join(self, timeout: float | None = None) -> Any:
        """Join the topic, and join it again after every loss until `leave`.

        Args:
            timeout: Seconds for the connection and the reply; the client's `timeout` if None.

        Returns:
            The response of the server.

        Raises:
            JoinRefused: The server said no; it is not tried again.
            PushTimeout: No answer in time; it is not tried again.
            Disconnected: The client was closed.
            RuntimeError: The channel is joined, or about to be.
        """
        if self.state != "closed":
            raise RuntimeError(f"{self.topic} is {self.state} already")
        self._link.adopt(self)
        self.state = "errored"
        self._closed.clear()
        self._first = True
        limit = self._link.timeout if timeout is None else timeout
        try:
            return await self._join_until(asyncio.get_running_loop().time() + limit, limit)
        except BaseException:
            self._close("the join was not answered with ok")
            raise
        finally:
            self._first = False

    async def push(self, event: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Push an event and wait for its reply.

        While the channel is not joined the push waits in order, its time running; it is sent at
        most once, never again after the connection was lost.

        Args:
            event: The event.
            payload: Any JSON value, `{}` if None; `bytes` make a binary frame.
            timeout: Seconds; the client's `timeout` if None.

        Returns:
            A `ReplyValue`, also when its status is `error`.

        Raises:
            PushTimeout: No reply in time; if the push had not been sent it never will be.
            Disconnected: The connection was lost, or the channel crashed, after the push was sent.
            ChannelClosed: The channel is closed, or closed while waiting.
            BufferFull: `max_buffered` pushes wait already.
        """
        limit = self._link.timeout if timeout is None else timeout
        frame = self._frame(event, payload)
        future = self._expect(frame.ref)
        try:
            async with asyncio.timeout(limit):
                await self._submit(frame)
                return await future
        except TimeoutError:
            raise PushTimeout(self.topic, event, limit) from None
        finally:
            self._pending.pop(frame.ref, None)
            if frame in self._buffer:
                self._buffer.remove(frame)

    async def cast(self, event: str, payload: Any = None) -> None:
        """Push an event without waiting for a reply; buffered like `push`."""
        await self._submit(self._frame(event, payload))

    async def leave(self, timeout: float | None = None) -> None:
        """Leave the topic; works without a connection, and twice. Never raises on no answer."""
        if self.state == "closed":
            return
        joined = self.state in ("joined", "joining") and self._link.connected
        self.state = "leaving"
        self._stop_rejoining()
        try:
            if joined:
                await self._leave_message(self._link.timeout if timeout is None else timeout)
        finally:
            self._close("left")

    def on(self, event: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Call `callback(payload)` for each `event`; returns what removes it again.

        Callbacks run in the reading task: they must not block. What they raise is logged.
        """
        callbacks = self._handlers.setdefault(event, [])
        callbacks.append(callback)
        return lambda: callbacks.remove(callback)

    def on_join(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(response)` after each join that was answered ok, also rejoins."""
        self._on_join.append(callback)

    def events(self) -> EventStream:
        """All pushes and broadcasts from now on, as an async iterator."""
        stream = EventStream(self.topic, self._link.max_events, self._detach)
        self._streams.append(stream)
        if self.state == "closed" and self._reason != "it was not joined":
            stream.end()
        return stream

    async def wait_closed(self) -> str:
        """Wait until the channel has ended; returns why."""
        await self._closed.wait()
        return self._reason

    # Called by the client.

    def connection_opened(self) -> None:
        """The socket is open: join again if the channel should be joined."""
        if self.state == "errored" and not self._first:
            self._start_rejoining(delay=False)

    def connection_lost(self, error: Disconnected) -> None:
        """The socket is gone: what was sent and not answered fails."""
        self._stop_rejoining()
        if self.state in ("joined", "joining"):
            self.state = "errored"
        self._fail_sent(error)

    def receive(self, frame: Frame) -> None:
        """Take a frame of this topic; frames of an older join are dropped."""
        if frame.join_ref is not None and frame.join_ref != self._join_ref:
            return
        if frame.event == REPLY:
            self._receive_reply(frame)
        elif frame.event == CLOSE:
            self._close("the server closed it")
        elif frame.event == ERROR:
            self._crashed(frame.payload)
        else:
            self._receive_event(frame)

    def shut(self, reason: str) -> None:
        """The client closes for good."""
        if self.state != "closed":
            self._close(reason)

    # Inside.

    def _receive_reply(self, frame: Frame) -> None:
        future = self._pending.get(frame.ref)
        payload: Any = frame.payload
        if future is not None and not future.done() and isinstance(payload, dict):
            payload = cast("dict[str, Any]", payload)
            future.set_result(ReplyValue(payload.get("status", ""), payload.get("response")))

    def _receive_event(self, frame: Frame) -> None:
        event = Event(frame.event, frame.payload)
        for stream in self._streams:
            stream.put(event)
        for callback in tuple(self._handlers.get(frame.event, ())):
            self._call(callback, frame.payload)

    def _call(self, callback: Callable[[Any], object], value: Any) -> None:
        try:
            callback(value)
        except Exception:
            _log.exception("client_callback_failed", topic=self.topic)

    def _frame(self, event: str, payload: Any) -> Frame:
        if self.state in ("closed", "leaving"):
            raise ChannelClosed(self.topic, self._reason)
        body: Any = {} if payload is None else payload
        return Frame(None, self._link.next_ref(), self.topic, event, body)

    def _expect(self, ref: str) -> "asyncio.Future[ReplyValue]":
        future: asyncio.Future[ReplyValue] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting any more when it fails: that is no unhandled error.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._pending[ref] = future
        return future

    async def _submit(self, frame: Frame) -> None:
        if self.state == "joined":
            await self._link.send(frame._replace(join_ref=self._join_ref))
        elif len(self._buffer) >= self._link.max_buffered:
            raise BufferFull(self.topic, self._link.max_buffered)
        else:
            self._buffer.append(frame)

    async def _flush(self) -> None:
        # The state changes only when the buffer is empty, so that a push made while flushing
        # cannot overtake the ones that waited.
        while self._buffer:
            frame = self._buffer.popleft()
            try:
                await self._link.send(frame._replace(join_ref=self._join_ref))
            except Disconnected as error:
                self._fail(frame.ref, error)
                raise
        self.state = "joined"

    async def _join_once(self, timeout: float) -> Any:
        if not self._link.connected:
            raise Disconnected(None, "not connected")
        self.state = "joining"
        ref = self._join_ref = self._link.next_ref()
        payload = self._payload() if callable(self._payload) else self._payload
        future = self._expect(ref)
        try:
            async with asyncio.timeout(timeout):
                await self._link.send(Frame(ref, ref, self.topic, JOIN, payload))
                reply = await future
        except TimeoutError:
            await self._give_up(ref)
            raise PushTimeout(self.topic, JOIN, timeout) from None
        finally:
            self._pending.pop(ref, None)
        if not reply.ok:
            raise JoinRefused(self.topic, reply.response)
        self.joined_response = reply.response
        await self._flush()
        for callback in tuple(self._on_join):
            self._call(callback, reply.response)
        return reply.response

    async def _give_up(self, join_ref: str) -> None:
        """A join that is answered too late must not leave a channel behind."""
        try:
            await self._link.send(Frame(join_ref, self._link.next_ref(), self.topic, LEAVE, {}))
        except Disconnected:
            pass

    async def _join_until(self, deadline: float, limit: float) -> Any:
        clock = asyncio.get_running_loop().time
        while await self._link.wait_connected(deadline - clock()):
            try:
                return await self._join_once(deadline - clock())
            except Disconnected:
                self.state = "errored"
        raise PushTimeout(self.topic, JOIN, limit)

    async def _leave_message(self, timeout: float) -> None:
        ref = self._link.next_ref()
        future = self._expect(ref)
        try:
            async with asyncio.timeout(timeout):
                await self._link.send(Frame(self._join_ref, ref, self.topic, LEAVE, {}))
                await future
        except (TimeoutError, ClientError):
            pass
        finally:
            self._pending.pop(ref, None)

    def _crashed(self, payload: Any) -> None:
        if self.state == "leaving":
            return
        self.state = "errored"
        self._fail_sent(Disconnected(None, f"the channel crashed: {payload!r}"))
        self._start_rejoining(delay=True)

    def _fail_sent(self, error: ClientError) -> None:
        waiting = {frame.ref for frame in self._buffer}
        for ref in self._pending.keys() - waiting:
            self._fail(ref, error)

    def _fail(self, ref: str, error: ClientError) -> None:
        future = self._pending.get(ref)
        if future is not None and not future.done():
            future.set_exception(error)

    def _start_rejoining(self, *, delay: bool) -> None:
        self._stop_rejoining()
        self._rejoining = self._link.spawn(self._rejoin(delay=delay))

    def _stop_rejoining(self) -> None:
        if self._rejoining is not None:
            self._rejoining.cancel()
            self._rejoining = None

    async def _rejoin(self, *, delay: bool) -> None:
        refused = 0
        attempt = 0
        while True:
            if delay or attempt:
                await asyncio.sleep(self._link.backoff(attempt))
            attempt += 1
            try:
                await self._join_once(self._link.timeout)
            except JoinRefused as error:
                refused += 1
                if refused >= self._link.rejoin_limit:
                    self._close(str(error))
                    return
                self.state = "errored"
            except PushTimeout:
                self.state = "errored"
            except Disconnected:
                return  # the next connection starts the next rejoin
            else:
                return

    def _detach(self, stream: EventStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def _close(self, reason: str) -> None:
        self.state = "closed"
        self._reason = reason
        self._join_ref = None
        self._buffer.clear()
        for ref in self._pending:
            self._fail(ref, ChannelClosed(self.topic, reason))
        for stream in self._streams:
            stream.end()
        self._streams.clear()
        self._closed.set()
        self._link.forget(self)
