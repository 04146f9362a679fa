"""Routing, joins and events on the wire: phoenix-protocol sections 1.6, 3, 4.1 and 4.2.

Each rule runs over both serializers, unless one of them cannot express it.
"""

from typing import Any

import pytest

from channel_server.endpoint import Endpoint
from tests.channel_server.wire_rooms import (
    OK,
    UNMATCHED,
    V1,
    V2,
    Lobby,
    Open,
    Room,
    RoomSocket,
    Serve,
    Wire,
)

# 1.6 Forced disconnect.


async def test_disconnect_on_the_id_closes_with_1001_and_no_other_frame(
    endpoint: Endpoint, raw: Open
) -> None:
    client = await raw(endpoint)
    await client.upgrade("/socket/websocket?vsn=2.0.0&user=7")
    wire = Wire(client, V2)
    await wire.join("room:1")
    endpoint.broadcast("user:7", "disconnect", {})
    assert (await client.closed()).close_code == 1001


async def test_other_events_on_the_id_are_ignored(endpoint: Endpoint, raw: Open) -> None:
    client = await raw(endpoint)
    await client.upgrade("/socket/websocket?vsn=2.0.0&user=7")
    endpoint.broadcast("user:7", "hello", {})
    await Wire(client, V2).silent()


# 3 Routing.


async def test_heartbeats_are_answered_with_a_null_join_ref(wire: Wire) -> None:
    wire.send("9", "1", "phoenix", "heartbeat", {})
    await wire.reply(None, "1", "phoenix", OK)


@pytest.mark.parametrize("ref", [None, 7, "7", {"a": 1}, [1], 1.5, True])
async def test_refs_are_echoed_as_they_came(wire: Wire, ref: Any) -> None:
    wire.send(None, ref, "phoenix", "heartbeat", {})
    await wire.reply(None, ref, "phoenix", OK)


async def test_an_event_on_a_topic_that_is_not_joined_is_unmatched(wire: Wire) -> None:
    wire.send("1", "2", "room:1", "echo", {})
    await wire.reply(None, "2", "room:1", UNMATCHED)
    wire.send("1", "2", "nowhere", "phx_join", {})
    await wire.reply(None, "2", "nowhere", UNMATCHED)


async def test_phoenix_is_an_ordinary_topic_but_for_heartbeats(wire: Wire) -> None:
    wire.send(None, "2", "phoenix", "echo", {})
    await wire.reply(None, "2", "phoenix", UNMATCHED)


async def test_a_leave_of_any_topic_is_ok(wire: Wire) -> None:
    wire.send("8", "9", "room:never", "phx_leave", {})
    await wire.reply("8", "9", "room:never", OK)
    wire.send(None, "10", "nowhere", "phx_leave", {})
    await wire.reply(None, "10", "nowhere", OK)


async def test_a_stale_join_ref_is_dropped_silently_leaves_too(wire: Wire) -> None:
    await wire.join("room:1", "5")
    wire.send("4", "6", "room:1", "echo", {})
    wire.send("4", "7", "room:1", "phx_leave", {})
    await wire.silent()
    wire.send("5", "8", "room:1", "echo", {})
    await wire.reply("5", "8", "room:1", OK)


async def test_a_null_join_ref_is_accepted(wire: Wire) -> None:
    await wire.join("room:1", "5")
    wire.send(None, "6", "room:1", "echo", {"a": 1})
    await wire.reply("5", "6", "room:1", {"status": "ok", "response": {"a": 1}})


async def test_a_join_with_a_null_join_ref_takes_only_null_afterwards(wire: Wire) -> None:
    wire.send(None, "1", "room:1", "phx_join", {})
    await wire.reply(None, "1", "room:1", OK)
    wire.send("1", "2", "room:1", "echo", {})
    await wire.silent()
    wire.send(None, "3", "room:1", "order", {})
    await wire.expect("1", None, "room:1", "p1", {})


async def test_binary_pushes_with_an_empty_join_ref_count_as_null(wire2: Wire) -> None:
    await wire2.join("room:1", "12")
    wire2.client.send(2, b"\x00\x00\x03\x06\x05" + b"123" + b"room:1" + b"quiet" + b"\x01")
    wire2.client.send(2, b"\x00\x02\x03\x06\x04" + b"12" + b"124" + b"room:1" + b"echo" + b"\xff")
    frame = await wire2.client.frame()
    assert frame.opcode == 2
    assert frame.payload == b"\x01\x02\x03\x06\x02" + b"12" + b"124" + b"room:1" + b"ok" + b"\xff"


async def test_binary_frames_may_carry_joins_and_heartbeats(wire2: Wire) -> None:
    wire2.client.send(2, b"\x00\x00\x01\x07\x09" + b"1" + b"phoenix" + b"heartbeat")
    await wire2.reply(None, "1", "phoenix", OK)
    wire2.client.send(2, b"\x00\x01\x01\x06\x08" + b"2" + b"2" + b"room:1" + b"phx_join" + b"\x00")
    await wire2.reply("2", "2", "room:1", OK)


async def test_errors_of_binary_pushes_are_text(wire2: Wire) -> None:
    wire2.client.send(2, b"\x00\x01\x01\x06\x04" + b"1" + b"2" + b"room:1" + b"echo" + b"\x00")
    await wire2.reply(None, "2", "room:1", UNMATCHED)


async def test_a_binary_broadcast_is_a_frame_of_kind_2(endpoint: Endpoint, wire2: Wire) -> None:
    await wire2.join("room:bin")
    endpoint.broadcast("room:bin", "bin_bcast", b"\xff")
    frame = await wire2.client.frame()
    assert (frame.opcode, frame.payload) == (2, b"\x02\x08\x09room:binbin_bcast\xff")


async def test_routes_match_exactly_or_by_prefix_and_the_first_wins(wire: Wire) -> None:
    for topic in ("exact", "room:", "room:a:b", "assigned"):
        await wire.join(topic)
    for topic in ("room", "exact:1", "assigne"):
        wire.send("2", "2", topic, "phx_join", {})
        await wire.reply(None, "2", topic, UNMATCHED)


@pytest.mark.parametrize("vsn", [V1, V2])
async def test_topics_are_limited_and_leaving_frees_one(
    serve: Serve, websocket: Open, vsn: str
) -> None:
    Room.terminated = []
    wire = Wire(await websocket(await serve(RoomSocket, max_topics=2), vsn=vsn), vsn)
    await wire.join("room:1", "1")
    await wire.join("room:2", "2")
    wire.send("3", "3", "room:3", "phx_join", {})
    too_many = {"status": "error", "response": {"reason": "too many channels joined"}}
    await wire.reply("3", "3", "room:3", too_many)
    wire.send("4", "4", "room:2", "phx_join", {})  # again: fits
    await wire.reply("4", "4", "room:2", OK)
    if vsn == V2:
        await wire.expect("2", "2", "room:2", "phx_close", {})
    wire.send("4", "5", "room:2", "phx_leave", {})
    await wire.reply("4", "5", "room:2", OK)
    await wire.expect("4", "4", "room:2", "phx_close", {})
    await wire.expect("4", None, "room:2", "last words", {})
    await wire.join("room:3", "6")


# 4.1 Join.


async def test_a_join_may_reply_any_json(wire: Wire) -> None:
    wire.send("1", "1", "room:1", "phx_join", {"do": "reply"})
    await wire.reply("1", "1", "room:1", {"status": "ok", "response": [1, "two"]})


async def test_a_refused_join_ends_without_phx_close(wire: Wire) -> None:
    wire.send("1", "1", "room:1", "phx_join", {"do": "refuse"})
    refused = {"status": "error", "response": {"reason": "unauthorized"}}
    await wire.reply("1", "1", "room:1", refused)
    wire.send("1", "2", "room:1", "echo", {})
    await wire.reply(None, "2", "room:1", UNMATCHED)


@pytest.mark.parametrize("do", ["raise", "invalid"])
async def test_a_join_that_raises_or_returns_nonsense_crashed(wire: Wire, do: str) -> None:
    wire.send("1", "1", "room:1", "phx_join", {"do": do})
    crashed = {"status": "error", "response": {"reason": "join crashed"}}
    await wire.reply("1", "1", "room:1", crashed)
    await wire.silent()


async def test_a_slow_join_delays_neither_heartbeats_nor_other_topics(wire: Wire) -> None:
    wire.send("1", "1", "lobby:1", "phx_join", {})
    await Lobby.entered.wait()
    await wire.silent()
    await wire.join("room:1", "2")
    Lobby.release.set()
    await wire.reply("1", "1", "lobby:1", OK)


async def test_a_join_that_takes_too_long_is_answered_with_an_error(wire: Wire) -> None:
    wire.send("1", "1", "lobby:1", "phx_join", {})
    await wire.reply(
        "1", "1", "lobby:1", {"status": "error", "response": {"reason": "join timeout"}}
    )
    wire.send("1", "2", "lobby:1", "later", {})
    await wire.reply(None, "2", "lobby:1", UNMATCHED)


async def test_broadcasts_made_by_a_join_do_not_reach_the_joiner(wire: Wire) -> None:
    Lobby.release.set()
    wire.send("1", "1", "lobby:1", "phx_join", {})
    await wire.reply("1", "1", "lobby:1", OK)
    await wire.expect("1", None, "lobby:1", "welcome", {})
    await wire.silent()


async def test_the_join_reply_comes_before_everything_else_of_the_join(
    endpoint: Endpoint, wire: Wire
) -> None:
    wire.send("1", "1", "lobby:1", "phx_join", {})
    wire.send("1", "2", "lobby:1", "later", {})
    await wire.silent()
    Lobby.release.set()
    await wire.reply("1", "1", "lobby:1", OK)
    await wire.expect("1", None, "lobby:1", "welcome", {})
    await wire.reply("1", "2", "lobby:1", {"status": "ok", "response": {"later": True}})


# 4.2 Events.


@pytest.mark.parametrize("payload", [None, 1, "text", [1, [2]], {"a": {"b": None}}, True])
async def test_payloads_and_responses_are_any_json(wire: Wire, payload: Any) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "echo", payload)
    await wire.reply("1", "2", "room:1", {"status": "ok", "response": payload})


async def test_the_status_of_a_reply_is_any_word(wire: Wire) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "status", {})
    await wire.reply("1", "2", "room:1", {"status": "maybe", "response": {}})


async def test_no_reply_sends_nothing(wire: Wire) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "quiet", {})
    await wire.silent()


async def test_several_replies_with_one_ref_are_all_sent(wire: Wire) -> None:
    await wire.join("room:1")
    wire.send("1", "2", "room:1", "twice", {})
    await wire.reply("1", "2", "room:1", {"status": "ok", "response": {"n": 1}})
    await wire.reply("1", "2", "room:1", {"status": "error", "response": {"n": 2}})


async def test_a_binary_push_to_a_v1_client_is_a_crash_of_its_channel(
    endpoint: Endpoint, websocket: Open
) -> None:
    Lobby.release.set()
    wire = Wire(await websocket(endpoint, vsn=V1), V1)
    wire.send("1", "1", "lobby:1", "phx_join", {})
    await wire.reply("1", "1", "lobby:1", OK)
    await wire.expect("1", None, "lobby:1", "welcome", {})
    wire.send("1", "2", "lobby:1", "binary", {})
    await wire.expect("1", "1", "lobby:1", "phx_error", {"reason": "channel_crash"})


async def test_a_binary_push_to_a_v2_client_is_a_frame_of_kind_0_without_a_ref(
    wire2: Wire,
) -> None:
    Lobby.release.set()
    wire2.send("12", "12", "lobby:1", "phx_join", {})
    await wire2.reply("12", "12", "lobby:1", OK)
    await wire2.expect("12", None, "lobby:1", "welcome", {})
    wire2.send("12", "13", "lobby:1", "binary", {})
    frame = await wire2.client.frame()
    assert (frame.opcode, frame.payload) == (2, b"\x00\x02\x07\x0512lobby:1bytes\x00\x01")
