"""The client's end of one connection: what tests, replay and the recorder share.

A `Peer` sends frames and keeps what arrives until somebody takes it. There are two: `WirePeer`
over a real websocket, and `channel_server.testing.inprocess.InProcessPeer` without a network.
"""

# ruff: noqa: ASYNC109 - callers give a timeout per call; it is part of the API

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from channel_server.client_errors import Disconnected
from channel_server.client_frames import V2, Frame, Observer, decode, encode
from channel_server.message import HEARTBEAT, PHOENIX
from channel_server.transport.wire import Wire, open_wire, socket_url

IN_PROCESS_TIMEOUT = 0.1
WIRE_TIMEOUT = 5.0
WIRE_REFUTE = 0.1


class Peer(ABC):
    """One connection.

    Attributes:
        vsn: The serializer.
        timeout: Seconds that `take` waits by default.
        frames: What arrived and was not taken, in order of arrival.
        close_code: None while open; 1006 if the connection broke.
        close_reason: The reason the other side gave.
        observer: Told of every frame, if set.
    """

    def __init__(self, vsn: str, timeout: float) -> None:
        self.vsn = vsn
        self.timeout = timeout
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self._waiters: list[asyncio.Future[None]] = []
        self._last_ref = 0
        self.observer: Observer | None = None

    def next_ref(self) -> str:
        """A ref that this peer has not used; decimal text, as phoenix.js writes it."""
        self._last_ref += 1
        return str(self._last_ref)

    async def send(self, frame: Frame) -> None:
        """Encode and send a frame.

        Raises:
            Disconnected: The connection is gone.
        """
        if self.observer is not None:
            self.observer.sent(frame)
        await self.send_raw(encode(frame, self.vsn))

    async def take(self, wanted: Callable[[Frame], bool], timeout: float | None = None) -> Frame:
        """Wait for a frame and remove it from `frames`; the first that arrived wins.

        Raises:
            TimeoutError: None came in time.
            Disconnected: None came, and none will.
        """
        deadline = self._deadline(timeout)
        late = False
        while True:
            frame = self._find(wanted)
            if frame is not None:
                return frame
            if self.close_code is not None:
                raise Disconnected(self.close_code, self.close_reason)
            if late:
                raise TimeoutError
            try:
                await self._wait(deadline)
            except TimeoutError:
                # It may have come in the same turn of the event loop: look once more.
                late = True

    async def refute(self, unwanted: Callable[[Frame], bool]) -> Frame | None:
        """The frame that should not be there, after everything under way has settled."""
        await self.settle()
        return self._find(unwanted)

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the connection is closed; returns the close code.

        Raises:
            TimeoutError: It is still open.
        """
        deadline = self._deadline(timeout)
        while self.close_code is None:
            await self._wait(deadline)
        return self.close_code

    @abstractmethod
    async def send_raw(self, data: str | bytes) -> None:
        """Send text or bytes as they are.

        Raises:
            Disconnected: The connection is gone.
        """

    @abstractmethod
    async def settle(self) -> None:
        """Wait until what was sent so far has had its effect."""

    @abstractmethod
    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side; twice is fine."""

    @abstractmethod
    async def abort(self) -> None:
        """Drop the connection without a word."""

    def arrived(self, frame: Frame) -> None:
        """A frame came."""
        if self.observer is not None:
            self.observer.received(frame)
        self.frames.append(frame)
        self._wake()

    def ended(self, code: int, reason: str) -> None:
        """The connection is gone; only the first word counts."""
        if self.close_code is None:
            self.close_code = code
            self.close_reason = reason
            if self.observer is not None:
                self.observer.closed(code)
            self._wake()

    def _closing(self, code: int) -> None:
        if self.observer is not None and self.close_code is None:
            self.observer.closing(code)

    def _find(self, wanted: Callable[[Frame], bool]) -> Frame | None:
        for index, frame in enumerate(self.frames):
            if wanted(frame):
                return self.frames.pop(index)
        return None

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _deadline(self, timeout: float | None) -> float:
        seconds = self.timeout if timeout is None else timeout
        return asyncio.get_running_loop().time() + seconds

    async def _wait(self, deadline: float) -> None:
        """Wait for the next change, until a time of the loop's clock."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        async with asyncio.timeout_at(deadline):
            await waiter


class WirePeer(Peer):
    """A connection over a real websocket, made by `connect`."""

    def __init__(self, wire: Wire, vsn: str, timeout: float) -> None:
        super().__init__(vsn, timeout)
        self._wire = wire
        self._reader = asyncio.create_task(self._read(), name="wire-peer")

    @classmethod
    async def connect(
        cls,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        vsn: str = V2,
        auth_token: str | None = None,
        timeout: float = WIRE_TIMEOUT,
        **options: Any,
    ) -> "WirePeer":
        """Connect to the mount point or full path `url`.

        Raises:
            ConnectRefused: The server answered with an HTTP status.
            ConnectFailed: No connection could be made.
        """
        address = socket_url(url, params or {}, vsn)
        return cls(await open_wire(address, auth_token=auth_token, **options), vsn, timeout)

    async def send_raw(self, data: str | bytes) -> None:
        """Send text or bytes as they are."""
        await self._wire.send(data)

    async def settle(self) -> None:
        """Wait for a heartbeat to come back, and for 100 ms of silence.

        The heartbeat proves that the server has read what was sent; handlers that are still
        waiting for something else get the silence, and no more.
        """
        ref = f"settle-{self.next_ref()}"
        try:
            await self.send(Frame(None, ref, PHOENIX, HEARTBEAT, {}))
            await self.take(lambda frame: frame.ref == ref)
            while True:
                await self._wait(self._deadline(WIRE_REFUTE))
        except (TimeoutError, Disconnected):
            return

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a handshake."""
        self._closing(code)
        await self._wire.close(code, reason)
        await self._reader

    async def abort(self) -> None:
        """Drop the TCP connection."""
        self._closing(1006)
        self._wire.abort()
        await self._reader

    async def _read(self) -> None:
        try:
            while True:
                self.arrived(decode(await self._wire.receive(), self.vsn))
        except Disconnected as error:
            self.ended(error.code or 1006, error.reason)
