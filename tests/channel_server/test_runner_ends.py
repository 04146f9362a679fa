"""Leaves, duplicate joins, disconnects, drains, mailboxes: phoenix-protocol 4.3, 4.4, 7.1."""

import asyncio
from typing import cast

import pytest

from channel_server import (
    ReplyRef,
    ok,
)
from channel_server.testing.recording import settle, until
from tests.channel_server.slow_rooms import (
    CLOSED,
    CRASHED,
    SlowChannel,
    World,
)


@pytest.fixture
def world() -> World:
    return World()


# Ends.


async def test_leave_waits_for_queued_work_and_swallows_what_follows(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "phx_leave")
    world.push("4", "fast", 1)
    await until(lambda: channel.began)
    channel.gate("a").set()
    await until(lambda: channel.ends)
    assert world.events()[:3] == [("phx_reply", "2"), ("phx_reply", "3"), ("phx_close", "1")]
    assert channel.began == ["a"]


async def test_terminate_runs_after_phx_close_and_may_still_push(world: World) -> None:
    channel = world.join()
    world.push("2", "phx_leave")
    await settle()
    reply, closed, last = world.take()
    assert (reply[3], closed) == ("phx_reply", CLOSED)
    assert last == ["1", None, "room:1", "last_words", {"reason": "left"}]
    assert channel.ends == ["left", "done"]
    channel.push("too_late", {})
    assert world.take() == []


async def test_terminate_that_crashes_is_logged_and_the_channel_is_over(world: World) -> None:
    world.send("1", "1", "plain:1", "phx_join", {})
    await settle()
    world.push("2", "bad_terminate", topic="plain:1")
    assert world.lines("channel_crashed")[0]["callback"] == "terminate"
    await asyncio.wait_for(world.one.connection.wait_terminated(), 5)


async def test_stop_ends_the_channel_after_the_message_that_is_handled(world: World) -> None:
    channel = world.join()
    world.push("2", "stop_me", "normal")
    await settle()
    assert world.events()[:2] == [("phx_reply", "2"), ("phx_close", "1")]
    assert channel.infos == []
    channel.stop()
    channel.send_info("too late")
    await settle()
    assert channel.ends == ["normal", "done"]


async def test_duplicate_join_order_and_lost_messages(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "fast", "lost")
    await until(lambda: channel.began == ["a"])
    world.send("9", "9", "room:1", "phx_join", {})
    assert world.take() == []
    channel.gate("a").set()
    await until(lambda: len(SlowChannel.made) == 2)
    world.send("9", "10", "room:1", "fast", 1)
    frames = world.take()
    assert [(frame[0], frame[1], frame[3]) for frame in frames] == [
        ("9", "9", "phx_reply"),
        ("1", "1", "phx_close"),
        ("9", "10", "phx_reply"),
    ]
    assert channel.began == ["a"]
    assert channel.ends == ["duplicate_join", "done"]


async def test_duplicate_join_cancels_the_old_handler_after_the_grace() -> None:
    world = World(shutdown_grace=0.01)
    channel = world.join()
    world.push("2", "slow", "a")
    await until(lambda: channel.began)
    world.send("9", "9", "room:1", "phx_join", {})
    await until(lambda: len(SlowChannel.made) == 2)
    assert channel.cancelled == ["a"]
    assert world.lines("channel_crashed") == []
    assert world.events() == [("phx_reply", "9"), ("phx_close", "1")]


async def test_join_that_waits_for_the_old_channel_times_out_too() -> None:
    world = World(join_timeout=0.01)
    channel = world.join()
    world.push("2", "slow", "a")
    await until(lambda: channel.began)
    world.send("9", "9", "room:1", "phx_join", {})
    await until(lambda: world.one.transport.frames)
    reply, closed = world.take()
    assert (reply[1], reply[4]["response"]) == ("9", {"reason": "join timeout"})
    assert closed == CLOSED
    assert world.one.connection.topics() == []
    channel.gate("a").set()
    await asyncio.wait_for(world.one.connection.wait_terminated(), 5)
    assert len(SlowChannel.made) == 1


async def test_a_replaced_channel_can_do_no_more(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    await until(lambda: channel.began)
    world.send("9", "9", "room:1", "phx_join", {})
    channel.push("e", {})
    channel.send_info("lost")
    world.pubsub.broadcast("room:1", "seen", {})
    channel.reply(ReplyRef("1", "2", "room:1"), ok())
    assert world.take() == []
    channel.gate("a").set()
    await until(lambda: len(SlowChannel.made) == 2)
    assert channel.infos == []


async def test_leave_then_join_at_once(world: World) -> None:
    world.join()
    world.push("2", "phx_leave")
    world.send("9", "9", "room:1", "phx_join", {})
    assert [(frame[1], frame[3]) for frame in world.take() if frame[3] != "last_words"] == [
        ("2", "phx_reply"),
        ("1", "phx_close"),
        ("9", "phx_reply"),
    ]


async def test_join_while_leaving_replaces_and_the_leave_is_lost(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "phx_leave")
    await until(lambda: channel.began)
    world.send("9", "9", "room:1", "phx_join", {})
    channel.gate("a").set()
    await until(lambda: len(SlowChannel.made) == 2)
    assert world.events() == [("phx_reply", "9"), ("phx_close", "1")]


async def test_what_arrived_before_the_disconnect_is_still_handled(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "fast", "b")
    await until(lambda: channel.began)
    world.one.connection.disconnected("closed")
    waiting = asyncio.create_task(world.one.connection.wait_terminated())
    await settle()
    assert channel.ends == []
    channel.gate("a").set()
    await asyncio.wait_for(waiting, 5)
    assert channel.began == ["a", "b"]
    assert channel.ends == ["closed", "done"]
    assert world.take() == []


async def test_disconnect_of_an_idle_channel_terminates_it(world: World) -> None:
    channel = world.join()
    world.one.connection.disconnected("closed")
    await asyncio.wait_for(world.one.connection.wait_terminated(), 5)
    assert channel.ends == ["closed", "done"]


async def test_drain_answers_what_runs_then_closes_1012_without_channel_frames(
    world: World,
) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    await until(lambda: channel.began)
    world.one.connection.drain()
    world.one.connection.drain()
    assert not world.one.transport.reading
    world.push("3", "fast", "not received any more")
    assert world.one.transport.closed is None
    channel.gate("a").set()
    await until(lambda: world.one.transport.closed)
    assert world.one.transport.closed == (1012, "draining")
    world.one.connection.disconnected("closed")
    await asyncio.wait_for(world.one.connection.wait_terminated(), 5)
    assert channel.ends == ["draining", "done"]
    assert [event for event in world.events() if event[0] != "last_words"] == [("phx_reply", "2")]


async def test_drain_closes_a_connection_without_channels_with_1012(world: World) -> None:
    world.one.connection.drain()
    assert world.one.transport.closed == (1012, "draining")


async def test_drain_closes_a_connection_with_idle_channels_at_once(world: World) -> None:
    world.join()
    world.one.connection.drain()
    assert world.one.transport.closed == (1012, "draining")


# Limits.


async def test_a_full_mailbox_pauses_reading_until_half_is_handled_and_loses_nothing() -> None:
    world = World(mailbox=4)
    channel = world.join()
    world.push("2", "slow", "a")
    for n in range(4):
        assert world.one.transport.reading
        world.push(str(n), "slow", n)
    assert not world.one.transport.reading
    assert world.metrics.pauses == 1
    for gate in ("a", 0):
        await until(lambda gate=gate: gate in channel.began)
        channel.gate(cast("str", gate)).set()
    await until(lambda: 1 in channel.began)
    assert world.one.transport.reading
    for n in (1, 2, 3):
        channel.gate(cast("str", n)).set()
    await until(lambda: channel.began == ["a", 0, 1, 2, 3])


async def test_reading_goes_on_when_all_full_mailboxes_have_room() -> None:
    world = World(mailbox=1)
    first = world.join("room:1")
    second = world.join("room:2")
    for topic in ("room:1", "room:2"):
        world.push("2", "slow", "a", topic)
        world.push("3", "slow", "b", topic)
    await until(lambda: first.began and second.began)
    first.gate("a").set()
    await until(lambda: first.began == ["a", "b"])
    assert not world.one.transport.reading
    second.gate("a").set()
    await until(lambda: second.began == ["a", "b"])
    assert world.one.transport.reading


async def test_the_end_of_a_channel_with_a_full_mailbox_resumes_reading() -> None:
    world = World(mailbox=1)
    world.join()
    world.push("2", "slow_boom")
    world.push("3", "fast", 1)
    assert not world.one.transport.reading
    await settle()
    assert world.one.transport.reading


async def test_replacing_a_channel_with_a_full_mailbox_resumes_reading() -> None:
    world = World(mailbox=1)
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "fast", 1)
    await until(lambda: channel.began)
    world.send("9", "9", "room:1", "phx_join", {})
    assert world.one.transport.reading


async def test_a_channel_that_cannot_keep_up_with_the_server_ends_with_phx_error() -> None:
    world = World(mailbox=1)
    channel = world.join()
    channel.send_info("wait")
    await until(lambda: channel.infos)
    for n in range(12):
        channel.send_info(n)
    channel.gate("info").set()
    await until(lambda: channel.ends)
    assert channel.infos == ["wait"]
    assert channel.ends[0] == "mailbox_overflow"
    assert world.take()[0] == CRASHED
    assert len(world.lines("mailbox_overflow")) == 1
    assert world.metrics.drops["mailbox"] == 1


async def test_a_mailbox_with_room_does_not_resume_a_connection_that_drains() -> None:
    world = World(mailbox=1)
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "slow", "b")
    await until(lambda: channel.began)
    world.one.connection.drain()
    channel.gate("a").set()
    await until(lambda: channel.began == ["a", "b"])
    assert not world.one.transport.reading
    channel.gate("b").set()
    await until(lambda: world.one.transport.closed)
    assert world.events()[:2] == [("phx_reply", "2"), ("phx_reply", "3")]
