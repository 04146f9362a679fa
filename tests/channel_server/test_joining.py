"""Joins run concurrently and are answered once: phoenix-protocol 4.1, 4.4, deviation 15.3."""

import asyncio
from typing import Any, ClassVar, cast

import pytest

from channel_server import Channel, Reply, Route, Socket, error, ok, on
from channel_server.testing.recording import RecordedMount, settle, until


class JoinChannel(Channel):
    """Joins when the test says so."""

    made: ClassVar["list[JoinChannel]"] = []
    result: Any = None
    stubborn = False

    async def join(self, payload: Any) -> Reply | None:
        self.gate = asyncio.Event()
        self.ends: list[str] = []
        self.cancelled = False
        self.made.append(self)
        if payload == "crash":
            raise ZeroDivisionError
        if payload == "send_info":
            self.send_info("hello")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            if not self.stubborn:
                raise
        return self.result

    async def joined(self) -> None:
        await asyncio.sleep(0)
        self.push("welcome", {})

    def handle_info(self, message: Any) -> None:
        self.push("info", {"message": message})

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)

    def terminate(self, reason: str) -> None:
        self.ends.append(reason)
        self.push("last_words", {})


class SilentChannel(Channel):
    """Joins when the test says so, and does nothing more then."""

    gate: ClassVar[asyncio.Event]
    heard: ClassVar[list[Any]]

    async def join(self, payload: Any) -> None:
        await self.gate.wait()

    @on("hear")
    def hear(self, payload: Any) -> None:
        self.heard.append(payload)


class PlainJoin(Channel):
    def join(self, payload: Any) -> Any:
        if payload == "crash":
            raise ZeroDivisionError
        if payload == "shout":
            self._services.broadcast("e", {}, to_self=True)
        return {
            "number": 1,
            "status": Reply("maybe", {}),
            "unserialisable": ok(object()),
            "binary": ok(b"\x01\x02"),
            "unicode": ok({"x": "\ud800"}),
        }.get(payload)


class Unsubscribed(Channel):
    subscribe_topic = False
    join_timeout = 0.01

    async def join(self, payload: Any) -> None:
        if payload == "hang":
            await asyncio.Event().wait()


class UserSocket(Socket):
    channels = (
        Route("room:*", JoinChannel),
        Route("plain:*", PlainJoin),
        Route("silent:*", SilentChannel),
        Route("quiet:*", Unsubscribed),
    )


class World(RecordedMount):
    def __init__(self, **limits: Any) -> None:
        super().__init__(UserSocket, **limits)
        JoinChannel.made = []
        JoinChannel.result = None
        JoinChannel.stubborn = False
        self.one = self.client()
        self.take = self.one.take
        self.connection = self.one.connection

    def join(self, ref: str = "1", topic: str = "room:1", payload: Any = None) -> None:
        self.one.send(ref, ref, topic, "phx_join", payload)

    def push(self, join_ref: Any, ref: str, event: str, payload: Any = None) -> None:
        self.one.send(join_ref, ref, "room:1", event, payload)

    def shapes(self) -> list[tuple[Any, ...]]:
        """join_ref, ref, event, and the status or reason of what was sent."""
        return [(f[0], f[1], f[3], outcome(f[4])) for f in self.take()]


def outcome(payload: Any) -> Any:
    response = payload.get("response")
    if isinstance(response, dict) and "reason" in response:
        return cast("Any", response["reason"])
    return payload.get("status")


async def made(count: int) -> JoinChannel:
    await until(lambda: len(JoinChannel.made) == count)
    return JoinChannel.made[-1]


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


# Joined twice.


async def test_second_join_during_the_first_answers_both(world: World) -> None:
    world.join("1")
    first = await made(1)
    world.push("1", "2", "echo")
    world.join("5")
    assert world.shapes() == [("1", "1", "phx_reply", "duplicate join")]
    first.gate.set()
    second = await made(2)
    second.gate.set()
    await settle()
    assert [shape[:3] for shape in world.shapes()] == [
        ("5", "5", "phx_reply"),
        ("5", None, "welcome"),
    ]
    assert first.ends == ["duplicate_join"]
    assert world.connection.topics() == ["room:1"]


async def test_a_join_whose_frame_is_doubled_on_the_way_is_answered_once(world: World) -> None:
    world.join("1")
    first = await made(1)
    world.join("1")
    world.push("1", "2", "echo", 7)
    assert world.shapes() == []
    first.gate.set()
    await settle()
    world.join("1")
    await settle()
    assert [shape[:2] for shape in world.shapes()] == [("1", "1"), ("1", None), ("1", "2")]
    assert first.ends == []


async def test_a_join_with_the_join_ref_of_its_predecessor_is_not_closed_with_it(
    world: World,
) -> None:
    world.join("1")
    (await made(1)).gate.set()
    await settle()
    world.take()
    world.one.send("1", "9", "room:1", "phx_join", None)
    (await made(2)).gate.set()
    await settle()
    assert [shape[:4] for shape in world.shapes()] == [
        ("1", "9", "phx_reply", "ok"),
        ("1", None, "welcome", None),
    ]


async def test_superseded_join_is_cancelled_after_the_grace() -> None:
    world = World(shutdown_grace=0.01)
    world.join("1")
    first = await made(1)
    world.join("5")
    (await made(2)).gate.set()
    await settle()
    assert first.cancelled
    assert first.ends == []
    assert world.lines("channel_crashed") == []


async def test_superseded_join_that_crashes_late_is_only_logged(world: World) -> None:
    world.join("1")
    first = await made(1)
    JoinChannel.result = 1
    world.join("5")
    first.gate.set()
    await made(2)
    assert len(world.lines("channel_crashed")) == 1
    assert world.shapes() == [("1", "1", "phx_reply", "duplicate join")]


async def test_third_join_waits_for_the_first_and_skips_the_second(world: World) -> None:
    world.join("1")
    first = await made(1)
    world.join("5")
    world.join("6")
    assert [shape[1] for shape in world.shapes()] == ["1", "5"]
    first.gate.set()
    third = await made(2)
    assert third.join_ref == "6"
    third.gate.set()
    await settle()
    assert world.shapes()[0] == ("6", "6", "phx_reply", "ok")


async def test_refused_second_join_still_closes_the_first(world: World) -> None:
    world.join("1")
    (await made(1)).gate.set()
    await settle()
    world.take()
    JoinChannel.result = error({"reason": "no"})
    world.join("5")
    (await made(2)).gate.set()
    await settle()
    assert [shape[:4] for shape in world.shapes()] == [
        ("5", "5", "phx_reply", "no"),
        ("1", "1", "phx_close", None),
    ]
    assert world.connection.topics() == []


async def test_join_join_leave_of_a_reconnecting_worker_counts_once(world: World) -> None:
    """On reconnect come join, leave of the first join, join: the second join stays."""
    world.join("1")
    (await made(1)).gate.set()
    await settle()
    world.join("5")
    (await made(2)).gate.set()
    await settle()
    world.push("1", "6", "phx_leave")
    world.push("5", "7", "echo", 1)
    assert world.shapes()[-1][:3] == ("5", "7", "phx_reply")
    assert world.connection.topics() == ["room:1"]


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
