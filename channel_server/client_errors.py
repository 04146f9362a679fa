"""What can go wrong for a client.

* `ClientError`
    * `ConnectFailed`: no connection could be made
        * `ConnectRefused`: the server answered the upgrade with an HTTP status
    * `Disconnected`: the connection ended before the answer came
    * `PushTimeout`: no answer in time; whether the server acted is unknown
    * `JoinRefused`: the server answered the join with an error
    * `ChannelClosed`: the channel has ended, or was never joined
    * `BufferFull`: too many pushes wait for the connection to come back
    * `EventsLost`: a stream of events was read too slowly
"""

# ruff: noqa: N818 - they are named for what happened, as the package does throughout

from typing import Any


class ClientError(Exception):
    """Base of all that this client raises."""


class ConnectFailed(ClientError):
    """No connection could be made.

    Attributes:
        reason: What the operating system or the handshake said.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"no connection: {self.reason}"


class ConnectRefused(ConnectFailed):
    """The server answered the upgrade with an HTTP status.

    Attributes:
        status: The status, e.g. 403.
        body: The text that came with it, at most 1 000 characters.
    """

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body

    def __str__(self) -> str:
        return f"the server refused the connection: HTTP {self.status} {self.body}".rstrip()


class Disconnected(ClientError):
    """The connection ended before the answer came; whether the server acted is unknown.

    Attributes:
        code: The close code; 1006 if the connection broke, None if there was none.
        reason: The close reason.
    """

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"disconnected: {self.code or 'no close code'} {self.reason}".rstrip()


class PushTimeout(ClientError):
    """No answer in time; whether the server acted is unknown.

    Attributes:
        topic: The topic.
        event: The event; `phx_join` for a join.
        timeout: The seconds that were waited.
    """

    def __init__(self, topic: str, event: str, timeout: float) -> None:
        super().__init__(topic, event, timeout)
        self.topic = topic
        self.event = event
        self.timeout = timeout

    def __str__(self) -> str:
        return f"no reply to {self.event} on {self.topic} within {self.timeout:g} s"


class JoinRefused(ClientError):
    """The server answered the join with an error.

    Attributes:
        topic: The topic.
        response: The server's response, any JSON value.
    """

    def __init__(self, topic: str, response: Any) -> None:
        super().__init__(topic, response)
        self.topic = topic
        self.response = response

    def __str__(self) -> str:
        return f"join of {self.topic} refused: {self.response!r}"


class ChannelClosed(ClientError):
    """The channel has ended, or was never joined.

    Attributes:
        topic: The topic.
        reason: Why.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(topic, reason)
        self.topic = topic
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.topic} is closed: {self.reason}"


class BufferFull(ClientError):
    """Too many pushes wait for the connection to come back.

    Attributes:
        topic: The topic.
        limit: How many may wait.
    """

    def __init__(self, topic: str, limit: int) -> None:
        super().__init__(topic, limit)
        self.topic = topic
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.limit} pushes on {self.topic} wait for the connection already"


class EventsLost(ClientError):
    """A stream of events was read too slowly, and what did not fit was dropped.

    Attributes:
        topic: The topic.
        limit: How many events the stream holds.
    """

    def __init__(self, topic: str, limit: int) -> None:
        super().__init__(topic, limit)
        self.topic = topic
        self.limit = limit

    def __str__(self) -> str:
        return f"more than {self.limit} events of {self.topic} were waiting to be read"
