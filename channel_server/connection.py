"""One client: takes decoded frames to the channels and their answers to the transport.

Knows nothing of sockets or bytes on the wire: a transport calls `receive_text`, `receive_binary`
and `disconnected`, and offers `Transport` in return. Everything happens in the caller's stack; only
callbacks that wait run as tasks. An idle connection has neither tasks nor timers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from time import monotonic
from typing import Any, Final

import msgspec
from structlog.stdlib import BoundLogger

from channel_server.carrier import GONE, Transport
from channel_server.errors import BadReturn, MalformedFrame, describe_event
from channel_server.joining import JoinAttempt, surplus
from channel_server.limits import DEFAULT_LIMITS, SocketLimits
from channel_server.log import get_logger
from channel_server.message import CLOSE, DISCONNECT, ERROR, HEARTBEAT, LEAVE, RECHECK, Message
from channel_server.metrics import Metrics
from channel_server.pubsub import Broadcast, PubSub
from channel_server.rate_limit import SHORTEST_PAUSE
from channel_server.runner import Runner
from channel_server.serializer import Serializer
from channel_server.session import (
    TOO_MANY,
    Action,
    Answer,
    Defer,
    Drop,
    Join,
    Leave,
    Membership,
    Session,
)
from channel_server.socket import ClientClose, Route, Socket

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
SERVICE_RESTART: Final = 1012
CRASH_PAYLOAD: Final = {"reason": "channel_crash"}
DRAINING: Final = "draining"
REVOKED: Final = "session revoked"
RATE_LIMITED: Final = "rate_limited"


@dataclass(slots=True)
class Gate:
    """Whether a server lets in what is new.

    Attributes:
        draining: Joins are refused, except of channels that are joined while draining.
    """

    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What all connections of a mount share.

    Attributes:
        pubsub: Where channels broadcast and subscribe.
        limits: Limits of each connection.
        metrics: What is counted.
        log: Where lines go.
        gate: Of the server.
        limited: Whether the rate of messages is limited.
    """

    pubsub: PubSub
    limits: SocketLimits = DEFAULT_LIMITS
    metrics: Metrics = field(default_factory=Metrics)
    log: BoundLogger = field(default_factory=get_logger)
    gate: Gate = field(default_factory=Gate)
    limited: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limited", bool(self.limits.messages.per_second))


class ChannelInfo(msgspec.Struct, frozen=True):
    """A channel as introspection shows it.

    Attributes:
        topic: Its topic.
        channel: Name of its class.
        join_ref: join_ref of its frames.
        busy: Whether a callback is running.
        queued: Messages that wait in its mailbox.
    """

    topic: str
    channel: str
    join_ref: Any
    busy: bool
    queued: int


class Connection:
    """One client, whatever carries its frames.

    Args:
        context: What it shares with the other connections of its mount.
        socket: The application's socket; `connect` has accepted.
        serializer: How frames are encoded.
        transport: What carries them.

    Attributes:
        session: The topics it joined.
        id: Name of the client, from `Socket.id`.
    """

    __slots__ = (
        "_closed_by",
        "_closing",
        "_full_at",
        "_pauses",
        "_running",
        "_terminated",
        "_warned",
        "context",
        "id",
        "serializer",
        "session",
        "socket",
        "transport",
    )

    def __init__(
        self,
        context: ConnectionContext,
        socket: Socket,
        serializer: Serializer,
        transport: Transport,
    ) -> None:
        self.context = context
        self.socket = socket
        self.serializer = serializer
        self.transport = transport
        self.session: Session[Route, Runner] = Session(socket.route, context.limits.max_topics)
        self.id = socket.id()
        self._closed_by: ClientClose | None = None
        self._closing: str | None = None
        self._full_at = 0.0
        self._pauses = 0
        self._running = 0
        self._terminated: asyncio.Event | None = None
        self._warned = False
        if self.id is not None:
            context.pubsub.subscribe(self.id, self)
        socket.opened()

    # From the transport.

    def receive_text(self, data: bytes) -> None:
        """Take one complete text message."""
        if self._closing is None:
            try:
                message = self.serializer.decode_text(data)
            except MalformedFrame as error:
                self._refuse_frame(error)
            else:
                if self.context.limited and not self._admit(message):
                    return
                self._handle(message)

    def receive_binary(self, data: bytes) -> None:
        """Take one complete binary message."""
        if self._closing is None:
            try:
                message = self.serializer.decode_binary(data)
            except MalformedFrame as error:
                self._refuse_frame(error)
            else:
                if self.context.limited and not self._admit(message):
                    return
                self._handle(message)

    def disconnected(self, reason: str = "closed", close: ClientClose | None = None) -> None:
        """The client is gone, with `close` if it said so; calling it again does nothing.

        What arrived before is still handled, then each channel's `terminate` runs, with `reason`
        unless the connection was closing for another one already.
        """
        if self.transport is GONE:
            return
        self.transport = GONE
        self._closed_by = close
        if self.id is not None:
            self.context.pubsub.unsubscribe(self.id, self)
        had_channels = bool(self._running)
        self._shut_down(reason)
        if not had_channels:
            self.socket.ended(close)

    # From the server.

    def drain(self) -> None:
        """Handle what arrived, answer it, then close with 1012; nothing more is received.

        Joins in progress are answered too. Channels end with the reason `draining` and without
        `phx_close` or `phx_error`, so that clients reconnect and join again.
        """
        if self._closing is None:
            self.transport.pause_reading()
            empty = not len(self.session)
            self._shut_down(DRAINING)
            if empty:
                self._close_if_drained()

    @property
    def connected(self) -> bool:
        """Whether there is still somebody to send to."""
        return self.transport is not GONE

    async def wait_terminated(self) -> None:
        """Wait until no callback of a channel runs any more; bound it with a timeout."""
        while self._running:
            if self._terminated is None:
                self._terminated = asyncio.Event()
            await self._terminated.wait()

    def topics(self) -> list[str]:
        """Topics that the client joined or is joining."""
        return [membership.topic for membership in self.session]

    def channels(self) -> list[ChannelInfo]:
        """The channels of this connection, for introspection."""
        return [_info(membership.handle) for membership in self.session]

    def deliver(self, broadcast: Broadcast) -> None:
        """Take a broadcast on the topic that names the client.

        `disconnect` closes with 1001; `recheck` with 1008, if the socket says it may not stay.
        """
        if broadcast.event == DISCONNECT:
            self.transport.close(GOING_AWAY, DISCONNECT)
        elif broadcast.event == RECHECK and not self.socket.may_stay():
            self.transport.close(POLICY_VIOLATION, REVOKED)

    # From channels.

    def send_reply(self, join_ref: Any, ref: Any, topic: Any, status: str, response: Any) -> None:
        """Send the answer to a message; raises EncodeError, or BadReturn for an odd status."""
        if type(status) is not str:
            raise BadReturn("status", "a str", type(status))
        encoded = self.serializer.encode_reply(join_ref, ref, topic, status, response)
        self.transport.send(encoded, topic)
        self.context.metrics.replied(status)

    def channel_ended(self, runner: Runner, event: str | None) -> None:
        """The channel is over: free its topic, and tell the client if there is an event."""
        membership = runner.membership
        if event is not None:
            self._send_control(membership, event)
        self.session.ended(membership)
        self._close_if_drained()

    def join_failed(self, runner: Runner) -> None:
        """The join was answered with an error: free its topic."""
        self.session.ended(runner.membership)
        self._close_if_drained()

    def close_replaced(
        self, replaced: Membership[Runner], successor: Membership[Runner] | None
    ) -> None:
        """Tell the client that a second join ended the first; None if it was refused itself."""
        # A client that cannot see which join a phx_close is for would close the new one.
        alike = successor is not None and (
            self.serializer.vsn.startswith("1.") or successor.join_ref == replaced.join_ref
        )
        if not alike:
            self._send_control(replaced, CLOSE)

    def channel_terminated(self) -> None:
        """Nothing of a channel runs any more."""
        self._running -= 1
        if self._running:
            return
        if self._terminated is not None:
            self._terminated.set()
            self._terminated = None
        if not self.connected:
            self.socket.ended(self._closed_by)

    def reroute(self, messages: Sequence[Message]) -> None:
        """Handle messages that had to wait for the answer to a join."""
        for message in messages:
            self._handle(message)

    def pause_reading(self) -> None:
        """A mailbox is full."""
        self._pauses += 1
        if self._pauses == 1:
            self.context.metrics.paused()
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """A mailbox has room again; reading goes on when all have."""
        self._pauses -= 1
        if self._pauses == 0 and self._closing is None:
            self.transport.resume_reading()

    # Inside.

    def _admit(self, message: Message) -> bool:
        """Count a message against the rate of the connection; whether it is to be handled."""
        limits, now = self.context.limits, monotonic()
        rate = limits.messages
        self._full_at, wait = rate.owe(self._full_at, now)
        if not wait:
            return True
        if limits.message_policy == "pause":
            self._pause_for(max(wait, SHORTEST_PAUSE))
            return True
        if wait * rate.per_second > limits.message_excess:
            self.context.metrics.protocol_error("rate")
            self._shut_down("rate_limited")
            self.transport.close(POLICY_VIOLATION, "rate limit exceeded")
            return False
        if message.event in (LEAVE, HEARTBEAT):
            return True
        retry_after = ceil((wait + 1 / rate.per_second) * 1000) / 1000
        response = {"reason": RATE_LIMITED, "retry_after": retry_after}
        self._answer(Answer(RATE_LIMITED, "error", response, keep_join_ref=True), message)
        return False

    def _pause_for(self, seconds: float) -> None:
        self.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self.resume_reading)

    def _handle(self, message: Message) -> None:
        action = self.session.route(message)
        if isinstance(action, Membership):
            action.handle.receive(message)
        else:
            self._act(action, message)

    def _act(self, action: Action[Runner, Route], message: Message) -> None:
        if isinstance(action, Answer):
            self._answer(action, message)
        elif isinstance(action, Join):
            self._join(action, message)
        elif isinstance(action, Leave):
            action.membership.handle.leave(message)
        elif isinstance(action, Defer):
            attempt = action.membership.handle.attempt
            if attempt is not None:
                attempt.defer(message)
        elif isinstance(action, Drop):
            self.context.metrics.dropped(action.why)

    def _answer(self, answer: Answer, message: Message) -> None:
        if answer.status == "error":
            self._note_refusal(answer, message)
        if answer is TOO_MANY:
            answer = surplus(self, message, answer)
        join_ref = message.join_ref if answer.keep_join_ref else None
        self.send_reply(join_ref, message.ref, message.topic, answer.status, answer.response)

    def _note_refusal(self, answer: Answer, message: Message) -> None:
        self.context.metrics.dropped(answer.kind)
        # Once: a client must not be able to fill the log.
        if not self._warned:
            self._warned = True
            self.context.log.warning(
                "message_refused",
                reason=answer.response["reason"],
                topic=describe_event(message.topic),
            )

    def _join(self, action: Join[Route, Runner], message: Message) -> None:
        join_ref = message.ref if message.join_ref is None else message.join_ref
        runner = Runner(self, action.membership, action.route, join_ref)
        action.membership.handle = runner
        self._running += 1
        replaced = None if action.replaced is None else action.replaced.handle
        attempt = runner.attempt = JoinAttempt(self, runner, message, replaced)
        if replaced is not None:
            if replaced.attempt is not None:
                replaced.attempt.supersede()
            else:
                replaced.replace()
        attempt.start()

    def _send_control(self, membership: Membership[Runner], event: str) -> None:
        payload: dict[str, str] = CRASH_PAYLOAD if event == ERROR else {}
        topic = membership.topic
        encoded = self.serializer.encode_control(membership.join_ref, topic, event, payload)
        self.transport.send(encoded, topic)

    def _shut_down(self, reason: str) -> None:
        if self._closing is None:
            self._closing = reason
            for membership in self.session:
                membership.handle.shut_down(reason)

    def _close_if_drained(self) -> None:
        if self._closing == DRAINING and not len(self.session):
            self.transport.close(SERVICE_RESTART, DRAINING)

    def _refuse_frame(self, error: MalformedFrame) -> None:
        self.context.metrics.protocol_error(error.kind)
        self.context.log.info("protocol_error", reason=error.reason, code=error.close_code)
        self._shut_down("protocol_error")
        self.transport.close(error.close_code, error.reason)


def _info(runner: Runner) -> ChannelInfo:
    return ChannelInfo(
        runner.topic, type(runner.channel).__name__, runner.join_ref, runner.busy, runner.queued
    )
