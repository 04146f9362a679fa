"""The client against servers that follow a script: late, stale, lost and missing answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from channel_server.client import ChannelClosed, Client, Disconnected, PushTimeout

Script = Callable[["Side"], Awaitable[None]]
PATIENCE = 10.0


class Side:
    """The server's side of one connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection

    async def receive(self, event: str) -> list[Any]:
        frame: list[Any] = json.loads(await self.connection.recv())
        assert frame[3] == event, frame
        return frame

    async def send(self, *frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def reply(self, frame: list[Any], response: Any = None, status: str = "ok") -> None:
        payload = {"status": status, "response": response}
        await self.send(frame[0], frame[1], frame[2], "phx_reply", payload)

    async def accept(self) -> list[Any]:
        """Answer a join; returns its frame."""
        frame = await self.receive("phx_join")
        await self.reply(frame)
        return frame


Play = Callable[..., Awaitable[Client]]


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    """A function that serves scripts, one per connection, and returns a connected client."""
    stop: list[Callable[[], Awaitable[None]]] = []

    async def start(*scripts: Script, **options: Any) -> Client:
        waiting = list(scripts)

        async def handler(connection: ServerConnection) -> None:
            if waiting:
                await waiting.pop(0)(Side(connection))

        server = await serve(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(f"ws://127.0.0.1:{port}/socket", backoff=lambda attempt: 0.01, **options)

        async def finish() -> None:
            await client.close()
            server.close()
            await server.wait_closed()

        stop.append(finish)
        await client.connect()
        return client

    yield start
    for each in stop:
        await each()


async def hang_up(side: Side) -> None:
    await side.connection.recv()


async def accept_and_wait(side: Side) -> None:
    await side.accept()
    await side.connection.wait_closed()


async def test_a_first_join_that_is_cut_off_goes_on_with_the_next_connection(play: Play) -> None:
    client = await play(hang_up, accept_and_wait)
    room = client.channel("room:1")
    await asyncio.wait_for(room.join(), PATIENCE)
    assert room.state == "joined"


async def test_a_rejoin_that_is_cut_off_goes_on_with_the_next_connection(play: Play) -> None:
    async def crash(side: Side) -> None:
        join = await side.accept()
        await side.send(join[0], join[0], "room:1", "phx_error", {})
        await hang_up(side)

    client = await play(crash, accept_and_wait)
    room = client.channel("room:1")
    joins: asyncio.Queue[Any] = asyncio.Queue()
    room.on_join(joins.put_nowait)
    await room.join()
    async with asyncio.timeout(PATIENCE):
        await joins.get()
        await joins.get()


async def test_a_rejoin_without_an_answer_is_left_and_tried_again(play: Play) -> None:
    seen: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def ignore_one(side: Side) -> None:
        join = await side.accept()
        await side.send(join[0], join[0], "room:1", "phx_error", {})
        ignored = await side.receive("phx_join")
        left = await side.receive("phx_leave")
        assert left[0] == ignored[0]
        seen.put_nowait(await side.accept())
        await side.connection.wait_closed()

    client = await play(ignore_one, timeout=0.2)
    room = client.channel("room:1")
    await room.join()
    async with asyncio.timeout(PATIENCE):
        await seen.get()


async def test_frames_of_an_older_join_are_dropped(play: Play) -> None:
    async def stale(side: Side) -> None:
        await side.accept()
        for event in ("phx_close", "phx_error", "said"):
            await side.send("older", "older", "room:1", event, {})
        await side.reply(await side.receive("echo"))
        await side.connection.wait_closed()

    client = await play(stale)
    room = client.channel("room:1")
    await room.join()
    stream = room.events()
    assert (await room.push("echo")).ok
    assert room.state == "joined"
    stream.close()
    assert [event async for event in stream] == []


async def test_a_leave_without_an_answer_closes_all_the_same(play: Play) -> None:
    async def silent(side: Side) -> None:
        await side.accept()
        await side.receive("phx_leave")
        await side.connection.wait_closed()

    client = await play(silent)
    room = client.channel("room:1")
    await room.join()
    await room.leave(timeout=0.02)
    assert await room.wait_closed() == "left"


async def test_a_crash_while_leaving_does_not_join_again(play: Play) -> None:
    async def crash(side: Side) -> None:
        join = await side.accept()
        leave = await side.receive("phx_leave")
        await side.send(join[0], join[0], "room:1", "phx_error", {})
        await side.reply(leave)
        await side.reply(await side.receive("phx_join"))
        await side.connection.wait_closed()

    client = await play(crash)
    room = client.channel("room:1")
    await room.join()
    await room.leave()
    # The next frame that the server sees is this join, no rejoin of the other.
    assert await client.channel("room:2").join() is None
    assert room.state == "closed"


async def test_what_waited_is_lost_when_the_connection_goes_with_the_join(play: Play) -> None:
    async def accept_and_vanish(side: Side) -> None:
        await side.accept()
        side.connection.transport.abort()

    client = await play(accept_and_vanish, accept_and_wait, timeout=0.5)
    room = client.channel("room:1")
    join = asyncio.create_task(room.join(PATIENCE))
    await asyncio.sleep(0)
    with pytest.raises((Disconnected, PushTimeout)):
        await room.push("echo", timeout=0.5)
    await join


@pytest.mark.timeout(2 * PATIENCE)
async def test_a_join_before_the_loss_is_noticed_waits_for_the_next_connection(play: Play) -> None:
    vanish = asyncio.Event()

    async def wait_and_vanish(side: Side) -> None:
        await vanish.wait()
        side.connection.transport.abort()

    client = await play(wait_and_vanish, accept_and_wait)
    wire = client._wire  # pyright: ignore[reportPrivateUsage]
    assert wire is not None
    vanish.set()
    while wire.close_code is None:  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # from here on a send fails without waiting for anything
    assert client.connected, "the task that reads was not told yet"
    await client.channel("room:1").join()


async def test_a_close_of_the_server_fails_what_waits_for_a_reply(play: Play) -> None:
    async def close(side: Side) -> None:
        join = await side.accept()
        await side.receive("echo")
        await side.send(join[0], join[0], "room:1", "phx_close", {})
        await side.connection.wait_closed()

    client = await play(close)
    room = client.channel("room:1")
    await room.join()
    reading = asyncio.create_task(anext(room.events(), None))
    await asyncio.sleep(0)
    with pytest.raises(ChannelClosed, match="the server closed it"):
        await room.push("echo")
    assert await reading is None
