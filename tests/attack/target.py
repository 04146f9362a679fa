"""The server under attack, what it logged, and everybody who talks to it."""

import io
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from channel_server.testing.client import ChannelClient, SocketClient, connect_url
from channel_server.testing.raw import RawClient
from handlers.application import Application
from tests.schema.world import World

HEARTBEAT: list[Any] = [None, "hb", "phoenix", "heartbeat", {}]
PATIENCE = 10.0
"""Seconds after which something that should have happened counts as missing."""


@dataclass
class Target:
    """One gateway with its default settings, on a real port.

    Attributes:
        app: The application.
        world: A provisioned project.
        waiting: Another one, whose webhook callers wait for the end of their run.
        lines: What was logged since the test began, one JSON object per line.
    """

    app: Application
    world: World
    waiting: World
    lines: io.StringIO = field(default_factory=io.StringIO)
    raws: list[RawClient] = field(default_factory=list[RawClient])
    sockets: list[SocketClient] = field(default_factory=list[SocketClient])

    @property
    def url(self) -> str:
        return self.app.endpoint.url

    def worker_token(self) -> str:
        return self.app.gateway.worker_tokens.issue("attacker")

    def user_token(self, *projects: UUID) -> str:
        seen = projects or (self.world.project.id,)
        return self.app.gateway.user_tokens.issue("mallory", seen, "viewer", 3600)

    async def tcp(self, **options: Any) -> RawClient:
        """A TCP connection on which nothing was sent yet."""
        endpoint = self.app.endpoint
        client = RawClient(endpoint.host, endpoint.port, timeout=PATIENCE, **options)
        await client.open()
        self.raws.append(client)
        return client

    def path(self, mount: str, *, vsn: str = "2.0.0") -> str:
        """The path of an upgrade request that is accepted."""
        token = self.worker_token() if mount == "worker" else self.user_token()
        return f"/{mount}/websocket?vsn={vsn}&token={token}"

    async def websocket(
        self, mount: str = "socket", *, vsn: str = "2.0.0", **options: Any
    ) -> RawClient:
        """An open websocket, frame by frame."""
        client = await self.tcp(**options)
        response = await client.upgrade(self.path(mount, vsn=vsn))
        assert response.status == 101, response
        return client

    async def worker(self) -> SocketClient:
        """A worker that behaves."""
        self.sockets.append(await connect_url(f"{self.url}/worker", {"token": self.worker_token()}))
        return self.sockets[-1]

    async def dashboard(self, *projects: UUID) -> SocketClient:
        """A dashboard that behaves."""
        token = self.user_token(*projects)
        self.sockets.append(await connect_url(f"{self.url}/socket", {"token": token}))
        return self.sockets[-1]

    async def run(self, worker: SocketClient | None = None) -> ChannelClient:
        """The channel of a run that a worker has claimed and joined."""
        socket = worker or await self.worker()
        created = await self.world.enqueue()
        self.app.gateway.queue_changed()
        queue = await socket.join("worker:queue")
        offers = (await queue.call("claim", {"demand": 100}))["runs"]
        token = next(o["token"] for o in offers if o["id"] == str(created.run_id))
        await queue.leave()
        return await socket.join(f"run:{created.run_id}", {"token": token})

    def log(self) -> list[dict[str, Any]]:
        """The log lines of this test."""
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    async def answers(self) -> None:
        """Check that fresh clients of every kind are served."""
        for mount in ("socket", "worker"):
            await alive(await self.websocket(mount))
        health = await (await self.tcp()).request("/healthz")
        assert health.status == 200, health

    async def close(self) -> None:
        """Close all clients."""
        for client in self.raws:
            await client.close()
        for socket in self.sockets:
            await socket.close()
        await self.world.rows(
            # In the order in which the gateway locks them, which may still be busy with some.
            "WITH open AS MATERIALIZED (SELECT id FROM runs"
            " WHERE state IN ('available', 'claimed', 'started') ORDER BY id FOR NO KEY UPDATE)"
            " UPDATE runs SET state = 'cancelled', finished_at = now() FROM open"
            " WHERE runs.id = open.id RETURNING runs.id"
        )
        self.raws.clear()
        self.sockets.clear()


async def alive(client: RawClient) -> None:
    """Check that this connection is served."""
    client.send_json(HEARTBEAT)
    assert (await client.json())[1] == "hb"


def complaints(lines: str) -> list[str]:
    """The lines that no client should be able to cause: errors and tracebacks."""
    found: list[str] = []
    for line in lines.splitlines():
        level = json.loads(line).get("level")
        if level in ("error", "critical") or "Traceback" in line:
            found.append(line)
    return found
