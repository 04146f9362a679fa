"""A channel test client: connect, join, push, and say what must come and what must not.

```python
socket = await connect(UserSocket, {"token": token})          # in-process, no network
socket = await connect_url("ws://127.0.0.1:4000/socket")      # over a real websocket
room = await socket.join("room:1")
await room.assert_reply(await room.push("echo", {"n": 1}), "ok", {"n": 1})
await room.assert_broadcast("said", {"text": ANY})
await room.refute_push("secret")
```

**Payloads** are compared as patterns: an object must hold the given keys with matching values,
and may hold more, at every depth; lists match item by item; `ANY` matches everything, and the
placeholders of `channel_server.testing.matcher` may be used. Every `assert_` returns what came.

**Time.** In-process an assertion waits 100 ms, not counting the time in which a channel is busy;
over the wire 5 s. A `refute_` does not sleep: in-process it waits until every channel of the
connection is idle and nothing is queued, over the wire until a heartbeat came back and 100 ms
have been silent. What a background task sends later is not seen by it.
"""

# ruff: noqa: ASYNC109 - callers give a timeout per assertion; it is part of the API

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from channel_server.client_errors import Disconnected, JoinRefused
from channel_server.client_frames import V1, V2, Frame, dump
from channel_server.message import CLOSE, ERROR, JOIN, LEAVE, REPLY
from channel_server.pubsub import PubSub
from channel_server.socket import ConnectInfo, Socket
from channel_server.testing.inprocess import InProcess
from channel_server.testing.matcher import BINARY, JSON, REST, match
from channel_server.testing.peer import Peer, WirePeer

ANY = "{{any}}"
"""Matches every value."""


class Pushed(NamedTuple):
    """A push that was sent.

    Attributes:
        topic: Where.
        event: What.
        ref: What its reply will carry.
    """

    topic: str
    event: str
    ref: Any


class SocketClient:
    """One connection under test.

    Attributes:
        peer: The connection itself, for raw frames.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def join(
        self, topic: str, payload: Any = None, *, timeout: float | None = None
    ) -> "ChannelClient":
        """Join a topic.

        Raises:
            JoinRefused: The server answered with an error.
            AssertionError: It did not answer.
        """
        channel = ChannelClient(self.peer, topic)
        await channel.join(payload, timeout=timeout)
        return channel

    def channel(self, topic: str) -> "ChannelClient":
        """A channel that has not been joined, to push to it all the same."""
        return ChannelClient(self.peer, topic)

    async def settle(self) -> None:
        """Wait until what was sent so far has had its effect."""
        await self.peer.settle()

    async def assert_closed(self, code: int | None = None, *, timeout: float | None = None) -> int:
        """Wait until the server has closed the connection, with this code if one is given."""
        try:
            closed = await self.peer.wait_closed(timeout)
        except TimeoutError:
            raise AssertionError(f"the connection is open; {_waiting(self.peer)}") from None
        if code is not None and closed != code:
            raise AssertionError(f"closed with {closed} {self.peer.close_reason!r}, not {code}")
        return closed

    async def refute_closed(self) -> None:
        """Check that the connection is open after everything has settled."""
        await self.peer.settle()
        if self.peer.close_code is not None:
            raise AssertionError(f"closed with {self.peer.close_code} {self.peer.close_reason!r}")

    async def close(self) -> None:
        """Close the connection; twice is fine."""
        await self.peer.close()


class ChannelClient:
    """One topic of a connection under test.

    Attributes:
        topic: The topic.
        join_ref: The ref of the latest join; None before the first.
        response: What the server answered to the latest join.
    """

    def __init__(self, peer: Peer, topic: str) -> None:
        self.topic = topic
        self.join_ref: str | None = None
        self.response: Any = None
        self._peer = peer

    async def join(self, payload: Any = None, *, timeout: float | None = None) -> Any:
        """Join, or join again; returns the response.

        Raises:
            JoinRefused: The server answered with an error.
            AssertionError: It did not answer.
        """
        ref = self.join_ref = self._peer.next_ref()
        pushed = await self._send(JOIN, payload, ref)
        answer = await self._reply(pushed, timeout)
        if answer["status"] != "ok":
            raise JoinRefused(self.topic, answer["response"])
        self.response = answer["response"]
        return self.response

    async def push(self, event: str, payload: Any = None) -> Pushed:
        """Push an event (payload `{}` if None, `bytes` for a binary frame); see `assert_reply`."""
        return await self._send(event, payload, self._peer.next_ref())

    async def call(self, event: str, payload: Any = None, *, timeout: float | None = None) -> Any:
        """Push an event and return the response of its reply, which must be ok."""
        return await self.assert_reply(await self.push(event, payload), timeout=timeout)

    async def leave(self, *, timeout: float | None = None) -> None:
        """Leave, and wait for the reply and the `phx_close` of this join."""
        await self.assert_reply(await self.push(LEAVE), "ok", timeout=timeout)
        await self.assert_left(timeout=timeout)

    async def assert_reply(
        self,
        pushed: Pushed,
        status: str = "ok",
        response: Any = ANY,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Wait for the reply to a push; returns its response."""
        answer = await self._reply(pushed, timeout)
        expected = {"status": status, "response": response}
        _compare(f"reply to {pushed.event} on {self.topic}", expected, answer)
        return answer["response"]

    async def refute_reply(self, pushed: Pushed) -> None:
        """Check that there is no reply to a push."""
        await self._refute(lambda frame: self._answers(pushed, frame), f"reply to {pushed.event}")

    async def assert_push(
        self, event: str, payload: Any = ANY, *, timeout: float | None = None
    ) -> Any:
        """Wait for a message to this client alone; returns its payload.

        Over V1, which does not tell pushes from broadcasts, a broadcast will do.
        """
        return await self._event(event, payload, self._is_push(event), timeout)

    async def refute_push(self, event: str) -> None:
        """Check that there is no such message to this client alone."""
        await self._refute(self._is_push(event), f"push {event}")

    async def assert_broadcast(
        self, event: str, payload: Any = ANY, *, timeout: float | None = None
    ) -> Any:
        """Wait for a message to all subscribers of the topic; returns its payload.

        An intercepted broadcast reaches a client as a push.
        """
        return await self._event(event, payload, self._is_broadcast(event), timeout)

    async def refute_broadcast(self, event: str) -> None:
        """Check that there is no such message to all subscribers."""
        await self._refute(self._is_broadcast(event), f"broadcast {event}")

    async def assert_left(self, *, timeout: float | None = None) -> None:
        """Wait until the server has closed this join with `phx_close`."""
        await self._take(self._is_control(CLOSE), CLOSE, timeout)

    async def assert_crashed(self, *, timeout: float | None = None) -> Any:
        """Wait until the server has ended this join with `phx_error`; returns its payload."""
        return (await self._take(self._is_control(ERROR), ERROR, timeout)).payload

    async def refute_crashed(self) -> None:
        """Check that this join has not ended with `phx_error`."""
        await self._refute(self._is_control(ERROR), ERROR)

    async def _send(self, event: str, payload: Any, ref: str) -> Pushed:
        body: Any = {} if payload is None else payload
        await self._peer.send(Frame(self.join_ref, ref, self.topic, event, body))
        return Pushed(self.topic, event, ref)

    async def _reply(self, pushed: Pushed, timeout: float | None) -> Any:
        what = f"reply to {pushed.event}"
        return (await self._take(lambda f: self._answers(pushed, f), what, timeout)).payload

    async def _event(
        self, event: str, payload: Any, wanted: Callable[[Frame], bool], timeout: float | None
    ) -> Any:
        frame = await self._take(wanted, event, timeout)
        _compare(f"{event} on {self.topic}", payload, frame.payload)
        return frame.payload

    async def _take(
        self, wanted: Callable[[Frame], bool], what: str, timeout: float | None
    ) -> Frame:
        try:
            return await self._peer.take(wanted, timeout)
        except TimeoutError:
            reason = "did not come"
        except Disconnected as error:
            reason = f"never came: {error}"
        raise AssertionError(f"{what} on {self.topic} {reason}; {_waiting(self._peer)}")

    async def _refute(self, unwanted: Callable[[Frame], bool], what: str) -> None:
        frame = await self._peer.refute(unwanted)
        if frame is not None:
            raise AssertionError(f"{what} on {self.topic} came: {_text(frame)}")

    def _answers(self, pushed: Pushed, frame: Frame) -> bool:
        return frame.event == REPLY and frame.ref == pushed.ref and frame.topic == pushed.topic

    def _is_push(self, event: str) -> Callable[[Frame], bool]:
        addressed = self.join_ref if self._peer.vsn != V1 else None
        return lambda f: (f.topic, f.event, f.join_ref) == (self.topic, event, addressed)

    def _is_broadcast(self, event: str) -> Callable[[Frame], bool]:
        return lambda f: (f.topic, f.event, f.join_ref) == (self.topic, event, None)

    def _is_control(self, event: str) -> Callable[[Frame], bool]:
        return self._is_push(event)


async def connect(
    socket_class: type[Socket],
    params: Mapping[str, Any] | None = None,
    *,
    vsn: str = V2,
    info: ConnectInfo | None = None,
    pubsub: PubSub | None = None,
) -> SocketClient:
    """Connect in-process: the socket's `connect` decides, and frames go through the serializer.

    Args:
        socket_class: The socket under test.
        params: Connect params, as the socket gets them.
        vsn: The serializer.
        info: What the socket is told about the request.
        pubsub: Shared by the connections that shall hear each other; a new one if None.

    Raises:
        ConnectRefused: The socket refused.
    """
    server = InProcess({"/socket": socket_class}, pubsub=pubsub)
    return SocketClient(await server.connect("/socket", params, vsn=vsn, info=info))


async def connect_url(
    url: str,
    params: Mapping[str, Any] | None = None,
    *,
    vsn: str = V2,
    auth_token: str | None = None,
    **options: Any,
) -> SocketClient:
    """Connect over a real websocket to the mount point or full path `url`.

    Raises:
        ConnectRefused: The server answered with an HTTP status.
        ConnectFailed: No connection could be made.
    """
    peer = await WirePeer.connect(url, params, vsn=vsn, auth_token=auth_token, **options)
    return SocketClient(peer)


def _compare(what: str, expected: Any, actual: Any) -> None:
    differences, _ = match(_partial(expected), actual, {})
    if differences:
        raise AssertionError("\n".join([f"{what} differs:", *map(str, differences)]))


def _partial(value: Any) -> Any:
    """The same pattern, allowing further keys in every object."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        if JSON in items or BINARY in items:
            return items
        return {key: _partial(item) for key, item in items.items()} | {REST: ANY}
    if isinstance(value, list | tuple):
        return [_partial(item) for item in cast("list[Any]", value)]
    return value


def _waiting(peer: Peer) -> str:
    if not peer.frames:
        return "nothing else came"
    return "what came: " + "; ".join(_text(frame) for frame in peer.frames[:10])


def _text(frame: Frame) -> str:
    try:
        text = dump(list(frame))
    except TypeError:
        text = repr(list(frame))
    return text if len(text) <= 300 else f"{text[:297]}..."
