"""A dashboard that reads slowly, over a real socket, while a run goes on."""

from itertools import pairwise
from typing import Any, cast

from channel_server.testing.raw import RawClient
from handlers.application import Application
from schema.repo import Statement
from tests.handlers.bench import Bench, project_with_credential, stamp
from tests.schema.world import World

LINE = "x" * 60_000


async def watch(bench: Bench, client: RawClient, topic: str) -> None:
    token = bench.app.gateway.user_tokens.issue("ana", (bench.world.project.id,), "viewer", 600)
    answer = await client.upgrade(f"/socket/websocket?vsn=2.0.0&token={token}")
    assert answer.status == 101
    client.send_json(["1", "1", topic, "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"


def versions(event: str, payload: dict[str, Any]) -> range:
    """The versions that an event tells of."""
    if event == "logs:available":
        return range(payload["after"] + 1, payload["until"] + 1)
    return range(payload["version"], payload["version"] + 1)


async def test_a_slow_dashboard_gets_references_and_the_newest_state_and_misses_no_line(
    live_app: Application,
) -> None:
    bench = Bench(live_app, await World.create(live_app.repo, project_with_credential()))
    run = await bench.run()
    endpoint = live_app.endpoint
    slow = live_app.metrics.slow_clients
    async with RawClient(endpoint.host, endpoint.port, receive_buffer=4096, timeout=30) as client:
        await watch(bench, client, f"run:{run.id}")
        client.stop_reading()
        number = 0
        while not slow or number % 5:
            await run.call("run:log", {"message": LINE, "timestamp": stamp(number)})
            number += 1
        await run.call("run:start", {"timestamp": stamp()})
        await run.call("run:complete", {"reason": "success"})
        waiting = max(queue.queued_bytes() for queue in slow)
        assert waiting <= live_app.settings.user_send_queue_bytes
        client.read_again()
        told: list[tuple[str, Any]] = []
        while not told or told[-1][1].get("run", {}).get("state") != "success":
            _, _, _, event, payload = cast("list[Any]", await client.json())
            if event != "run:remark":  # no change of the run: it has no version
                told.append((event, payload))
    events = [event for event, _ in told]
    assert "logs:available" in events
    assert events.count("run:updated") == 1  # started was left out
    spans = [versions(event, payload) for event, payload in told]
    assert all(one[-1] < two[0] for one, two in pairwise(spans))
    seen = {n for event, payload in told if "logs" in event for n in versions(event, payload)}
    stored = await live_app.repo.fetch(Statement("test.lines", "SELECT version FROM log_lines"))
    assert isinstance(stored, list)
    assert {row["version"] for row in stored} <= seen
    await bench.close()
