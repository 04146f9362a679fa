"""Runs one channel: its mailbox, one callback at a time, and its end.

::

    JOINING ──▶ RUNNING ──▶ ENDED ──▶ TERMINATED
       │  (join accepted)     ▲ the topic is free, terminate() runs
       └──────────────────────┘

A message for an idle channel is handled at once, in the caller's stack. If its handler is a
coroutine, the channel is busy until it finishes, and everything that arrives meanwhile queues. So
does what the channel is sent from inside its own handler. Whenever messages wait for an idle
channel, a wake-up is scheduled.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from channel_server.channel import Reply, Stop
from channel_server.channel_services import ENDED, RUNNING, TERMINATED, ChannelServices
from channel_server.errors import (
    BadReturn,
    EncodeError,
    UnhandledEvent,
    describe_event,
)
from channel_server.message import CLOSE, ERROR, Message
from channel_server.pubsub import Broadcast
from channel_server.session import Membership
from channel_server.socket import Route
from channel_server.tasks import spawn

if TYPE_CHECKING:
    from channel_server.connection import Connection
    from channel_server.joining import JoinAttempt

_TURN: Final = 64
_OVERFLOW: Final = 10
_CRASHED: Final = "channel_crash"


class _Leave(msgspec.Struct, frozen=True):
    ref: Any


class _Info(msgspec.Struct, frozen=True):
    message: Any


class Runner(ChannelServices):
    """Runs one channel. Implements `Services` for it and `Subscriber` for the topic.

    Attributes:
        attempt: The join, until it is answered.
        channel: The application's channel.
        membership: Its place in the session.
        topic: Its topic.
        join_ref: join_ref of its frames: the join message's, or else that message's ref.
        state: JOINING, RUNNING, ENDED or TERMINATED.
        successor: Called once it is TERMINATED; the next join of the topic waits so.
    """

    __slots__ = (
        "_busy",
        "_ending",
        "_full",
        "_queue",
        "_task",
        "attempt",
        "channel",
        "membership",
        "successor",
    )

    def __init__(
        self,
        connection: "Connection",
        membership: "Membership[Runner]",
        route: Route,
        join_ref: Any,
    ) -> None:
        super().__init__(connection, membership.topic, join_ref)
        self.membership = membership
        self.attempt: JoinAttempt | None = None
        self.successor: Callable[[], None] | None = None
        self._busy = True
        self._ending: tuple[str, str | None] | None = None
        self._full = False
        self._queue: deque[object] | None = None
        self._task: asyncio.Task[None] | None = None
        assigns = {**connection.socket.assigns, **route.assigns}
        self.channel = route.channel(self, connection.socket, assigns)

    @property
    def busy(self) -> bool:
        """Whether a callback is running."""
        return self._busy

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return 0 if self._queue is None else len(self._queue)

    # Arrivals.

    def receive(self, message: Message) -> None:
        """Take a message of the client."""
        if self._busy or self._queue:
            self._enqueue(message)
            self._check_full()
            return
        self._handle(message)
        if self._queue or self._ending is not None:
            self._proceed()

    def leave(self, message: Message) -> None:
        """Take the client's leave; it is answered after all messages before it."""
        if self._busy or self._queue:
            self._enqueue(_Leave(message.ref))
        else:
            self._left(message.ref)

    def deliver(self, broadcast: Broadcast) -> None:
        """Take a broadcast: straight to the client, unless the channel wants to see it."""
        if broadcast.topic != self.topic or broadcast.event in self.channel.intercept:
            self._enqueue_from_server(broadcast)
        elif not self._muted:
            connection = self._connection
            connection.transport.send_broadcast(broadcast, connection.serializer)

    def started(self) -> None:
        """The join was accepted and answered: run."""
        self.state = RUNNING
        if self.channel.subscribe_topic:
            self._connection.context.pubsub.subscribe(self.topic, self, self._connection.serializer)

    def release(self) -> None:
        """Begin to handle messages: `joined` first, then what queued meanwhile."""
        self._call("joined", self.channel.joined)
        if not self._busy:
            self._proceed()

    # The mailbox.

    def send_info(self, message: object) -> None:
        """See `Channel.send_info`."""
        self._enqueue_from_server(_Info(message))

    def stop(self, reason: str) -> None:
        """See `Channel.stop`."""
        if self.state < ENDED:
            self._enqueue(Stop(reason), urgent=True)

    def _enqueue(self, item: object, *, urgent: bool = False) -> None:
        if self.state >= ENDED or self._muted:
            return
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        if not queue and not self._busy:
            asyncio.get_running_loop().call_soon(self._drain)
        if urgent:
            queue.appendleft(item)
        else:
            queue.append(item)

    def _enqueue_from_server(self, item: object) -> None:
        # Not reading the client would not help here.
        if self.queued < _OVERFLOW * self._mailbox_size():
            self._enqueue(item)
        elif self._ending is None and self._queue is not None:
            log = self._connection.context.log
            log.warning("mailbox_overflow", topic=describe_event(self.topic), queued=self.queued)
            self._connection.context.metrics.dropped("mailbox")
            self._queue.clear()
            self.stop("mailbox_overflow")

    def _mailbox_size(self) -> int:
        size = self.channel.mailbox
        return self._connection.context.limits.mailbox if size is None else size

    def _check_full(self) -> None:
        if not self._full and self.queued >= self._mailbox_size():
            self._full = True
            self._connection.pause_reading()

    def _check_drained(self) -> None:
        if self._full and self.queued <= self._mailbox_size() // 2:
            self._full = False
            self._connection.resume_reading()

    def _proceed(self) -> None:
        """Go on after a callback."""
        if self._queue:
            asyncio.get_running_loop().call_soon(self._drain)
        elif self._ending is not None:
            self._finish(*self._ending)

    def _drain(self) -> None:
        for _ in range(_TURN):
            if self._busy or not self._queue:
                break
            self._dispatch(self._queue.popleft())
        self._check_drained()
        if not self._busy:
            self._proceed()

    def _dispatch(self, item: object) -> None:
        if type(item) is Message:
            self._handle(item)
        elif isinstance(item, Broadcast):
            self._handle_broadcast(item)
        elif isinstance(item, _Info):
            self._call("handle_info", lambda: self.channel.handle_info(item.message))
        elif isinstance(item, _Leave):
            self._left(item.ref)
        elif isinstance(item, Stop):
            self._stopped(item)

    # Callbacks.

    def _handle(self, message: Message) -> None:
        """Handle a message of the client; the hot path."""
        self._busy = True
        self._ref = message.ref
        event = message.event
        channel = self.channel
        started = perf_counter()
        try:
            handler = channel.handlers.get(event) if type(event) is str else None
            if handler is None:
                result = channel.handle_in(event, message.payload)
            else:
                result = handler(channel, message.payload)
            if isinstance(result, CoroutineType):
                self._run(self._await_handler(result, message, started))
                return
            status = self._settle(result, message)
        except Exception as error:
            status = self._crashed("handle_in", error, event)
        self._handled(message, status, started)

    async def _await_handler(
        self, coroutine: Coroutine[Any, Any, object], message: Message, started: float
    ) -> None:
        try:
            status = self._settle(await coroutine, message)
        except (Exception, asyncio.CancelledError) as error:
            status = self._crashed("handle_in", error, message.event)
        self._handled(message, status, started)
        self._after_task()

    def _handled(self, message: Message, status: str, started: float) -> None:
        self._busy = False
        self._ref = None
        event = message.event if type(message.event) is str else ""
        self._connection.context.metrics.handled(event, status, perf_counter() - started)

    def _settle(self, result: object, message: Message) -> str:
        """Carry out what a handler returned; the status for the metrics."""
        if result is None:
            return "noreply"
        if isinstance(result, Reply):
            if not self._muted:
                self._connection.send_reply(
                    self.join_ref, message.ref, self.topic, result.status, result.response
                )
            return result.status
        if isinstance(result, Stop):
            if result.reply is not None:
                self._settle(result.reply, message)
            self._stopped(result)
            return "stop"
        raise BadReturn("result of a handler", "a Reply, a Stop or None", type(result))

    def _handle_broadcast(self, broadcast: Broadcast) -> None:
        channel = self.channel
        if broadcast.topic == self.topic:
            self._call("handle_out", lambda: channel.handle_out(broadcast.event, broadcast.payload))
        else:
            self._call("handle_info", lambda: channel.handle_info(broadcast))

    def _call(self, name: str, callback: Callable[[], Any]) -> None:
        """Run a callback that answers nobody."""
        self._busy = True
        try:
            result = callback()
            if isinstance(result, CoroutineType):
                self._run(self._await_call(name, cast("Coroutine[Any, Any, object]", result)))
                return
            self._settle_call(name, result)
        except Exception as error:
            self._crashed(name, error)
        self._busy = False

    async def _await_call(self, name: str, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            self._settle_call(name, await coroutine)
        except (Exception, asyncio.CancelledError) as error:
            self._crashed(name, error)
        self._busy = False
        self._after_task()

    def _settle_call(self, name: str, result: object) -> None:
        if isinstance(result, Stop):
            self._stopped(result)
        elif result is not None:
            raise BadReturn(f"result of {name}", "a Stop or None", type(result))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = spawn(coroutine)
        # An eager task may be done already.
        if not task.done():
            self._task = task

    def _after_task(self) -> None:
        if self._task is not None:
            self._task = None
            self._drain()

    # The end.

    def shut_down(self, reason: str) -> None:
        """End without a word to the client, after all messages that arrived before."""
        if self._ending is None and self.state < ENDED:
            self._ending = (reason, None)
            if not self._busy and not self._queue:
                self._finish(reason, None)

    def replace(self) -> None:
        """End because the client joined again: what waits is lost, what runs may finish."""
        self._muted = True
        if self.state == RUNNING:
            self._queue = None
            self._check_drained()
            self._unsubscribe()
            self._ending = ("duplicate_join", None)
            if not self._busy:
                self._finish(*self._ending)
            else:
                self.cancel_after_grace()

    def cancel_after_grace(self) -> None:
        """Cancel the running callback if it is still running when the grace is over."""
        task = self._task
        if task is not None:
            grace = self._connection.context.limits.shutdown_grace
            asyncio.get_running_loop().call_later(grace, task.cancel)

    def _left(self, ref: Any) -> None:
        self._connection.send_reply(self.join_ref, ref, self.topic, "ok", {})
        self._connection.context.metrics.left()
        self._finish("left", CLOSE)

    def _stopped(self, stop: Stop) -> None:
        self._finish(stop.reason, CLOSE if stop.graceful else ERROR)

    def mute(self) -> None:
        """Send the client nothing more."""
        self._muted = True

    def _crashed(self, callback: str, error: BaseException, event: object = None) -> str:
        self.note_crash(callback, error, event)
        self._finish(_CRASHED, ERROR)
        return "crash"

    def note_crash(self, callback: str, error: BaseException, event: object = None) -> None:
        """Log and count a callback that failed; the traceback only if it is the server's fault."""
        context = self._connection.context
        fields = {"topic": describe_event(self.topic), "callback": callback}
        if event is not None:
            fields["event_name"] = describe_event(event)
        by_client = isinstance(error, EncodeError) and error.by_client
        if by_client or isinstance(error, UnhandledEvent):
            context.log.warning("event_refused", reason=str(error), **fields)
        elif isinstance(error, asyncio.CancelledError):
            context.log.warning("handler_cancelled", **fields)
        else:
            context.log.error("channel_crashed", exc_info=error, **fields)
        context.metrics.crashed(callback)

    def _finish(self, reason: str, event: str | None) -> None:
        """Free the topic, tell the client, terminate."""
        if self.state >= ENDED:
            return
        self.state = ENDED
        self._queue = None
        self._unsubscribe()
        self._check_drained()
        self._connection.channel_ended(self, None if self._muted else event)
        self.terminate(reason)

    def terminate(self, reason: str) -> None:
        """Run the application's `terminate`, then be TERMINATED."""
        self.state = ENDED
        try:
            result = self.channel.terminate(reason)
            if isinstance(result, CoroutineType):
                spawn(self._await_terminate(result))
                return
        except Exception as error:
            self.note_crash("terminate", error)
        self.terminated()

    async def _await_terminate(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except (Exception, asyncio.CancelledError) as error:
            self.note_crash("terminate", error)
        self.terminated()

    def terminated(self) -> None:
        """Nothing of this channel runs any more."""
        self.state = TERMINATED
        self._queue = None
        self._unsubscribe()
        self._connection.channel_terminated()
        if self.successor is not None:
            self.successor()
