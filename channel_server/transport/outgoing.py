"""The outgoing half of a websocket: frames, one write per read, and the bounded send queue."""

import asyncio
from enum import IntEnum
from typing import Any, Final, cast

from websockets.frames import CloseCode
from websockets.server import ServerProtocol

from channel_server.limits import SocketLimits
from channel_server.metrics import Metrics
from channel_server.pubsub import Broadcast
from channel_server.serializer import Encoded, Serializer
from channel_server.transport.backlog import Backlog
from channel_server.transport.framing import frame

HIGH_WATER: Final = 64 * 1024
TOO_SLOW: Final = "client reads too slowly"


class State(IntEnum):
    """Where a connection is in its life."""

    REQUEST = 0
    """Waiting for the request."""
    CONNECTING = 1
    """The application decides."""
    OPEN = 2
    CLOSING = 3
    """A close frame was sent or received, or the connection failed."""
    CLOSED = 4


OPEN: Final = State.OPEN


class Pause:
    """Why a connection is not read; bits. Plain integers: flags of enum cost a microsecond each."""

    MAILBOX: Final = 1
    """A channel has too much to do."""
    WRITING: Final = 2
    """The client does not read what we answer."""
    SLICE: Final = 4
    """Other connections get their turn first."""
    CONNECTING: Final = 8
    """The application has not yet decided whether the client may connect."""
    DRAINING: Final = 16
    """The server stops; what arrives now is for the next one."""
    RATE: Final = 32
    """The client has sent more bytes than it may, and waits."""


class Outgoing(asyncio.Protocol):
    """What a connection sends.

    While a read is handled, frames are collected and written as one (*corked*). Otherwise they go
    to the kernel at once, or into asyncio's write buffer if the client is slow. While that buffer
    is full, the client is *behind*: broadcasts that may be coalesced wait in a backlog, and what
    comes after them on their topics with them. Buffer and backlog are the send queue whose size is
    limited.
    """

    __slots__ = (
        "_allowance",
        "_backlog",
        "_congestion",
        "_cork",
        "_deflate",
        "_engine",
        "_metrics",
        "_pauses",
        "limits",
        "state",
        "transport",
    )

    limits: SocketLimits
    transport: asyncio.Transport

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._allowance: int | None = None  # None unless the client is behind
        self._backlog: Backlog | None = None  # None unless something waits
        self._congestion: asyncio.Future[None] | None = None  # None unless it is waited for
        self._cork: list[bytes] | None = None
        self._deflate = False
        self._engine: ServerProtocol | None = None
        self._pauses = 0
        self.state = State.REQUEST

    def send(self, encoded: Encoded, topic: Any = None) -> None:
        """Send one message; dropped if the connection is closing.

        Args:
            encoded: The message.
            topic: Whose order it keeps with broadcasts that wait.
        """
        if self.state is not OPEN:
            return
        backlog = self._backlog
        if backlog is not None and backlog.holds(topic):
            backlog.put_encoded(topic, encoded)
            self._check_backlog(backlog)
            return
        data = self._frame(encoded)
        if self._cork is not None:
            self._cork.append(data)
        else:
            self._write(data)

    def send_broadcast(self, broadcast: Broadcast, serializer: Serializer) -> None:
        """Send a broadcast; its frame is made once for all clients of one serializer."""
        if self.state is not OPEN:
            return
        if self._allowance is not None and self._held(broadcast, serializer):
            return
        data = self._broadcast_frame(broadcast, serializer)
        if self._cork is not None:
            self._cork.append(data)
        elif self._allowance is None:
            self.transport.write(data)
        else:
            self._write(data)

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake. Never 1000: old clients would not come back.

        Raises:
            ValueError: The code is 1000, or may not be sent.
        """
        if code == CloseCode.NORMAL_CLOSURE:
            raise ValueError("close code 1000 makes clients stay away")
        if self.state is not OPEN:
            return
        self._flush()
        self._send_backlog(all_of_it=True)
        if self.state is OPEN:  # not if that was too much for the client
            self._engine_now().send_close(code, _shorten(reason))
            self._closing(code)
            self._write_engine()

    def pause_reading(self) -> None:
        """Read nothing more of this client for now; what was read already waits too."""
        self._pause(Pause.MAILBOX)

    def resume_reading(self) -> None:
        """Go on reading."""
        self._resume(Pause.MAILBOX)

    def queued_bytes(self) -> int:
        """Bytes that wait because the client is slow; 0 for a client that keeps up."""
        return self._buffered() + (0 if self._backlog is None else self._backlog.bytes)

    def congestion(self) -> asyncio.Future[None] | None:
        """What is done once a client that is slow now has caught up or is gone; else None."""
        if self._allowance is None or self.state is not OPEN:
            return None
        if self._congestion is None:
            self._congestion = asyncio.get_running_loop().create_future()
        return self._congestion

    def _decongest(self) -> None:
        if self._congestion is not None:
            self._congestion.set_result(None)
            self._congestion = None

    # Callbacks of asyncio.

    def pause_writing(self) -> None:
        """The client is slow: count what waits, and answer no more of its messages for now."""
        limit = self.limits.max_send_queue_bytes
        waiting = self.transport.get_write_buffer_size()
        # One message larger than the limit must be deliverable, and must not condemn the next one.
        self._allowance = limit if waiting <= limit else waiting + limit
        self._metrics.slow_clients.add(self)
        self._pause(Pause.WRITING)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._allowance = None
        self._metrics.slow_clients.discard(self)
        self._send_backlog()
        if self._allowance is None:
            self._decongest()
            self._resume(Pause.WRITING)

    # What the other half provides.

    def _engine_now(self) -> ServerProtocol:
        raise NotImplementedError

    def _closing(self, code: int) -> None:
        raise NotImplementedError

    def _go_on(self) -> None:
        raise NotImplementedError

    # Internals.

    def _buffered(self) -> int:
        return 0 if self._allowance is None else self.transport.get_write_buffer_size()

    def _frame(self, encoded: Encoded) -> bytes:
        binary, data = encoded
        return self._deflated(data, binary=binary) if self._deflate else frame(data, binary)

    def _broadcast_frame(self, broadcast: Broadcast, serializer: Serializer) -> bytes:
        if self._deflate:
            return self._frame(broadcast.encoded(serializer))
        data = broadcast.frames.get(serializer.vsn)
        if data is None:
            binary, payload = broadcast.encoded(serializer)
            data = broadcast.frames[serializer.vsn] = frame(payload, binary)
        return data

    def _held(self, broadcast: Broadcast, serializer: Serializer) -> bool:
        """Whether a broadcast to a client that is behind was kept back."""
        backlog = self._backlog
        plain = broadcast.coalesce is None and broadcast.stand_in is None
        if plain and (backlog is None or not backlog.holds(broadcast.topic)):
            return False
        if backlog is None:
            # What is collected came before it.
            self._flush()
            if self.state is not OPEN:
                return True
            backlog = self._backlog = Backlog(serializer)
        self._metrics.coalesced += backlog.put(broadcast)
        self._check_backlog(backlog)
        return True

    def _check_backlog(self, backlog: Backlog) -> None:
        size = self._buffered() + backlog.bytes
        if self._allowance is not None and size > self._allowance:
            self._overflow(size)

    def _send_backlog(self, *, all_of_it: bool = False) -> None:
        """Send what waits until the client is behind again."""
        backlog = self._backlog
        if backlog is None:
            return
        self._backlog = None  # nothing is held back while it goes out
        while backlog and self.state is OPEN and (all_of_it or self._allowance is None):
            waiting = backlog.take()
            # Its size was counted when it was put there.
            if isinstance(waiting, Broadcast):
                self.transport.write(self._broadcast_frame(waiting, backlog.serializer))
            else:
                self.transport.write(self._frame(waiting))
        if backlog and self.state is OPEN:
            self._backlog = backlog

    def _write(self, data: bytes) -> None:
        if self._allowance is not None:
            waiting = self.queued_bytes()
            if waiting + len(data) > self._allowance and self.state is OPEN:
                self._overflow(waiting + len(data))
                return
        self.transport.write(data)

    def _overflow(self, size: int) -> None:
        self._metrics.dropped("slow_client", size)
        self._cork = None if self._cork is None else []
        self._backlog = None
        self.close(1013, TOO_SLOW)

    def _flush(self) -> None:
        """Write what was collected so far; go on collecting."""
        cork = self._cork
        if cork:
            self._cork = []
            self._write(cork[0] if len(cork) == 1 else b"".join(cork))

    def _write_engine(self) -> None:
        """Write what the protocol engine wants to send, in its order."""
        engine = cast("ServerProtocol", self._engine)
        for data in engine.data_to_send():
            if not data:
                self._flush()
                self._end_writing(engine)
            elif self._cork is not None:
                self._cork.append(data)
            else:
                self.transport.write(data)

    def _end_writing(self, engine: ServerProtocol) -> None:
        # Closing at once, with unread data in the kernel, would reset the connection, and the
        # client might never see why. So half-close, and ignore what it still sends. Nothing is
        # unread after its close frame.
        if engine.close_rcvd is None and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _deflated(self, data: bytes, *, binary: bool) -> bytes:
        engine = cast("ServerProtocol", self._engine)
        if binary:
            engine.send_binary(data)
        else:
            engine.send_text(data)
        return b"".join(engine.data_to_send())

    def _pause(self, why: int) -> None:
        if not self._pauses and not self.transport.is_closing():
            self.transport.pause_reading()
        self._pauses |= why

    def _resume(self, why: int) -> None:
        if not self._pauses & why:
            return
        self._pauses &= ~why
        if not self._pauses:
            self._go_on()


def _shorten(reason: str) -> str:
    # A close frame has room for 123 bytes.
    return reason.encode()[:123].decode(errors="ignore")
