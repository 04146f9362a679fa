"""Too many topics, topics of others, and topics that are expensive to look at."""

import asyncio
import time
from uuid import UUID, uuid4

import pytest

from channel_server.testing.raw import TEXT
from handlers.revocations import USER_TOPIC
from tests.attack.target import HEARTBEAT, PATIENCE, Target, alive

KIB = 1024


async def test_a_connection_joins_no_more_than_100_topics_and_is_told(target: Target) -> None:
    projects = [uuid4() for _ in range(110)]
    dashboard = await target.dashboard(*projects[:100])
    for project in projects[:100]:
        await dashboard.join(f"project:{project}")
    more = dashboard.channel(f"run:{uuid4()}")
    pushed = await more.push("phx_join")
    await more.assert_reply(pushed, "error", {"reason": "too many channels joined"})


async def test_ten_thousand_joins_at_once_are_all_answered_and_none_holds_a_topic(
    target: Target,
) -> None:
    client = await target.websocket()
    most = 0
    for start in range(0, 10_000, 1_000):
        for ref in range(start, start + 1_000):
            client.send_json([str(ref), str(ref), f"run:{UUID(int=ref)}", "phx_join", {}])
        seen: set[str] = set()
        while len(seen) < 1_000:
            answer = await client.json()
            assert answer[4]["status"] == "error"
            assert answer[4]["response"]["reason"] in (
                "not_found",
                "too many channels joined",
                "rate_limited",
            )
            seen.add(answer[1])
            most = max(most, *(len(c.topics()) for c in target.app.endpoint.connections()))
    assert most <= 100
    await alive(client)


async def test_joining_and_leaving_one_topic_without_pause_leaks_nothing(target: Target) -> None:
    topic = f"project:{target.world.project.id}"
    client = await target.websocket()
    for ref in range(0, 3_000, 2):
        client.send_json([str(ref), str(ref), topic, "phx_join", {}])
        client.send_json([str(ref), str(ref + 1), topic, "phx_leave", {}])
    client.send_json([None, "end", "phoenix", "heartbeat", {}])
    while (await client.json())[1] != "end":
        pass
    (connection,) = [
        c for c in target.app.endpoint.connections() if str(c.id).startswith(USER_TOPIC)
    ]
    async with asyncio.timeout(PATIENCE):
        while connection.topics() or target.app.pubsub.subscribers(topic):
            client.send_json(HEARTBEAT)
            while (await client.json())[1] != "hb":
                pass


async def test_rejoining_one_topic_without_pause_keeps_one(target: Target) -> None:
    topic = f"project:{target.world.project.id}"
    client = await target.websocket()
    for ref in range(1_000):
        client.send_json([str(ref), str(ref), topic, "phx_join", {}])
    client.send_json([None, "end", "phoenix", "heartbeat", {}])
    seen: set[str] = set()
    while not seen >= {"end", "999"}:
        seen.add((await client.json())[1])
    assert target.app.pubsub.subscribers(topic) == 1


@pytest.mark.parametrize("fill", ["eyJ", "-eyJ", "token", "token=", "bearer ", "secret[", "eyJ."])
@pytest.mark.parametrize("prefix", ["run:", "project:", "nowhere:"])
async def test_a_long_topic_is_logged_in_short_and_at_once(
    target: Target, prefix: str, fill: str
) -> None:
    client = await target.websocket()
    topic = prefix + fill * (60_000 // len(fill))
    started = time.process_time()
    client.send_json(["1", "9", topic, "phx_join", {}])
    assert (await client.json())[1] == "9"
    assert time.process_time() - started < 0.2
    assert max(map(len, target.lines.getvalue().splitlines())) < 4 * KIB


async def test_a_topic_of_megabytes_on_the_worker_socket_is_logged_in_short(target: Target) -> None:
    client = await target.websocket("worker")
    started = time.process_time()
    client.send_json(["1", "9", "run:" + "eyJ" * 2_000_000, "phx_join", {}])
    assert (await client.json())[1] == "9"
    assert time.process_time() - started < 1.0
    assert max(map(len, target.lines.getvalue().splitlines())) < 4 * KIB


@pytest.mark.parametrize("form", ["{{{}}}", "urn:uuid:{}", " {}", "{}\0", "{}/", "0{}"])
async def test_another_spelling_of_an_id_is_not_another_way_in(target: Target, form: str) -> None:
    client = await target.websocket()
    topic = f"project:{form.format(target.world.project.id)}"
    client.send_json(["1", "9", topic, "phx_join", {}])
    answer = await client.json()
    assert answer[4] == {"status": "error", "response": {"reason": "unauthorized"}}


async def test_nobody_disconnects_others_by_their_topic(target: Target) -> None:
    victim, attacker = await target.websocket(), await target.websocket()
    for event in ("phx_join", "disconnect"):
        attacker.send_json(["1", "9", "user_socket:mallory", event, {}])
        assert (await attacker.json())[4]["status"] == "error"
    await alive(victim)


async def test_events_of_a_topic_never_joined_change_nothing(target: Target) -> None:
    created = await target.world.enqueue()
    before = await target.world.contents()
    client = await target.websocket("worker")
    events = ("run:start", "run:complete", "run:log", "step:start", "fetch:plan", "phx_close")
    for event in events:
        client.send_json([None, "9", f"run:{created.run_id}", event, {"reason": "success"}])
        assert (await client.json())[4]["response"] == {"reason": "unmatched topic"}
    assert await target.world.contents() == before


async def test_binary_joins_and_events_are_no_way_around(target: Target) -> None:
    created = await target.world.enqueue()
    client = await target.websocket("worker")
    topic = f"run:{created.run_id}".encode()
    head = bytes([0, 1, 1, len(topic), 8]) + b"19" + topic + b"phx_join"
    client.send(2, head + b'{"token":"x"}')
    answer = await client.json()
    assert answer[4] == {"status": "error", "response": {"reason": "unauthorized"}}
    client.send(TEXT, b'[null,"hb","phoenix","heartbeat",{}]')
    assert (await client.json())[1] == "hb"
