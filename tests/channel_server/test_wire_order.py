"""Ends, replaced joins, broadcasts and order on the wire: phoenix-protocol 4.3, 4.4, 5 and 6.

Each rule runs over both serializers, unless one of them cannot express it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from channel_server.endpoint import Endpoint
from tests.channel_server.wire_rooms import OK, UNMATCHED, V1, V2, Open, Room, Wire

# 4.3 Ends.


async def closes(wire: Wire, event: str, ref: str = "1") -> None:
    payload = {"reason": "channel_crash"} if event == "phx_error" else {}
    await wire.expect(ref, ref, "room:1", event, payload)


async def test_a_leave_is_answered_then_closed_and_terminate_comes_last(wire: Wire) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "phx_leave", {})
    await wire.reply("1", "2", "room:1", OK)
    await closes(wire, "phx_close")
    await wire.expect("1", None, "room:1", "last words", {})
    await wire.silent()
    assert Room.terminated == ["left"]


@pytest.mark.parametrize("reason", ["normal", "shutdown"])
async def test_a_normal_stop_closes(wire: Wire, reason: str) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "stop", {"reason": reason})
    await closes(wire, "phx_close")


async def test_a_stop_with_a_reply_replies_first(wire: Wire) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "stop", {"reason": "normal", "reply": True})
    await wire.reply("1", "2", "room:1", {"status": "ok", "response": {"bye": True}})
    await closes(wire, "phx_close")


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("stop", {"reason": "broken"}),
        ("raise", {}),
        ("invalid", {}),
        ("bad push", {}),
        ("no such event", {}),
    ],
)
async def test_every_other_end_is_a_phx_error_and_frees_the_topic(
    wire: Wire, event: str, payload: Any
) -> None:
    await wire.join("room:1")
    await wire.join("room:2", "2")
    wire.send("1", "3", "room:1", event, payload)
    await closes(wire, "phx_error")
    wire.send("1", "4", "room:1", "echo", {})
    await wire.reply(None, "4", "room:1", UNMATCHED)
    await wire.join("room:1", "5")
    wire.send("2", "6", "room:2", "echo", {})
    await wire.reply("2", "6", "room:2", OK)


async def test_a_leave_waits_for_what_came_before_and_swallows_what_comes_after(
    wire: Wire,
) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "slow", {})
    wire.send("1", "3", "room:1", "phx_leave", {})
    wire.send("1", "4", "room:1", "echo", {})
    await wire.silent()
    Room.release.set()
    await wire.reply("1", "2", "room:1", OK)
    await wire.reply("1", "3", "room:1", OK)
    await closes(wire, "phx_close")
    await wire.expect("1", None, "room:1", "last words", {})
    wire.send("1", "5", "room:1", "echo", {})
    await wire.reply(None, "5", "room:1", UNMATCHED)


async def test_a_client_that_goes_away_ends_its_channels(
    endpoint: Endpoint, wire: Wire, until: Callable[[Callable[[], object]], Awaitable[None]]
) -> None:
    await wire.join("room:1")
    await wire.client.close()
    await until(lambda: Room.terminated)
    assert Room.terminated == ["closed"]
    assert endpoint.pubsub.subscribers("room:1") == 0


# 4.4 Duplicate join.


async def test_a_second_join_replies_and_then_closes_the_first(wire2: Wire) -> None:
    await wire2.join("room:1", "1")
    wire2.send("2", "2", "room:1", "phx_join", {})
    await wire2.reply("2", "2", "room:1", OK)
    await closes(wire2, "phx_close")
    wire2.send("1", "3", "room:1", "echo", {})  # stale
    wire2.send("2", "4", "room:1", "echo", {})
    await wire2.reply("2", "4", "room:1", OK)
    assert Room.terminated == ["duplicate_join"]


async def test_the_work_of_the_first_join_is_not_answered(wire2: Wire) -> None:
    await wire2.join("room:1", "1")
    wire2.send("1", "2", "room:1", "slow", {})
    wire2.send("1", "3", "room:1", "echo", {})
    wire2.send("4", "4", "room:1", "phx_join", {})
    await wire2.silent()  # the join has arrived, and waits for the end of the handler
    Room.release.set()
    await wire2.reply("4", "4", "room:1", OK)
    await closes(wire2, "phx_close")
    await wire2.silent()


async def test_a_refused_second_join_still_closes_the_first(wire: Wire) -> None:
    await wire.join("room:1", "1")
    wire.send("2", "2", "room:1", "phx_join", {"do": "refuse"})
    refused = {"status": "error", "response": {"reason": "unauthorized"}}
    await wire.reply("2", "2", "room:1", refused)
    await closes(wire, "phx_close")
    wire.send(None, "3", "room:1", "echo", {})
    await wire.reply(None, "3", "room:1", UNMATCHED)


async def test_a_v1_client_is_not_sent_the_close_it_would_take_for_the_new_join(
    endpoint: Endpoint, websocket: Open
) -> None:
    wire = Wire(await websocket(endpoint, vsn=V1), V1)
    await wire.join("room:1", "1")
    await wire.join("room:1", "2")
    await wire.silent()


async def test_leave_and_join_at_once_gives_leave_reply_close_join_reply(wire: Wire) -> None:
    await wire.join("room:1", "1")
    wire.send("1", "2", "room:1", "phx_leave", {})
    wire.send("3", "3", "room:1", "phx_join", {})
    await wire.reply("1", "2", "room:1", OK)
    await closes(wire, "phx_close")
    await wire.expect("1", None, "room:1", "last words", {})
    await wire.reply("3", "3", "room:1", OK)


# 5 Broadcast.


async def test_a_broadcast_has_null_refs_and_reaches_every_serializer(
    endpoint: Endpoint, websocket: Open
) -> None:
    wires = [Wire(await websocket(endpoint, vsn=vsn), vsn) for vsn in (V1, V2)]
    for wire in wires:
        await wire.join("room:1")
    endpoint.broadcast("room:1", "news", {"n": 1})
    for wire in wires:
        await wire.expect(None, None, "room:1", "news", {"n": 1})


async def test_broadcast_from_skips_the_sender_only(endpoint: Endpoint, websocket: Open) -> None:
    first, second = [Wire(await websocket(endpoint), V2) for _ in range(2)]
    await first.join("room:1")
    await second.join("room:1")
    first.send("1", "2", "room:1", "others", {"n": 1})
    await second.expect(None, None, "room:1", "news", {"n": 1})
    await first.reply("1", "2", "room:1", OK)
    await first.silent()


async def test_an_intercepted_broadcast_is_a_push_of_the_channel(
    endpoint: Endpoint, wire: Wire
) -> None:
    await wire.join("room:1")
    endpoint.broadcast("room:1", "intercepted", {})
    await wire.expect("1", None, "room:1", "intercepted", {"seen": True})


async def test_a_broadcast_that_a_subscriber_cannot_get_reaches_nobody(
    endpoint: Endpoint, websocket: Open
) -> None:
    wires = [Wire(await websocket(endpoint, vsn=vsn), vsn) for vsn in (V2, V1)]
    for wire in wires:
        await wire.join("room:1")
    wires[0].send("1", "2", "room:1", "bad broadcast", {})
    await closes(wires[0], "phx_error")
    await wires[1].silent()


# 6 Order.


async def test_broadcasts_of_one_sender_reach_every_subscriber_in_order(
    endpoint: Endpoint, websocket: Open
) -> None:
    wires = [Wire(await websocket(endpoint), V2) for _ in range(3)]
    for wire in wires:
        await wire.join("room:1")
    for n in range(50):
        endpoint.broadcast("room:1", "n", {"n": n})
    for wire in wires:
        for n in range(50):
            await wire.expect(None, None, "room:1", "n", {"n": n})


async def test_frames_of_one_handler_keep_their_order_and_intercepted_ones_come_last(
    wire: Wire,
) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "order", {})
    await wire.expect("1", None, "room:1", "p1", {})
    await wire.expect(None, None, "room:1", "b1", {})
    await wire.expect("1", None, "room:1", "p2", {})
    await wire.expect("1", None, "room:1", "p3", {})
    await wire.reply("1", "2", "room:1", OK)
    await wire.expect("1", None, "room:1", "intercepted", {"seen": True})


async def test_messages_of_a_topic_are_handled_in_order_and_others_do_not_wait(
    wire: Wire,
) -> None:
    await wire.join("room:1", "1")
    await wire.join("room:2", "2")
    wire.send("1", "3", "room:1", "slow", {"n": 1})
    wire.send("1", "4", "room:1", "echo", {"n": 2})
    wire.send("2", "5", "room:2", "echo", {"n": 3})
    await wire.reply("2", "5", "room:2", {"status": "ok", "response": {"n": 3}})
    Room.release.set()
    await wire.reply("1", "3", "room:1", {"status": "ok", "response": {"n": 1}})
    await wire.reply("1", "4", "room:1", {"status": "ok", "response": {"n": 2}})
