"""Clients that are behind: newest states and references instead of everything, then 1013."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.pubsub import StandIn
from channel_server.socket import Route, Socket
from channel_server.testing.raw import CLOSE, RawClient

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]
Until = Callable[[Callable[[], object]], Awaitable[None]]

KIB = 1024
FILLER = {"text": "x" * 60_000}


class Room(Channel):
    waiting: list["Room"]

    def join(self, payload: Any) -> None:
        self.waiting = self.assigns["rooms"]
        self.waiting.append(self)

    @on("later")
    async def later(self, payload: Any) -> Reply:
        released: asyncio.Event = self.assigns["released"]
        await released.wait()
        return ok()


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


class Hall:
    """One client that can be made to fall behind, on an endpoint."""

    def __init__(self, endpoint: Endpoint, client: RawClient, rooms: list[Room]) -> None:
        self.endpoint = endpoint
        self.client = client
        self.rooms = rooms

    @property
    def coalesced(self) -> int:
        return self.endpoint.metrics.coalesced

    async def join(self, topic: str) -> None:
        self.client.send_json([topic, "1", topic, "phx_join", {}])
        assert (await self.client.json())[4]["status"] == "ok"

    def fall_behind(self) -> None:
        """Fill what is between us and the client."""
        self.client.stop_reading()
        while not self.endpoint.metrics.slow_clients:
            self.endpoint.broadcast("room:1", "filler", FILLER)

    def state(self, key: str, version: int, topic: str = "room:1") -> None:
        self.endpoint.broadcast(topic, "state", {"key": key, "version": version}, coalesce=key)

    def lines(self, version: int) -> None:
        there = StandIn("there", {"after": version - 1, "until": version}, ("after",))
        self.endpoint.broadcast("room:1", "lines", {"version": version}, stand_in=there)

    def plain(self, version: int) -> None:
        self.endpoint.broadcast("room:1", "step", {"version": version})

    async def rest(self, last: str) -> list[tuple[str, Any]]:
        """Read again; what came besides the filler, up to an event."""
        self.client.read_again()
        found: list[tuple[str, Any]] = []
        while not found or found[-1][0] != last:
            _, _, _, event, payload = await self.client.json()
            if event != "filler":
                found.append((event, payload))
        return found


@pytest.fixture
async def released() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def hall(
    serve: Serve, websocket: Open, released: asyncio.Event, request: pytest.FixtureRequest
) -> Hall:
    rooms: list[Room] = []

    class Lobby(RoomSocket):
        def connect(self, params: Any, info: Any) -> None:
            self.assigns.update(rooms=rooms, released=released)

    limit = getattr(request, "param", 1024 * KIB)
    endpoint = await serve(Lobby, max_send_queue_bytes=limit)
    hall = Hall(endpoint, await websocket(endpoint, receive_buffer=4 * KIB), rooms)
    await hall.join("room:1")
    return hall


async def test_a_client_that_keeps_up_sees_every_state_and_has_no_backlog(hall: Hall) -> None:
    for version in range(50):
        hall.state("a", version)
    seen = [(await hall.client.json())[4]["version"] for _ in range(50)]
    assert seen == list(range(50))
    assert hall.coalesced == 0


async def test_a_client_that_is_behind_gets_the_newest_state_of_each_key(hall: Hall) -> None:
    hall.fall_behind()
    for version in range(1, 2_001):
        hall.state("ab"[version % 2], version)
    hall.endpoint.broadcast("room:1", "end", {})
    found = await hall.rest("end")
    assert [(event, payload.get("version")) for event, payload in found] == [
        ("state", 1_999),
        ("state", 2_000),
        ("end", None),
    ]
    assert hall.coalesced == 1_998
    hall.state("a", 2_001)
    assert (await hall.client.json())[4]["version"] == 2_001


async def test_large_events_become_one_reference_to_the_whole_range(hall: Hall) -> None:
    hall.fall_behind()
    for version in range(6, 500):
        hall.lines(version)
    hall.endpoint.broadcast("room:1", "end", {})
    assert await hall.rest("end") == [("there", {"after": 5, "until": 499}), ("end", {})]


async def test_a_client_that_was_behind_sees_versions_grow(hall: Hall) -> None:
    hall.fall_behind()
    for version in range(0, 400, 4):
        hall.state("run", version)
        hall.lines(version + 1)
        hall.lines(version + 2)
        hall.plain(version + 3)
    hall.endpoint.broadcast("room:1", "end", {})
    found = await hall.rest("end")
    versions = [payload.get("version", payload.get("until")) for _, payload in found[:-1]]
    assert versions == sorted(versions)
    assert [event for event, _ in found].count("state") == 1
    assert [event for event, _ in found].count("step") == 100
    named = [range(p["after"] + 1, p["until"] + 1) for e, p in found if e == "there"]
    assert [n for span in named for n in span] == [n for n in range(400) if n % 4 in (1, 2)]


async def test_replies_and_pushes_of_the_topic_stay_behind_what_waits(
    hall: Hall, released: asyncio.Event, until: Until
) -> None:
    hall.client.send_json(["room:1", "9", "room:1", "later", {}])
    (room,) = hall.rooms
    await until(lambda: hall.endpoint.connections()[0].channels()[0].busy)
    hall.fall_behind()
    hall.state("a", 1)
    room.push("pushed", {})
    released.set()
    await until(lambda: not hall.endpoint.connections()[0].channels()[0].busy)
    hall.state("a", 2)
    hall.endpoint.broadcast("room:1", "end", {})
    assert [event for event, _ in await hall.rest("end")] == ["pushed", "phx_reply", "state", "end"]


async def test_a_quiet_topic_does_not_wait_for_all_of_a_busy_one(hall: Hall) -> None:
    await hall.join("room:2")
    hall.fall_behind()
    for version in range(500):
        hall.state(f"k{version}", version)
    hall.state("quiet", 1, "room:2")
    hall.client.read_again()
    topics: list[str] = []
    while "room:2" not in topics:
        _, _, topic, event, _ = await hall.client.json()
        topics += [topic] if event == "state" else []
    assert topics == ["room:1", "room:2"]


@pytest.mark.parametrize("hall", [128 * KIB], indirect=True)
async def test_past_the_bound_a_client_that_is_behind_is_closed_with_1013(hall: Hall) -> None:
    hall.fall_behind()
    (queue,) = hall.endpoint.metrics.slow_clients
    most = version = 0
    while not hall.endpoint.metrics.drops["slow_client"]:
        hall.state(f"key {version}", version)
        most = max(most, queue.queued_bytes())
        version += 1
        assert version < 10_000
    assert most <= 128 * KIB + 60_000
    hall.client.read_again()
    frame = await hall.client.frame()
    while frame.opcode != CLOSE:
        frame = await hall.client.frame()
    assert frame.close_code == 1013


async def test_a_drain_sends_what_waits_before_the_close(hall: Hall) -> None:
    hall.fall_behind()
    hall.state("a", 1)
    hall.state("a", 2)
    stopping = asyncio.ensure_future(hall.endpoint.stop())
    hall.client.read_again()
    frame = await hall.client.frame()
    last = frame
    while frame.opcode != CLOSE:
        last = frame
        frame = await hall.client.frame()
    assert (frame.close_code, b'"version":2' in last.payload) == (1012, True)
    hall.client.send(CLOSE, frame.payload)
    await stopping
