"""A topic is joined again, or the frame of its join comes twice: phoenix-protocol 4.4."""

import pytest

from channel_server import error
from channel_server.testing.recording import settle
from tests.channel_server.joining_rooms import JoinChannel, World, made


@pytest.fixture
def world() -> World:
    return World()


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
