"""No input of a client raises, logs a traceback, or disturbs another client."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from channel_server import Channel, Reply, Route, Socket, Stop, ok, on
from channel_server.testing.recording import RecordedMount, settle

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, 1.5, True, [], {}, "", "__proto__", 2**70, [[]], {"a": {}}, "x" * 300]
)
refs = st.sampled_from(["1", "2", None]) | odd
topics = st.sampled_from(["room:1", "room:2", "phoenix", "nowhere"]) | odd
events = (
    st.sampled_from(["phx_join", "phx_leave", "echo", "slow", "bytes", "stop", "heartbeat"]) | odd
)
payloads = st.sampled_from([{}, {"n": 1}]) | odd
text_frames = st.tuples(refs, refs, topics, events, payloads)
names = st.sampled_from(["", "1", "room:1", "phx_join", "echo", "bytes", "phx_leave"])
binary_frames = st.tuples(names, names, names, names, st.binary(max_size=4))


class RoomChannel(Channel):
    def join(self, payload: Any) -> None: ...

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)

    @on("slow")
    async def slow(self, payload: Any) -> Reply:
        return ok(payload)

    @on("bytes")
    def answer_bytes(self, payload: Any) -> Reply:
        return ok(b"\x00")

    @on("stop")
    def stop_now(self, payload: Any) -> Stop:
        return Stop(reply=ok())


class UserSocket(Socket):
    channels = (Route("room:*", RoomChannel),)


def binary(frame: tuple[str, str, str, str, bytes]) -> bytes:
    *fields, data = frame
    encoded = [str(field).encode() for field in fields]
    return bytes([0, *map(len, encoded)]) + b"".join(encoded) + bytes(data)


@given(st.lists(text_frames | binary_frames.map(binary) | st.binary(max_size=20), max_size=12))
@settings(deadline=None)
async def test_any_sequence_of_frames_is_survived(frames: list[Any]) -> None:
    mount = RecordedMount(UserSocket, max_topics=2)
    other = mount.joined("room:9")
    client = mount.client()
    for frame in frames:
        if isinstance(frame, bytes):
            client.connection.receive_binary(frame)
        else:
            client.send(*frame)
        await settle(2)
    assert mount.lines("channel_crashed") == []
    assert other.take() == []
    other.send("1", "2", "room:9", "echo", {"n": 1})
    assert other.take()[0][4]["response"] == {"n": 1}
    client.connection.disconnected()
    await client.connection.wait_terminated()
    assert mount.pubsub.topics() == ["room:9"]
