"""One message at a time, in order: phoenix-protocol sections 4.2, 4.5 and 6."""

from typing import Any, cast

import pytest

from channel_server import (
    BadReturn,
    Broadcast,
    NoReplyRef,
    Reply,
    ReplyRef,
    ok,
)
from channel_server.testing.recording import settle, until
from tests.channel_server.slow_rooms import CLOSED, CRASHED, World


@pytest.fixture
def world() -> World:
    return World()


# One at a time, in order.


async def test_messages_of_a_topic_wait_for_a_running_handler_in_order(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    world.push("3", "fast", "b")
    world.push("4", "slow", "c")
    world.push("5", "fast", "d")
    await until(lambda: channel.began == ["a"])
    channel.gate("a").set()
    await until(lambda: channel.began == ["a", "b", "c"])
    channel.gate("c").set()
    await until(lambda: channel.began == ["a", "b", "c", "d"])
    assert [frame[1] for frame in world.take()] == ["2", "3", "4", "5"]


async def test_a_busy_channel_delays_neither_other_topics_nor_heartbeats(world: World) -> None:
    world.join()
    world.send("9", "9", "room:2", "phx_join", {})
    world.push("2", "slow", "a")
    world.send("9", "3", "room:2", "fast", "b")
    world.send(None, "4", "phoenix", "heartbeat", {})
    assert [frame[1] for frame in world.take()] == ["9", "3", "4"]


async def test_a_plain_handler_answers_before_receive_returns(world: World) -> None:
    world.join()
    world.push("2", "fast", 1)
    assert world.events() == [("phx_reply", "2")]


async def test_a_coroutine_that_never_waits_answers_too(world: World) -> None:
    world.join()
    world.push("2", "no_wait", 1)
    world.push("3", "fast", 1)
    await settle()
    assert world.events() == [("phx_reply", "2"), ("phx_reply", "3")]


async def test_a_long_queue_lets_the_event_loop_run(world: World) -> None:
    channel = world.join()
    world.push("2", "slow", "a")
    for n in range(200):
        world.push(str(n), "fast", n)
    channel.gate("a").set()
    seen: list[int] = []

    def look() -> bool:
        seen.append(len(channel.began))
        return len(channel.began) == 201

    await until(look)
    assert any(1 < count < 201 for count in seen)


async def test_slow_handler_that_crashes_is_phx_error(world: World) -> None:
    world.join()
    world.push("2", "slow_boom")
    await settle()
    assert world.take()[0] == CRASHED
    assert len(world.lines("channel_crashed")) == 1


async def test_slow_handler_may_stop_with_a_reply(world: World) -> None:
    world.join()
    world.push("2", "slow_stop")
    await settle()
    assert world.events()[:2] == [("phx_reply", "2"), ("phx_close", "1")]


async def test_a_cancelled_handler_is_phx_error(world: World) -> None:
    world.join()
    world.push("2", "cancel_itself")
    await settle()
    assert world.take()[0] == CRASHED


async def test_messages_queued_behind_a_crash_are_lost(world: World) -> None:
    channel = world.join()
    world.push("2", "slow_boom")
    world.push("3", "fast", 1)
    await settle()
    assert channel.began == []
    assert world.events() == [("phx_error", "1"), ("last_words", None)]


# Replies by ref, info, extra topics.


async def test_a_reply_may_come_later_and_more_than_once(world: World) -> None:
    channel = world.join()
    world.push("2", "later")
    assert world.take() == []
    assert channel.ref == ReplyRef("1", "2", "room:1")
    assert channel.ref is not None
    channel.reply(channel.ref, ok(1))
    channel.reply(channel.ref, ok(2))
    assert [(frame[1], frame[4]["response"]) for frame in world.take()] == [("2", 1), ("2", 2)]


async def test_reply_ref_needs_a_message_with_a_ref(world: World) -> None:
    channel = world.join()
    with pytest.raises(NoReplyRef):
        channel.reply_ref()
    world.send("1", "1", "plain:1", "phx_join", {})
    world.send(None, None, "plain:1", "no_ref", {})
    await settle()
    assert world.lines("channel_crashed") == []


async def test_send_info_is_handled_after_the_current_message(world: World) -> None:
    channel = world.join()
    world.push("2", "info", "hello")
    world.push("3", "fast", 1)
    assert channel.infos == []
    await settle()
    assert channel.infos == ["hello"]
    assert world.events() == [("phx_reply", "2"), ("phx_reply", "3")]


async def test_handle_info_may_stop_and_may_crash(world: World) -> None:
    channel = world.join()
    channel.send_info("stop")
    await settle()
    assert world.take()[0] == CLOSED
    for message in ("boom", "odd"):
        world.join().send_info(message)
        await settle()
        assert world.take()[0] == CRASHED


async def test_unhandled_info_is_logged_and_not_fatal(world: World) -> None:
    world.send("1", "1", "plain:1", "phx_join", {})
    await settle()
    assert len(world.lines("info_unhandled")) == 1
    assert world.events() == [("phx_reply", "1"), ("joined", None)]


async def test_broadcasts_of_extra_topics_arrive_in_handle_info(world: World) -> None:
    channel = world.join()
    world.push("2", "subscribe", "news")
    world.pubsub.broadcast("news", "e", {"n": 1})
    await settle()
    (news,) = channel.infos
    assert isinstance(news, Broadcast)
    assert (news.topic, news.event, news.payload) == ("news", "e", {"n": 1})
    world.push("3", "unsubscribe", "news")
    world.push("4", "unsubscribe", "never")
    assert world.pubsub.subscribers("news") == 0
    assert world.take() == []


async def test_extra_topics_end_with_the_channel(world: World) -> None:
    channel = world.join()
    world.push("2", "subscribe", "news")
    world.push("3", "phx_leave")
    assert world.pubsub.topics() == []
    channel.subscribe("news")
    assert world.pubsub.topics() == []


async def test_intercepted_broadcasts_go_through_handle_out(world: World) -> None:
    world.join()
    world.pubsub.broadcast("room:1", "seen", {"n": 1})
    await settle()
    assert world.take() == [["1", None, "room:1", "seen", {"n": 1, "seen": True}]]
    world.pubsub.broadcast("room:1", "seen", {"stop": True})
    await settle()
    assert ("phx_close", "1") in world.events()


async def test_handle_out_pushes_by_default(world: World) -> None:
    world.send("1", "1", "plain:1", "phx_join", {})
    world.pubsub.broadcast("plain:1", "seen", {"n": 1})
    await settle()
    assert world.take()[-1] == ["1", None, "plain:1", "seen", {"n": 1}]


async def test_handle_in_is_the_fallback(world: World) -> None:
    world.send("1", "1", "plain:1", "phx_join", {})
    await settle()
    world.push("2", "whatever", topic="plain:1")
    assert world.take()[-1][4]["response"] == {"fallback": "whatever"}


async def test_a_plain_handle_info_that_crashes_is_phx_error(world: World) -> None:
    world.send("1", "1", "plain:1", "phx_join", {})
    await settle()
    world.push("2", "crash_later", topic="plain:1")
    await settle()
    assert ("phx_error", "1") in world.events()
    callbacks = [line["callback"] for line in world.lines("channel_crashed")]
    assert callbacks == ["handle_info", "terminate"]


async def test_an_intercepting_channel_still_gets_other_broadcasts_directly(world: World) -> None:
    world.join()
    world.pubsub.broadcast("room:1", "other", {"n": 1})
    assert world.take() == [[None, None, "room:1", "other", {"n": 1}]]


async def test_a_channel_knows_whether_somebody_is_there(world: World) -> None:
    channel = world.join()
    assert channel.connected
    world.one.connection.disconnected()
    assert not channel.connected


async def test_a_reply_with_an_odd_status_is_refused_at_the_call(world: World) -> None:
    channel = world.join()
    with pytest.raises(BadReturn, match="status must be a str, not int"):
        channel.reply(ReplyRef("1", "2", "room:1"), Reply(cast("Any", 1), {}))
    assert world.take() == []
