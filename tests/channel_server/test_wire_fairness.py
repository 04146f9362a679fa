"""Whose turn it is: a flood on one topic or connection delays others by a slice, and is bounded."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any, ClassVar

import pytest

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.socket import Route, Socket
from channel_server.testing.raw import TEXT, RawClient, make_frame
from channel_server.testing.recording import RecordedMount, until
from channel_server.transport.incoming import SLICE

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


class Turns:
    """Counts the turns of the event loop while it is entered."""

    def __init__(self) -> None:
        self.now = 0
        self._counting = False

    def __enter__(self) -> "Turns":
        self._counting = True
        self._tick()
        return self

    def __exit__(self, *_: object) -> None:
        self._counting = False

    def _tick(self) -> None:
        self.now += 1
        if self._counting:
            asyncio.get_running_loop().call_soon(self._tick)


class Room(Channel):
    turns: ClassVar[Turns]
    handled: ClassVar[list[tuple[str, int]]]
    release: ClassVar[asyncio.Event]

    def join(self, payload: Any) -> None:
        pass

    @on("quick")
    def quick(self, payload: Any) -> None:
        self.handled.append((self.topic, self.turns.now))

    @on("slow")
    async def slow(self, payload: Any) -> Reply:
        await self.release.wait()
        self.handled.append((self.topic, self.turns.now))
        return ok(payload)


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


@pytest.fixture(autouse=True)
async def fresh() -> None:
    Room.turns, Room.handled, Room.release = Turns(), [], asyncio.Event()


def message(topic: str, event: str, ref: int) -> bytes:
    return make_frame(TEXT, json.dumps([topic, str(ref), topic, event, {"ref": ref}]).encode())


async def join(client: RawClient, topic: str) -> None:
    client.send_json([topic, "j", topic, "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"


async def test_one_connection_has_at_most_a_slice_of_messages_handled_in_one_turn(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    await join(client, "room:1")
    total = 4 * SLICE
    with Room.turns:
        client.write(b"".join(message("room:1", "quick", n) for n in range(total)))
        await until(lambda: len(Room.handled) == total)
    in_one_turn = Counter(turn for _, turn in Room.handled)
    assert max(in_one_turn.values()) <= SLICE


async def test_a_flood_delays_another_connection_by_a_few_turns_only(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket)
    flooding, other = await websocket(endpoint), await websocket(endpoint)
    await join(flooding, "room:flood")
    await join(other, "room:other")
    total = 20 * SLICE
    with Room.turns:
        flooding.write(b"".join(message("room:flood", "quick", n) for n in range(total)))
        await until(lambda: Room.handled)
        sent = Room.turns.now
        other.write(message("room:other", "quick", 1))
        await until(lambda: "room:other" in dict(Room.handled))
        waited = dict(Room.handled)["room:other"] - sent
        await until(lambda: len(Room.handled) == total + 1)
    before = [topic for topic, _ in Room.handled].index("room:other")
    # Turns, not time: it was served while the flood went on, between two of its slices.
    assert before < total
    assert waited <= 20


async def test_topics_of_one_connection_take_turns_when_both_have_much_to_do() -> None:
    mount = RecordedMount(RoomSocket, mailbox=1000)
    client = mount.joined("room:a")
    client.send("2", "2", "room:b", "phx_join", {})
    client.take()
    for topic, join_ref in (("room:a", "1"), ("room:b", "2")):
        client.send(join_ref, "s", topic, "slow", {})
    for topic, join_ref in (("room:a", "1"), ("room:b", "2")):
        for n in range(500):
            client.send(join_ref, str(n), topic, "quick", {})
    Room.release.set()
    await until(lambda: len(Room.handled) == 1002)
    runs = [len(list(group)) for _, group in groupby(topic for topic, _ in Room.handled)]
    assert max(runs[:-1]) <= 65
    assert len(runs) >= 14


async def test_a_flood_on_many_topics_at_once_is_paused_bounded_and_loses_nothing(
    serve: Serve, websocket: Open, until: Until
) -> None:
    topics, mailbox, each = 40, 8, 60
    endpoint = await serve(RoomSocket, mailbox=mailbox)
    client = await websocket(endpoint)
    names = [f"room:{n}" for n in range(topics)]
    for name in names:
        await join(client, name)
    client.write(b"".join(message(name, "slow", ref) for ref in range(each) for name in names))
    await until(lambda: endpoint.metrics.pauses)
    (connection,) = endpoint.connections()
    queued = [info.queued for info in connection.channels()]
    assert max(queued) <= mailbox
    assert sum(queued) <= topics * mailbox
    Room.release.set()
    refs: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(topics * each):
        answer = await client.json()
        refs[answer[2]].append(answer[4]["response"]["ref"])
    assert set(map(tuple, refs.values())) == {tuple(range(each))}


async def test_a_topic_that_is_stuck_does_not_keep_the_others_from_what_has_arrived(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket, mailbox=8)
    client = await websocket(endpoint)
    for name in ("room:stuck", "room:free"):
        await join(client, name)
    for ref in range(7):
        client.write(message("room:stuck", "slow", ref))
    client.send_json(["room:free", "1", "room:free", "phx_leave", {}])
    assert (await client.json())[:3] == ["room:free", "1", "room:free"]
    Room.release.set()
