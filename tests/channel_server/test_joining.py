"""Joins run concurrently and are answered once: phoenix-protocol 4.1, deviation 15.3."""

import asyncio

import pytest

from channel_server import error
from channel_server.testing.recording import settle, until
from tests.channel_server.joining_rooms import JoinChannel, SilentChannel, World, made


@pytest.fixture
def world() -> World:
    return World()


async def test_a_slow_join_delays_neither_other_joins_nor_heartbeats(world: World) -> None:
    world.join("1")
    world.join("2", "plain:1")
    world.one.send(None, "3", "phoenix", "heartbeat", {})
    assert [frame[1] for frame in world.take()] == ["2", "3"]
    (await made(1)).gate.set()
    await settle()
    assert world.shapes()[0] == ("1", "1", "phx_reply", "ok")


async def test_the_join_reply_is_the_first_frame_and_broadcasts_follow(world: World) -> None:
    world.join("1")
    channel = await made(1)
    world.pubsub.broadcast("room:1", "during", {})
    channel.gate.set()
    await until(lambda: world.pubsub.subscribers("room:1"))
    world.pubsub.broadcast("room:1", "after", {})
    await settle()
    events = [shape[2] for shape in world.shapes()]
    assert events == ["phx_reply", "after", "welcome"]


async def test_messages_during_the_join_follow_joined_in_order(world: World) -> None:
    world.join("1", payload="send_info")
    world.push("1", "2", "echo", 1)
    world.push(None, "3", "echo", 2)
    world.push("stale", "4", "echo", 3)
    (await made(1)).gate.set()
    await settle()
    world.push("1", "5", "echo", 4)
    assert [(shape[1], shape[2]) for shape in world.shapes()] == [
        ("1", "phx_reply"),
        (None, "welcome"),
        (None, "info"),
        ("2", "phx_reply"),
        ("3", "phx_reply"),
        ("5", "phx_reply"),
    ]


async def test_leave_during_the_join_is_answered_after_it(world: World) -> None:
    world.join("1")
    world.push("1", "2", "phx_leave")
    world.push("1", "3", "echo")
    (await made(1)).gate.set()
    await settle()
    shapes = [shape[:3] for shape in world.shapes()]
    assert shapes[0] == ("1", "1", "phx_reply")
    assert ("1", "2", "phx_reply") in shapes
    assert shapes[-2:] == [("1", "1", "phx_close"), ("1", None, "last_words")]
    assert not any(shape[1] == "3" for shape in shapes)


async def test_messages_during_a_refused_join_are_unmatched(world: World) -> None:
    JoinChannel.result = error({"reason": "no"})
    world.join("1")
    world.push("1", "2", "echo")
    world.push("0", "3", "phx_leave")
    (await made(1)).gate.set()
    await settle()
    assert world.shapes() == [
        ("1", "1", "phx_reply", "no"),
        (None, "2", "phx_reply", "unmatched topic"),
        ("0", "3", "phx_reply", "ok"),
    ]
    assert JoinChannel.made[0].ends == []
    assert world.metrics.joins == {"error": 1}
    await asyncio.wait_for(world.connection.wait_terminated(), 5)


@pytest.mark.parametrize("topic", ["room:1", "plain:1"])
async def test_crashed_join_is_an_error_reply_and_one_log_line(world: World, topic: str) -> None:
    world.join("1", topic, "crash")
    await settle()
    assert world.shapes() == [("1", "1", "phx_reply", "join crashed")]
    (line,) = world.lines("channel_crashed")
    assert (line["callback"], line["topic"]) == ("join", topic)
    assert world.metrics.crashes == {"join": 1}
    assert world.metrics.joins == {"crash": 1}
    assert world.connection.topics() == []


@pytest.mark.parametrize("payload", ["number", "status", "unserialisable", "unicode", "shout"])
def test_bad_join_result_is_join_crashed_and_the_connection_lives(
    world: World, payload: str
) -> None:
    world.join("1", "plain:1", payload)
    assert world.shapes() == [("1", "1", "phx_reply", "join crashed")]
    assert world.pubsub.topics() == []
    world.join("2", "plain:1")
    assert world.shapes() == [("2", "2", "phx_reply", "ok")]


def test_join_may_answer_in_binary(world: World) -> None:
    world.join("1", "plain:1", "binary")
    assert world.take() == [b"\x01\x01\x01\x07\x0211plain:1ok\x01\x02"]


def test_a_join_ref_too_long_for_a_binary_reply_gives_no_traceback(world: World) -> None:
    world.join("x" * 256, "plain:1", "binary")
    assert world.shapes()[0][3] == "join crashed"
    assert world.lines("channel_crashed") == []


def test_joins_and_refusals_are_logged_and_counted(world: World) -> None:
    world.join("1", "plain:1")
    assert world.lines("channel_joined")[0]["topic"] == "plain:1"
    assert world.metrics.joins == {"ok": 1}


async def test_a_channel_may_not_subscribe_to_its_topic(world: World) -> None:
    world.join("1", "quiet:1")
    await settle()
    assert world.shapes() == [("1", "1", "phx_reply", "ok")]
    assert world.pubsub.subscribers("quiet:1") == 0


# Too late.


async def test_join_timeout_is_an_error_reply_and_frees_the_topic() -> None:
    world = World(join_timeout=0.01)
    world.join("1")
    world.push("1", "2", "echo")
    channel = await made(1)
    await until(lambda: world.one.transport.frames)
    await asyncio.wait_for(world.connection.wait_terminated(), 5)
    assert world.shapes() == [
        ("1", "1", "phx_reply", "join timeout"),
        (None, "2", "phx_reply", "unmatched topic"),
    ]
    assert channel.cancelled
    assert channel.ends == []
    assert world.metrics.joins == {"timeout": 1}
    assert world.lines("channel_crashed") == []


async def test_a_channel_may_have_its_own_join_timeout(world: World) -> None:
    world.join("1", "quiet:1", "hang")
    await until(lambda: world.one.transport.frames)
    assert world.shapes() == [("1", "1", "phx_reply", "join timeout")]


async def test_a_join_that_succeeds_after_its_timeout_is_terminated_mutely() -> None:
    JoinChannel.stubborn = True
    world = World(join_timeout=0.01)
    JoinChannel.stubborn = True
    world.join("1")
    channel = await made(1)
    await asyncio.wait_for(world.connection.wait_terminated(), 5)
    assert channel.ends == ["join_timeout"]
    assert world.shapes() == [("1", "1", "phx_reply", "join timeout")]
    assert world.pubsub.topics() == []


async def test_an_accepted_join_does_not_time_out_later() -> None:
    world = World(join_timeout=0.01)
    world.join("1")
    (await made(1)).gate.set()
    late = asyncio.get_running_loop().time() + 0.02
    await until(lambda: asyncio.get_running_loop().time() > late)
    await settle()
    assert [shape[3] for shape in world.shapes()] == ["ok", None]
    assert world.connection.topics() == ["room:1"]


async def test_no_attempt_is_left_after_a_join(world: World) -> None:
    world.join("1")
    channel = await made(1)
    attempt = next(iter(world.connection.session)).handle.attempt
    assert attempt is not None
    channel.gate.set()
    await settle()
    assert next(iter(world.connection.session)).handle.attempt is None


# Gone meanwhile.


async def test_disconnect_during_the_join_terminates_the_channel_after_it(world: World) -> None:
    world.join("1")
    channel = await made(1)
    world.connection.disconnected("closed")
    channel.gate.set()
    await asyncio.wait_for(world.connection.wait_terminated(), 5)
    assert channel.ends == ["closed"]
    assert world.take() == []
    assert world.pubsub.topics() == []


async def test_messages_before_a_disconnect_during_the_join_are_handled(world: World) -> None:
    SilentChannel.gate = asyncio.Event()
    SilentChannel.heard = []
    world.join("1", "silent:1")
    world.one.send("1", "2", "silent:1", "hear", "last")
    world.connection.disconnected("closed")
    SilentChannel.gate.set()
    await asyncio.wait_for(world.connection.wait_terminated(), 5)
    assert SilentChannel.heard == ["last"]


async def test_drain_answers_joins_in_progress_before_it_closes(world: World) -> None:
    world.join("1")
    channel = await made(1)
    world.connection.drain()
    assert world.one.transport.closed is None
    channel.gate.set()
    await until(lambda: world.one.transport.closed)
    assert world.one.transport.closed == (1012, "draining")
    assert world.shapes()[0] == ("1", "1", "phx_reply", "ok")
    assert channel.ends == ["draining"]


async def test_too_many_messages_during_a_join_pause_reading() -> None:
    world = World(mailbox=2)
    world.join("1")
    world.push("1", "2", "echo", 1)
    assert world.one.transport.reading
    world.push("1", "3", "echo", 2)
    assert not world.one.transport.reading
    (await made(1)).gate.set()
    await settle()
    assert world.one.transport.reading
    assert [shape[1] for shape in world.shapes()] == ["1", None, "2", "3"]
