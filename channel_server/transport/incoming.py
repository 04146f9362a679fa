"""The incoming half of a websocket: bytes to messages.

Nearly every frame is a whole, uncompressed message that has arrived completely. Those are unmasked
right here, and so are fragments, of which an attacker may send many. Everything else (control
frames, compressed messages, and most of what is wrong) goes to the sans-I/O ``ServerProtocol`` of
``websockets``. It is always given whole frames, so it is needed only while something unusual is
going on; an idle connection has none.
"""

import asyncio
from typing import Final, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import State as EngineState
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from channel_server.connection import Connection
from channel_server.log import get_logger
from channel_server.metrics import Metrics
from channel_server.rate_limit import SHORTEST_PAUSE
from channel_server.socket import ClientClose
from channel_server.transport.framing import BINARY, TEXT
from channel_server.transport.outgoing import Outgoing, Pause, State
from channel_server.transport.quiet import QUIET

log = get_logger(__name__)

SLICE: Final = 64
"""Messages of one connection that are handled before others get their turn: about a millisecond."""

UNUSUAL: Final = 256
"""Bytes that a frame counts for besides its own if it is not a whole message."""

_LAST: Final = 0x80  # set in the head of the last frame of a message
_UTF8_ERROR: Final = (1007, "invalid UTF-8", "utf8")
_ORDER_ERROR: Final = (1002, "a fragment out of place", "protocol")
_SIZE_ERROR: Final = (1009, "message too big", "too_big")
_FRAGMENTS_ERROR: Final = (1009, "too many fragments", "fragments")
DEADLINE_ERROR: Final = (1008, "message took too long to arrive", "message_deadline")
_KINDS: Final = {1002: "protocol", 1007: "utf8", 1009: "too_big"}
_INTERNAL_ERROR: Final = 1011


class Incoming(Outgoing):
    """What a connection receives."""

    __slots__ = (
        "_buffer",
        "_fragments",
        "_fragments_size",
        "_full_at",
        "_loop",
        "_needed",
        "_opcode",
        "_seen",
        "_since",
        "closed_by",
        "connection",
    )

    connection: Connection
    closed_by: ClientClose | None

    def __init__(self, metrics: Metrics, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(metrics)
        self._loop = loop
        self.closed_by = None
        self._buffer: bytearray | None = None  # what arrived and is not handled yet
        self._needed = 0  # bytes in it before looking again makes sense
        self._fragments: list[bytes] | None = None  # of the message that is arriving in pieces
        self._fragments_size = 0  # bytes in them
        self._opcode: int = Opcode.TEXT  # of that message
        self._full_at = 0.0  # when the bucket of its bytes is full again
        self._seen = loop.time()  # when data arrived last
        self._since = 0.0  # when the message that is arriving began; 0 if none is

    def _receive(self, data: bytes) -> None:
        """Handle data of an accepted connection."""
        self._seen = self._loop.time()
        buffer = self._buffer
        if buffer is not None:
            buffer += data
            if not self._pauses and len(buffer) >= self._needed:
                self._process(buffer)
        elif self._pauses:
            self._buffer = bytearray(data)
        else:
            self._process(data)
        self._charge(len(data))

    def _charge(self, count: int) -> None:
        """Count bytes against the rate of the connection; do not read while it owes some."""
        rate = self.limits.byte_rate
        if not rate.per_second or self.state is not State.OPEN:
            return
        self._full_at, wait = rate.owe(self._full_at, self._seen, count)
        if wait and not self._pauses & Pause.RATE:
            self._metrics.paused()
            self._pause(Pause.RATE)
            self._loop.call_later(max(wait, SHORTEST_PAUSE), self._resume, Pause.RATE)

    def _process(self, data: bytes | bytearray) -> None:
        """Handle the messages in ``data`` and write all answers to them at once."""
        self._cork = []
        used = self._consume(data)
        self._flush()
        self._cork = None
        if used == len(data):
            self._buffer = None
        elif isinstance(data, bytearray):
            del data[:used]
        else:
            self._buffer = bytearray(memoryview(data)[used:])
        if self._buffer is not None or self._fragments is not None:
            self._incomplete(used)
        elif self._since:
            self._since = 0.0

    def _consume(self, data: bytes | bytearray) -> int:
        """Handle frames from the start of ``data``; return how many bytes that were."""
        limit = self.limits.max_frame_bytes
        position, end, budget = 0, len(data), SLICE
        while end - position >= 2:
            head, length = data[position], data[position + 1] - 0x80
            start = position + 6
            if length >= 126:
                start += 2 if length == 126 else 8
                if end < start - 4:
                    self._needed = start - 4 - position
                    return position
                length = int.from_bytes(data[position + 2 : start - 4])
            if length < 0 or length > limit:  # not masked, or too big: no need to wait for it all
                self._feed(data[position:])
                return end
            stop = start + length
            if stop > end:
                self._needed = stop - position
                return position
            if (
                TEXT <= head <= BINARY  # these two are neighbours
                and self._fragments is None
                and self.state is State.OPEN
            ):
                self._deliver(head, apply_mask(data[start:stop], data[start - 4 : start]))
            else:
                if head & 0x7F <= Opcode.BINARY and self.state is State.OPEN and not self._deflate:
                    payload = apply_mask(data[start:stop], data[start - 4 : start])
                    self._take(head & 0x0F, payload, last=head >= _LAST)
                    self._charge(UNUSUAL)
                else:
                    self._feed(data[position:stop])
                if self.discarding:
                    return end
            position = stop
            budget -= 1
            if self._pauses or not budget:
                self._yield_turn()
                return position
        self._needed = 2
        return position

    def resume_reading(self) -> None:
        """Go on reading; what was arriving has all of its time again, for the delay was ours."""
        if self._since:
            self._since = self._loop.time()
        super().resume_reading()

    def _yield_turn(self) -> None:
        self._needed = 0
        if not self._pauses:
            self._pause(Pause.SLICE)
            self._loop.call_soon(self._resume, Pause.SLICE)

    def _go_on(self) -> None:
        """Read again, after what is already here."""
        if self.transport.is_closing():
            return
        self._seen = self._loop.time()  # the silence was ours
        self.transport.resume_reading()
        if self._buffer is not None and self._cork is None:
            self._loop.call_soon(self._process_buffer)

    def _process_buffer(self) -> None:
        if self._buffer is not None and not self._pauses and self.state is not State.CLOSED:
            self._process(self._buffer)

    def _incomplete(self, used: int) -> None:
        if self._fragments is None and (used or not self._since):
            self._since = self._seen
        self._message_began(self._since)

    def _message_began(self, when: float) -> None:
        raise NotImplementedError

    def _deliver(self, head: int, payload: bytes) -> None:
        """Hand over one message."""
        try:
            if head != TEXT:
                self.connection.receive_binary(payload)
            elif payload.isascii() or _is_utf8(payload):
                self.connection.receive_text(payload)
            else:
                self._fail(*_UTF8_ERROR)
        except Exception:
            log.exception("transport_crashed")
            self.close(_INTERNAL_ERROR, "internal error")

    # The unusual, through the engine.

    @property
    def discarding(self) -> bool:
        """Whether nothing that arrives matters any more."""
        return self._engine is not None and self._engine.eof_sent

    def _engine_now(self) -> ServerProtocol:
        if self._engine is None:
            self._engine = ServerProtocol(
                state=EngineState.OPEN, max_size=self.limits.max_frame_bytes, logger=QUIET
            )
        return self._engine

    def _feed(self, data: bytes | bytearray) -> None:
        """Let the engine handle one whole frame, or the beginning of an impossible one."""
        engine = self._engine_now()
        engine.receive_data(data)
        cost = UNUSUAL
        for event in cast("list[Frame]", engine.events_received()):
            if self._deflate:
                cost += len(event.data)
            if self.state is State.OPEN and event.opcode <= Opcode.BINARY:
                self._take(event.opcode, bytes(event.data), last=event.fin)
        self._charge(cost)
        if engine.parser_exc is not None and self.state is State.OPEN:
            self._failed(engine, engine.parser_exc)
        elif engine.close_rcvd is not None and self.state is State.OPEN:
            self.closed_by = ClientClose(engine.close_rcvd.code, engine.close_rcvd.reason)
            self._closing(engine.close_rcvd.code)
        self._write_engine()
        if self.state is State.OPEN and not self._deflate:
            self._engine = None

    def _take(self, opcode: int, payload: bytes, *, last: bool) -> None:
        """Take a frame of a message, which is the whole of it if it is the first and last."""
        fragments = self._fragments
        if (fragments is None) == (opcode == Opcode.CONT):
            self._fail(*_ORDER_ERROR)
        elif fragments is None and last:
            self._deliver_message(opcode, payload)
        elif fragments is None:
            self._opcode = opcode
            self._fragments, self._fragments_size = [payload], len(payload)
            self._since = self._seen
        else:
            fragments.append(payload)
            self._fragments_size += len(payload)
            self._continued(fragments, last=last)

    def _continued(self, fragments: list[bytes], *, last: bool) -> None:
        if self._fragments_size > self.limits.max_frame_bytes:
            self._fail(*_SIZE_ERROR)
        elif last:
            self._fragments = None
            self._deliver_message(self._opcode, b"".join(fragments))
        elif len(fragments) >= self.limits.max_fragments:
            self._fail(*_FRAGMENTS_ERROR)

    def _deliver_message(self, opcode: int, message: bytes) -> None:
        self._deliver(TEXT if opcode == Opcode.TEXT else BINARY, message)

    def _fail(self, code: int, reason: str, kind: str) -> None:
        """Close because the client broke a rule; what it sends from now on is ignored."""
        if self.state is not State.OPEN:
            return
        self._protocol_error(code, reason, kind)
        engine = self._engine_now()
        engine.fail(code, reason)
        self._closing(code)
        self._flush()
        self._write_engine()

    def _failed(self, engine: ServerProtocol, error: Exception) -> None:
        code = engine.close_sent.code if engine.close_sent is not None else 1006
        if code == _INTERNAL_ERROR:
            log.error("transport_crashed", exc_info=error)
        self._protocol_error(code, str(error), _KINDS.get(code, "other"))
        self._closing(code)

    def _protocol_error(self, code: int, reason: str, kind: str) -> None:
        self._fragments = None
        self._metrics.protocol_error(kind)
        log.info("protocol_error", code=code, reason=reason)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
