"""Stopping an endpoint: phoenix-protocol section 7.1, with the deviations of 15.4."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.socket import Route, Socket
from channel_server.testing.raw import CLOSE, TEXT, RawClient

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


class Room(Channel):
    release: ClassVar[asyncio.Event]
    started: ClassVar[asyncio.Event]
    terminated: ClassVar[list[str]]

    def join(self, payload: Any) -> None:
        del payload

    @on("slow")
    async def slow(self, payload: Any) -> Reply:
        self.started.set()
        await self.release.wait()
        return ok(payload)

    def terminate(self, reason: str) -> None:
        self.terminated.append(reason)


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


@pytest.fixture(autouse=True)
def fresh() -> None:
    Room.release, Room.started = asyncio.Event(), asyncio.Event()
    Room.terminated = []


async def join(client: RawClient) -> None:
    client.send_json(["1", "1", "room:1", "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"


async def answer_close(client: RawClient) -> int:
    frame = await client.closed()
    client.send(CLOSE, frame.payload)
    await client.ended()
    return frame.close_code


async def test_a_drained_client_is_closed_with_1012_and_no_phx_close_or_phx_error(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    await join(client)
    stopping = asyncio.ensure_future(endpoint.stop())
    assert await answer_close(client) == 1012
    await stopping
    assert Room.terminated == ["draining"]


async def test_a_client_without_channels_is_drained_too(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    stopping = asyncio.ensure_future(endpoint.stop())
    assert await answer_close(client) == 1012
    await stopping


async def test_what_is_being_handled_is_answered_before_the_close(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "slow", {"n": 1}])
    await Room.started.wait()
    stopping = asyncio.ensure_future(endpoint.stop())
    await until(lambda: endpoint.draining)
    Room.release.set()
    assert (await client.json())[4] == {"status": "ok", "response": {"n": 1}}
    assert await answer_close(client) == 1012
    await stopping


async def test_a_handler_that_does_not_finish_delays_the_close_by_the_grace_only(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket, shutdown_grace=0.2)
    client = await websocket(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "slow", {}])
    await Room.started.wait()
    stopping = asyncio.ensure_future(endpoint.stop())
    assert await answer_close(client) == 1012
    await asyncio.wait_for(stopping, 5)
    Room.release.set()


async def test_new_clients_are_refused_with_503_while_draining(
    serve: Serve, websocket: Open, raw: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket)
    client, late = await websocket(endpoint), await raw(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "slow", {}])
    await Room.started.wait()
    stopping = asyncio.ensure_future(endpoint.stop())
    await until(lambda: endpoint.draining)
    answer = await late.upgrade("/socket/websocket?vsn=2.0.0")
    assert (answer.status, answer.body) == (503, "server is shutting down")
    Room.release.set()
    await client.json()
    await answer_close(client)
    await stopping


async def test_nothing_received_after_the_drain_began_is_handled(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "slow", {}])
    await Room.started.wait()
    stopping = asyncio.ensure_future(endpoint.stop())
    await until(lambda: endpoint.draining)
    client.send(TEXT, b'[null,"1","phoenix","heartbeat",{}]')
    Room.release.set()
    assert (await client.json())[1] == "2"
    assert await answer_close(client) == 1012
    await stopping


async def test_the_closes_are_spread_over_the_window(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(RoomSocket, endpoint={"drain_window": 0.5})
    clients = [await websocket(endpoint) for _ in range(40)]
    loop = asyncio.get_running_loop()

    async def closing(client: RawClient) -> float:
        assert await answer_close(client) == 1012
        return loop.time()

    waiting = [asyncio.ensure_future(closing(client)) for client in clients]
    await endpoint.stop()
    times = sorted([await waiter for waiter in waiting])
    assert 0.8 * 0.5 <= times[-1] - times[0] < 2.0
    # No batch is more than a tenth of all.
    assert all(later - earlier > 0 for earlier, later in zip(times[::5], times[5::5], strict=False))


async def test_stop_is_bounded_even_if_clients_ignore_the_close(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket, endpoint={"stop_timeout": 0.2})
    client = await websocket(endpoint)
    await asyncio.wait_for(endpoint.stop(), 5)
    assert (await client.closed()).close_code == 1012
    await client.ended()


async def test_stop_without_drain_does_not_wait_for_handlers(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "slow", {}])
    await Room.started.wait()
    stopping = asyncio.ensure_future(endpoint.stop(drain=False))
    assert await answer_close(client) == 1012
    await stopping
    Room.release.set()


async def test_stop_may_be_called_twice_and_before_start(serve: Serve) -> None:
    never = Endpoint([])
    await never.stop()
    endpoint = await serve(RoomSocket)
    await asyncio.gather(endpoint.stop(), endpoint.stop())
    await endpoint.stop()
    assert not endpoint.draining
    assert endpoint.connections() == []


async def test_close_code_1000_cannot_be_sent(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(RoomSocket)
    await websocket(endpoint)
    (connection,) = endpoint.connections()
    with pytest.raises(ValueError, match="1000"):
        connection.transport.close(1000, "bye")
