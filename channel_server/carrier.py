"""What a connection asks of whatever carries its frames."""

import asyncio
from typing import Any, Final, Protocol

from channel_server.pubsub import Broadcast
from channel_server.serializer import Encoded, Serializer


class Transport(Protocol):
    """What carries the frames of one client. No method blocks or raises."""

    def send(self, encoded: Encoded, topic: Any = None) -> None:
        """Send one message; a client that does not read is the transport's problem.

        With a topic it keeps its place behind broadcasts of that topic that wait.
        """
        ...

    def send_broadcast(self, broadcast: Broadcast, serializer: Serializer) -> None:
        """Send a broadcast; its frame may be kept in `broadcast.frames`."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close the connection after what was sent; `disconnected` follows. Once is enough."""
        ...

    def pause_reading(self) -> None:
        """Receive nothing more for now."""
        ...

    def resume_reading(self) -> None:
        """Receive again."""
        ...

    def congestion(self) -> "asyncio.Future[None] | None":
        """What is done once a client that is slow now has caught up or is gone; else None."""
        ...


class _Gone:
    """The transport of a client that is gone."""

    def send(self, encoded: Encoded, topic: Any = None) -> None: ...

    def send_broadcast(self, broadcast: Broadcast, serializer: Serializer) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def congestion(self) -> None: ...


GONE: Final = _Gone()
"""For all of them: it keeps nothing."""
