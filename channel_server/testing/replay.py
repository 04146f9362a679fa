"""Play a fixture's client and compare what the server does.

**Order.** Steps are taken from top to bottom. A client's frame is sent when every server step
above it has been seen, so the file decides what is concurrent and what is not. Server frames may
arrive earlier than the file says, and in another order, within these rules:

* a reply, `phx_close` and `phx_error` are found by topic, ref and event, whenever they came;
* pushes and broadcasts of one topic on one connection come in the order of the file;
* nothing is compared between topics or between connections;
* frames of the header's `ignore` may come at any time and are dropped;
* after the last step the connections settle: a frame that no step asked for is a failure.

The first failure ends the replay.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from channel_server.client_errors import ConnectRefused, Disconnected
from channel_server.client_frames import Frame, dump
from channel_server.message import CLOSE, ERROR, REPLY
from channel_server.testing.fixture import (
    Action,
    Close,
    Connect,
    Expect,
    ExpectClose,
    Fixture,
    Send,
    Step,
    load,
)
from channel_server.testing.matcher import Bindings, UnboundPlaceholder, fill, match
from channel_server.testing.peer import Peer, WirePeer

_BY_REF = frozenset({REPLY, CLOSE, ERROR})


class Dial(Protocol):
    """Opens a connection for the replay."""

    async def __call__(self, mount: str, params: Mapping[str, Any], vsn: str) -> Peer:
        """Connect to the socket at `mount`.

        Raises:
            ConnectRefused: The server said no.
        """
        ...


ActionHandler = Callable[["Player", dict[str, Any]], Awaitable[None]]


class Report(msgspec.Struct, frozen=True):
    """What became of a replay.

    Attributes:
        name: The fixture's name.
        steps: How many steps were played.
        failure: Why it ended early, over several lines; None if all was as expected.
    """

    name: str
    steps: int
    failure: str | None

    @property
    def ok(self) -> bool:
        """Whether the server did all that the fixture says, and nothing else."""
        return self.failure is None

    def check(self) -> None:
        """Raise `AssertionError` with the readable difference unless it is ok."""
        if self.failure is not None:
            raise AssertionError(f"{self.name}: {self.failure}")


class _Failed(Exception):  # noqa: N818 - it never leaves this module
    pass


def dial_url(base: str, **options: Any) -> Dial:
    """Connections to a server at `base`, e.g. `ws://127.0.0.1:4000`; mounts are below it."""

    async def dial(mount: str, params: Mapping[str, Any], vsn: str) -> Peer:
        return await WirePeer.connect(base.rstrip("/") + mount, params, vsn=vsn, **options)

    return dial


async def replay(
    fixture: Fixture | Path | str,
    dial: Dial,
    *,
    bindings: Mapping[str, Any] | None = None,
    actions: Mapping[str, ActionHandler] | None = None,
) -> Report:
    """Play a fixture.

    Args:
        fixture: The fixture, or its file.
        dial: Opens connections: `dial_url(url)`, or `InProcess(...).dial`.
        bindings: What is bound from the start, e.g. `{"token:worker": "…"}`.
        actions: What the `do` steps of the application do.

    Returns:
        A report; it does not raise for a server that does otherwise than expected.

    Raises:
        FixtureError: The file is no fixture.
    """
    loaded = fixture if isinstance(fixture, Fixture) else load(fixture)
    return await Player(loaded, dial, dict(bindings or {}), dict(actions or {})).play()


class Player:
    """One replay; given to actions.

    Attributes:
        fixture: What is played.
        bindings: What is bound so far; actions may add to it.
        peers: The connections, by their number in the fixture.
    """

    def __init__(
        self,
        fixture: Fixture,
        dial: Dial,
        bindings: Bindings,
        actions: Mapping[str, ActionHandler],
    ) -> None:
        self.fixture = fixture
        self.bindings = bindings
        self.peers: dict[int, Peer] = {}
        self._dial = dial
        self._actions = actions

    async def play(self) -> Report:
        """Play all steps, then close what is open."""
        played = 0
        failure = None
        try:
            for step in self.fixture.steps:
                await self._step(step)
                played += 1
            await self._nothing_left()
        except _Failed as error:
            failure = str(error)
        finally:
            await asyncio.gather(*(peer.close() for peer in self.peers.values()))
        return Report(self.fixture.header.name, played, failure)

    async def _step(self, step: Step) -> None:
        try:
            match step:
                case Send():
                    await self._send(step)
                case Expect():
                    await self._expect(step)
                case ExpectClose():
                    await self._expect_close(step)
                case Connect():
                    await self._connect(step)
                case Close():
                    await self._close(step)
                case Action():
                    await self._act(step)
        except UnboundPlaceholder as error:
            raise _Failed(f"line {step.line}: {error}") from None
        except Disconnected as error:
            raise _Failed(f"line {step.line}: {_describe(step)}\n  but: {error}") from None

    async def _send(self, step: Send) -> None:
        peer = await self._peer(step.conn)
        await peer.send(Frame(*fill(step.frame, self.bindings)))

    async def _expect(self, step: Expect) -> None:
        peer = await self._peer(step.conn)
        try:
            frame = await peer.take(lambda frame: self._is_for(step, peer, frame))
        except TimeoutError:
            raise _Failed(
                f"line {step.line}: {_describe(step)}\n  did not come; what came instead:\n"
                + _listing(peer)
            ) from None
        differences, bound = match(step.frame, list(frame), self.bindings)
        if differences:
            lines = [f"line {step.line}: {_describe(step)}", f"  came as   {_text(frame)}"]
            raise _Failed("\n".join([*lines, *(f"  {found}" for found in differences)]))
        self.bindings = bound

    async def _expect_close(self, step: ExpectClose) -> None:
        peer = await self._peer(step.conn)
        try:
            code = await peer.wait_closed()
        except TimeoutError:
            raise _Failed(f"line {step.line}: conn {step.conn} was not closed") from None
        if code != step.code:
            raise _Failed(
                f"line {step.line}: conn {step.conn} closed with {code} {peer.close_reason!r}, "
                f"expected {step.code}"
            )

    async def _connect(self, step: Connect) -> None:
        params = self.fixture.header.params if step.params is None else step.params
        header = self.fixture.header
        try:
            peer = await self._dial(header.mount, fill(params, self.bindings), header.serializer)
        except ConnectRefused as error:
            if error.status != step.expect:
                raise _Failed(
                    f"line {step.line}: conn {step.conn}: {error}, "
                    f"expected {step.expect or 'a connection'}"
                ) from None
            return
        self.peers[step.conn] = peer
        if step.expect is not None:
            raise _Failed(
                f"line {step.line}: conn {step.conn} was accepted, expected HTTP {step.expect}"
            )

    async def _close(self, step: Close) -> None:
        peer = await self._peer(step.conn)
        await (peer.abort() if step.code is None else peer.close(step.code))

    async def _act(self, step: Action) -> None:
        handler = self._actions.get(step.name)
        if handler is None:
            known = ", ".join(sorted(self._actions)) or "none"
            raise _Failed(f"line {step.line}: no action {step.name!r} here (known: {known})")
        await handler(self, step.arguments)

    async def _peer(self, conn: int) -> Peer:
        if conn not in self.peers:
            await self._connect(Connect(0, conn))
        return self.peers[conn]

    def _is_for(self, step: Expect, peer: Peer, frame: Frame) -> bool:
        if self._ignored(frame):
            return False
        join_ref, ref, topic, event, _ = step.frame
        if match(topic, frame.topic, self.bindings)[0]:
            return False
        if event in _BY_REF or frame.event in _BY_REF:
            return frame.event == event and frame.ref == ref and frame.join_ref == join_ref
        return True

    def _ignored(self, frame: Frame) -> bool:
        return any(
            not match(list(pattern), [frame.topic, frame.event], self.bindings)[0]
            for pattern in self.fixture.header.ignore
        )

    async def _nothing_left(self) -> None:
        for conn, peer in self.peers.items():
            await peer.settle()
            surplus = [frame for frame in peer.frames if not self._ignored(frame)]
            if surplus:
                shown = "\n".join(f"    {_text(frame)}" for frame in surplus)
                raise _Failed(f"conn {conn}: nobody expected\n{shown}")


def _describe(step: Step) -> str:
    match step:
        case Send(conn=conn, frame=frame):
            return f"client frame on conn {conn}: {_text(frame)}"
        case Expect(conn=conn, frame=frame):
            return f"server frame on conn {conn}\n  expected  {_text(frame)}"
        case _:
            return str(step)


def _listing(peer: Peer) -> str:
    shown = [f"    {_text(frame)}" for frame in peer.frames[:10]] or ["    nothing"]
    if len(peer.frames) > 10:
        shown.append(f"    … and {len(peer.frames) - 10} more")
    return "\n".join(shown)


def _text(frame: Frame | list[Any]) -> str:
    try:
        text = dump(list(frame))
    except TypeError:
        text = repr(list(frame))
    return text if len(text) <= 500 else f"{text[:497]}..."
