"""A network that repeats, tears and swallows, and text made of newlines: one effect each."""

import asyncio
from typing import Any

import pytest

from channel_server.testing.client import ChannelClient, connect_url
from channel_server.testing.proxy import FaultProxy
from channel_server.testing.raw import RawClient
from tests.attack.target import PATIENCE, Target, alive
from tests.channel_server.test_wire_fairness import RoomSocket, message
from tests.handlers.bench import stamp
from tests.waiting import until

NEWLINES = "\n" * 1_000_000


async def lines_of(target: Target, run: ChannelClient) -> list[str]:
    rows = await target.world.rows(
        "SELECT message FROM log_lines WHERE run_id = $1 ORDER BY version",
        run.topic.removeprefix("run:"),
    )
    return [row["message"] for row in rows]


async def run_through(target: Target, proxy: FaultProxy) -> ChannelClient:
    url = f"ws://127.0.0.1:{proxy.port}/worker"
    worker = await connect_url(url, {"token": target.worker_token()})
    target.sockets.append(worker)
    return await target.run(worker)


async def test_a_message_that_the_network_repeats_has_one_effect(target: Target) -> None:
    endpoint = target.app.endpoint
    async with FaultProxy(endpoint.host, endpoint.port, websockets=True) as proxy:
        run = await run_through(target, proxy)
        events: list[tuple[str, dict[str, Any]]] = [
            ("run:start", {"timestamp": stamp()}),
            ("run:log", {"message": "twice", "timestamp": stamp()}),
            ("run:complete", {"reason": "success", "timestamp": stamp(1)}),
        ]
        for event, payload in events:
            proxy.to_server.duplicate_frames = 1
            await run.call(event, payload, timeout=PATIENCE)
        assert await lines_of(target, run) == ["twice"]
        told = await target.world.rows(
            "SELECT event FROM run_events WHERE run_id = $1 ORDER BY version",
            run.topic.removeprefix("run:"),
        )
        assert [row["event"] for row in told].count("run:updated") == 3  # claimed, started, success


async def test_repeated_bytes_tear_the_stream_of_their_sender_only(target: Target) -> None:
    endpoint = target.app.endpoint
    other = await target.websocket("socket")
    async with FaultProxy(endpoint.host, endpoint.port) as proxy:
        client = RawClient("127.0.0.1", proxy.port, timeout=PATIENCE)
        async with client:
            assert (await client.upgrade(target.path("worker"))).status == 101
            proxy.to_server.duplicate = 1
            client.write(b"\x01")  # comes twice: a frame that is not masked
            await client.ended()
    await alive(other)


async def test_a_connection_cut_in_the_middle_of_any_frame_leaves_nothing(target: Target) -> None:
    endpoint = target.app.endpoint
    async with FaultProxy(endpoint.host, endpoint.port) as proxy:
        for after in range(1, 40, 3):
            client = RawClient("127.0.0.1", proxy.port, timeout=PATIENCE)
            async with client:
                assert (await client.upgrade(target.path("socket"))).status == 101
                proxy.to_server.cut_after = after
                client.send_json([None, "hb", "phoenix", "heartbeat", {"x": "y" * 40}])
                await client.ended()
    await until(lambda: not endpoint.connections())


async def test_a_megabyte_of_newlines_is_one_log_line(target: Target) -> None:
    run = await target.run()
    await run.call("run:log", {"message": NEWLINES, "timestamp": stamp()}, timeout=PATIENCE)
    (stored,) = await lines_of(target, run)
    assert stored == NEWLINES


@pytest.mark.parametrize("name", ["Last-Event-ID", "X-Request-Id", "Origin", "Authorization"])
async def test_newlines_in_a_header_of_an_event_stream_are_refused(
    target: Target, name: str
) -> None:
    client = await target.tcp()
    client.write(
        f"GET /api/runs/x/events HTTP/1.1\r\nHost: x\r\n{name}: 1\n\n\n\n\r\n\r\n".encode()
    )
    head = await client.reader.readline()
    assert head.split()[1] in (b"400", b"401", b"404")


@pytest.mark.parametrize("since", ["%0A" * 2000, "%00", "%ff", "-1", "9" * 5000, "[1]", "%F0%9F"])
async def test_an_odd_cursor_of_an_event_stream_is_refused(target: Target, since: str) -> None:
    client = await target.tcp()
    project = target.world.project.id
    path = f"/api/projects/{project}/events?since={since}"
    token = target.user_token()
    answer = await client.request(path, [("Authorization", f"Bearer {token}")])
    assert 400 <= answer.status < 500


@pytest.mark.parametrize("word", ["__proto__", "constructor", "toString", "hasOwnProperty"])
async def test_prototype_words_are_topics_and_events_like_any_other(
    target: Target, word: str
) -> None:
    client = await target.websocket("socket")
    client.send_json(["1", "1", word, "phx_join", {}])
    answer = await client.json()
    assert answer[2:4] == [word, "phx_reply"]
    assert answer[4]["status"] == "error"
    client.send_json(["1", "2", "phoenix", word, {}])
    assert (await client.json())[4]["status"] == "error"
    await alive(client)


async def test_a_flood_does_not_delay_the_drain_of_the_flooder(serve: Any) -> None:
    endpoint = await serve(RoomSocket, close_timeout=0.2)
    client = RawClient(endpoint.host, endpoint.port, timeout=PATIENCE)
    async with client:
        assert (await client.upgrade("/socket/websocket?vsn=2.0.0")).status == 101
        client.write(b"".join(message("room:none", "quick", n) for n in range(20_000)))
        client.stop_reading()
        await asyncio.wait_for(endpoint.stop(), PATIENCE)
        assert endpoint.connections() == []
