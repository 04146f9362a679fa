"""``workers list``: for people and for programs."""

import json

import pytest

from channel_server.testing.client import connect_url
from handlers.application import Application
from tests.handlers.cli_bench import cli, variables


async def test_workers_are_listed_with_what_they_hold(
    live_app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables(live_app.settings).items():
        monkeypatch.setenv(name, value)
    params = {"token": live_app.gateway.worker_tokens.issue("w-1"), "worker_version": "1.25.0"}
    worker = await connect_url(f"{live_app.endpoint.url}/worker", params)
    queue = await worker.join("worker:queue", {"capacity": 4})
    await queue.call("claim", {"demand": 1, "worker_name": "pod-7"})
    await live_app.gateway.presence.settled(5.0)
    shown = await cli("workers", "list")
    assert shown.code == 0, shown.err
    for part in ("w-1", "pod-7", "online", "0/4", "1.25.0"):
        assert part in shown.out
    listed = json.loads((await cli("workers", "list", "--json")).out)["workers"]
    assert [(each["id"], each["online"], each["runs"]) for each in listed] == [("w-1", True, [])]
    await worker.peer.abort()
    await live_app.gateway.presence.settled(5.0)
    assert "gone" in (await cli("workers", "list")).out
