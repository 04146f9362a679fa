"""The errors of the channel server.

::

    ChannelServerError
    ├── DefinitionError     a Socket, Channel or Route is declared in a way that cannot work
    ├── EncodeError         a value has no wire format in this serializer
    ├── MalformedFrame      a client sent what is no Phoenix message
    ├── NotJoined           a channel was used before its join was answered
    ├── NoReplyRef          nobody waits for a reply: no message is handled, or it had no ref
    ├── ReservedEvent       application code sent an event that belongs to the protocol
    ├── BadReturn           a callback returned something that means nothing
    └── UnhandledEvent      a client sent an event that its channel has no handler for

Errors carry fields; the sentence is made here, once.
"""

# ruff: noqa: N818  (named for what happened, as the protocol names it)

from typing import Literal

EncodeField = Literal["payload", "join_ref", "ref", "topic", "event", "status"]


class ChannelServerError(Exception):
    """Base of every error of this package."""


class DefinitionError(ChannelServerError):
    """A Socket, Channel or Route is declared in a way that cannot work."""


class EncodeError(ChannelServerError):
    """A value has no wire format in this serializer.

    Attributes:
        field: Which part of the message it was.
        reason: What is wrong with it.
    """

    def __init__(self, field: EncodeField, reason: str) -> None:
        super().__init__(field, reason)
        self.field: EncodeField = field
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot encode {self.field}: {self.reason}"

    @property
    def by_client(self) -> bool:
        """Whether the client chose the value, so that the application is not to blame."""
        return self.field in {"join_ref", "ref"}


class MalformedFrame(ChannelServerError):
    """A client sent what is no Phoenix message; the connection is closed.

    Attributes:
        reason: What is wrong with it, in words, without its contents.
        close_code: 1003 for a binary frame that means nothing, 1007 for what is no JSON or UTF-8,
            1008 for a wrong shape.
        kind: A short constant, for metrics.
    """

    def __init__(self, reason: str, close_code: int, kind: str) -> None:
        super().__init__(reason, close_code, kind)
        self.reason = reason
        self.close_code = close_code
        self.kind = kind

    def __str__(self) -> str:
        return f"malformed frame: {self.reason}"


class NotJoined(ChannelServerError):
    """A channel was used before its join was answered.

    Attributes:
        topic: Topic of the channel.
        action: What was tried.
    """

    def __init__(self, topic: str, action: str) -> None:
        super().__init__(topic, action)
        self.topic = topic
        self.action = action

    def __str__(self) -> str:
        return (
            f"{self.action} on {self.topic!r} before its join was answered; "
            "do it in joined(), or send_info() yourself a message in join()"
        )


class NoReplyRef(ChannelServerError):
    """Nobody waits for a reply: no message is being handled, or it carried no ref.

    Attributes:
        topic: Topic of the channel.
    """

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        return f"no message with a ref is being handled on {self.topic!r}"


class ReservedEvent(ChannelServerError, ValueError):
    """Application code sent an event that belongs to the protocol.

    Attributes:
        event: The event.
    """

    def __init__(self, event: str) -> None:
        super().__init__(event)
        self.event = event

    def __str__(self) -> str:
        return f"event {self.event!r} is reserved by the protocol"


class BadReturn(ChannelServerError):
    """A callback returned something that means nothing.

    Attributes:
        what: What should have been returned: a callback's result, or a part of it.
        expected: What may be returned.
        returned: Type of what came.
    """

    def __init__(self, what: str, expected: str, returned: type) -> None:
        super().__init__(what, expected, returned)
        self.what = what
        self.expected = expected
        self.returned = returned

    def __str__(self) -> str:
        return f"{self.what} must be {self.expected}, not {self.returned.__name__}"


class UnhandledEvent(ChannelServerError):
    """A client sent an event that its channel has no handler for.

    Attributes:
        event: The event, as the client sent it: usually but not always a string.
    """

    def __init__(self, event: object) -> None:
        super().__init__(event)
        self.event = event

    def __str__(self) -> str:
        return f"no handler for event {describe_event(self.event)!r}"


def describe_event(event: object) -> str:
    """An event as logs show it: clients choose its type and length."""
    return event[:100] if isinstance(event, str) else f"<{type(event).__name__}>"
