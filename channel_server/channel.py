"""What an application writes: a Channel answers the messages of one client on one topic.

::

    class RoomChannel(Channel):
        async def join(self, payload):
            if not await may_enter(self.assigns["user"], self.topic):
                return error({"reason": "unauthorized"})

        @on("shout")
        def shout(self, payload):
            self.broadcast("shout", payload)
            return ok()

Every callback may be a plain function or a coroutine function. A plain function runs at once, while
the message is read: it is the fast path for what never waits. A coroutine runs as a task, and the
channel's other messages wait for it, in order.

A channel handles one message at a time, in the order of arrival. An exception ends only this
channel: one log line with the traceback, and `phx_error` to the client, which rejoins.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, TypeVar

import msgspec

from channel_server.errors import DefinitionError, UnhandledEvent

if TYPE_CHECKING:
    from channel_server.socket import Socket

T = TypeVar("T")
MaybeAsync: TypeAlias = T | Coroutine[Any, Any, T]
"""What a callback may be: a plain function that returns T, or a coroutine function."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer to one message.

    Attributes:
        status: `ok`, `error`, or a word of the application's own.
        response: Any JSON value, or `bytes` for a binary frame.
    """

    status: str
    response: Any


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Ends the channel.

    Attributes:
        reason: `normal` and `shutdown` send `phx_close`: the client does not come back. Any other
            reason sends `phx_error`: the client rejoins.
        reply: Sent before the channel ends, if there is one.
    """

    reason: str = "normal"
    reply: Reply | None = None

    @property
    def graceful(self) -> bool:
        """Whether the client is told not to come back."""
        return self.reason in {"normal", "shutdown"}


HandlerResult: TypeAlias = Reply | Stop | None
"""What a handler returns; None sends nothing."""
InfoResult: TypeAlias = Stop | None
JoinResult: TypeAlias = Reply | None
Handler: TypeAlias = Callable[[Any, Any], MaybeAsync[HandlerResult]]
HandlerT = TypeVar("HandlerT", bound=Handler)

_OK_EMPTY = Reply("ok", {})


def ok(response: Any = None) -> Reply:
    """A reply with status `ok`; without a response, `{}`."""
    return _OK_EMPTY if response is None else Reply("ok", response)


def error(response: Any = None) -> Reply:
    """A reply with status `error`; without a response, `{}`."""
    return Reply("error", {} if response is None else response)


class ReplyRef(msgspec.Struct, frozen=True, gc=False):
    """Where a reply goes: lets a channel answer a message later, from anywhere.

    Attributes:
        join_ref: join_ref of the channel.
        ref: ref of the message.
        topic: Topic of the channel.
    """

    join_ref: Any
    ref: Any
    topic: str


def on(event: str) -> Callable[[HandlerT], HandlerT]:
    """Make a method of a Channel the handler of `event`: `def m(self, payload)`, plain or async."""

    def mark(method: HandlerT) -> HandlerT:
        events: tuple[str, ...] = getattr(method, _EVENTS, ())
        setattr(method, _EVENTS, (*events, event))
        return method

    return mark


_EVENTS = "__channel_events__"


class Services(Protocol):
    """What a channel is given by the connection it lives on."""

    topic: str
    join_ref: Any

    @property
    def connected(self) -> bool:
        """Whether what is sent now goes out."""
        ...

    def push(self, event: str, payload: Any) -> None:
        """Send a message to the client."""
        ...

    def broadcast(self, event: str, payload: Any, *, to_self: bool) -> int:
        """Send a message to all subscribers of the topic."""
        ...

    def reply(self, ref: ReplyRef, reply: Reply) -> None:
        """Answer a message."""
        ...

    def reply_ref(self) -> ReplyRef:
        """Where the reply to the current message goes."""
        ...

    def send_info(self, message: object) -> None:
        """Put a message into the channel's mailbox."""
        ...

    def subscribe(self, topic: str) -> None:
        """Receive the broadcasts of another topic."""
        ...

    def unsubscribe(self, topic: str) -> None:
        """Receive them no longer."""
        ...

    def go_live(self) -> None:
        """Receive the broadcasts of the topic."""
        ...

    async def keep_pace(self) -> None:
        """Wait for the client."""
        ...

    def unhandled_info(self, message: object) -> None:
        """Note that nobody handles a message of `send_info`."""
        ...

    def stop(self, reason: str) -> None:
        """End the channel as soon as it handles no message."""
        ...


def _handler_names(channel: type) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, value in vars(channel).items():
        for event in getattr(value, _EVENTS, ()):
            if event in names:
                raise DefinitionError(f"{channel.__name__} has two handlers of {event!r}")
            names[event] = name
    return names


class Channel:
    """One client on one topic. Subclasses define `join` and handlers marked by `on`.

    Attributes:
        topic: The topic, such as `room:1`.
        assigns: Values of this channel: a copy of the socket's, with those of the route.
        socket: The connection's Socket.
        join_ref: What the client calls this join.
    """

    __slots__ = ("_services", "assigns", "join_ref", "socket", "topic")

    intercept: ClassVar[frozenset[str]] = frozenset()
    """Broadcast events that go through `handle_out` instead of straight to the client."""
    join_timeout: ClassVar[float | None] = None
    """Seconds that `join` may take; None: the limit of the socket."""
    mailbox: ClassVar[int | None] = None
    """Messages that may wait before the connection is not read; None: the limit of the socket."""
    joins_while_draining: ClassVar[bool] = False
    """Whether joins are still handled when the server drains; else they are refused with
    ``{"reason": "draining"}``. For clients that take a refusal for the end."""
    subscribe_topic: ClassVar[bool] = True
    """Whether a join subscribes the client to the broadcasts of the topic; else see `go_live`."""
    handlers: ClassVar[dict[str, Handler]] = {}
    """Handlers by event, collected from the methods marked by `on`."""

    def __init__(self, services: Services, socket: "Socket", assigns: dict[str, Any]) -> None:
        self._services = services
        self.topic = services.topic
        self.join_ref = services.join_ref
        self.socket = socket
        self.assigns = assigns

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.intercept = frozenset(cls.intercept)
        # By name, so that a subclass may override a handler without marking it again.
        names: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            names.update(_handler_names(base))
        cls.handlers = {event: getattr(cls, name) for event, name in names.items()}

    # Callbacks.

    def join(self, payload: Any) -> MaybeAsync[JoinResult]:
        """Decide whether the client may join; every channel must define it.

        None and `ok(...)` accept, `error(...)` refuses. The reply is the first frame the client
        sees of this join. Nothing can be pushed or broadcast from here: do it in `joined`.
        A join that was refused, failed or came too late is over: `terminate` is not called.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no join")

    def refused(self, reason: str, payload: Any) -> Reply:
        """The reply when the server itself refuses the join: `{"reason": reason}`.

        Override it to tell it in another shape; it must not fail.

        Args:
            reason: `join crashed`, `join timeout`, `duplicate join`, `draining` or
                `too many channels joined`.
            payload: Of the join.
        """
        return error({"reason": reason})

    def joined(self) -> MaybeAsync[None]:
        """Called after the reply of the join was queued; may push and broadcast."""

    def handle_in(self, event: Any, payload: Any) -> MaybeAsync[HandlerResult]:
        """Handle an event that has no handler of its own; by default the channel ends.

        `event` is what the client sent: usually, but not always, a string.
        """
        raise UnhandledEvent(event)

    def handle_info(self, message: Any) -> MaybeAsync[InfoResult]:
        """Handle what `send_info` sent, and `Broadcast`s of topics it subscribed to.

        By default they are logged and dropped.
        """
        self._services.unhandled_info(message)

    def handle_out(self, event: str, payload: Any) -> MaybeAsync[InfoResult]:
        """Handle a broadcast whose event is in `intercept`; by default it is pushed as it is."""
        self.push(event, payload)

    def terminate(self, reason: str) -> MaybeAsync[None]:
        """Called once after the channel ended, if it had been joined.

        Args:
            reason: `left`, `normal`, `shutdown` or another reason of `stop`, `channel_crash`,
                `duplicate_join`, or why the connection ended, such as `closed` or `draining`.
        """

    # Services.

    @property
    def connected(self) -> bool:
        """Whether what is sent now goes out: the client is there and has not joined again.

        Not promised: that the client gets it. A connection may be broken without a sign.
        """
        return self._services.connected

    def push(self, event: str, payload: Any) -> None:
        """Send a message to this client; dropped if it is gone.

        Raises:
            EncodeError: The payload is neither a JSON object nor `bytes`.
            NotJoined: The join is not answered yet.
            ReservedEvent: The event belongs to the protocol.
        """
        self._services.push(event, payload)

    def broadcast(self, event: str, payload: Any) -> int:
        """Send a message to all subscribers of the topic, this client included.

        At most once, nothing is stored. Clients get it in the order of the broadcasts of one
        topic. A payload that cannot be encoded reaches nobody.

        Returns:
            How many subscribers it was handed to.

        Raises:
            EncodeError: The payload has no wire format in a serializer of some subscriber.
            NotJoined: The join is not answered yet.
            ReservedEvent: The event belongs to the protocol.
        """
        return self._services.broadcast(event, payload, to_self=True)

    def broadcast_from(self, event: str, payload: Any) -> int:
        """Like `broadcast`, but not to this channel; other channels of the same user get it."""
        return self._services.broadcast(event, payload, to_self=False)

    def reply(self, ref: ReplyRef, reply: Reply) -> None:
        """Answer a message later; any number of times, also from other tasks.

        Raises:
            EncodeError: The response has no wire format.
        """
        self._services.reply(ref, reply)

    def reply_ref(self) -> ReplyRef:
        """Where the reply to the message that is being handled goes.

        Raises:
            NoReplyRef: No message is being handled, or it had no ref.
            NotJoined: The join is not answered yet.
        """
        return self._services.reply_ref()

    def send_info(self, message: object) -> None:
        """Put a message into this channel's mailbox, for `handle_info`; dropped after its end."""
        self._services.send_info(message)

    def subscribe(self, topic: str) -> None:
        """Receive the broadcasts of another topic in `handle_info`, until the channel ends."""
        self._services.subscribe(topic)

    def unsubscribe(self, topic: str) -> None:
        """Stop receiving them; nothing happens if it was not subscribed."""
        self._services.unsubscribe(topic)

    def go_live(self) -> None:
        """Let the client have the broadcasts of the channel's own topic from now on.

        For channels with `subscribe_topic = False` that replay something first. What was pushed
        before comes before them. In `joined`, called without waiting for anything, the client has
        all broadcasts since the reply of the join.
        """
        self._services.go_live()

    async def keep_pace(self) -> None:
        """Wait until the client has read most of what was sent to it, or is gone.

        Not promised: that it has got anything; a client that keeps up is not waited for.
        """
        await self._services.keep_pace()

    def stop(self, reason: str = "normal") -> None:
        """End the channel once it handles no message; see `Stop` for the reasons."""
        self._services.stop(reason)
