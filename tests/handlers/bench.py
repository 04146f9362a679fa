"""The gateway on a workbench: a provisioned project, workers and dashboards, without a network."""

import base64
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from channel_server.testing.client import ChannelClient, SocketClient, connect
from handlers.application import USER_MOUNT, WORKER_MOUNT, Application
from handlers.config import Settings
from schema.outcomes import Watch
from schema.work_orders import Created
from tests.schema.world import World, project, workflow

SECRET = "the workers' secret, long enough"
TIMEOUT = 5.0
MICROSECONDS = 1_795_216_548_000_000
CREDENTIAL = {"username": "ana", "password": "s3cr3t-value", "empty": "", "retries": 3}


@cache
def private_key() -> str:
    """One RSA key for all tests of a process."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return base64.b64encode(pem).decode()


def settings(database_url: str, **more: Any) -> Settings:
    """A configuration for tests: an embedded database, a free port, no drain window."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "worker_secret": SECRET,
        "worker_runs_private_key": private_key(),
        "credentials_key": base64.b64encode(b"k" * 32).decode(),
        "port": 0,
        "drain_window": 0.0,
        **more,
    }
    made = Settings(**values)
    made.check()
    return made


def project_with_credential(**more: Any) -> Any:
    """The small project, with a credential that its first job uses, and one that nobody uses."""
    flow = workflow()
    flow.jobs[0].credential = "shop-login"
    credentials = [
        SimpleNamespace(key="shop-login", name="shop-login", body=CREDENTIAL),
        SimpleNamespace(key="unused", name="unused", body={"token": "never handed out"}),
    ]
    values: dict[str, Any] = {"credentials": credentials, "workflows": [flow], **more}
    return project(**values)


@dataclass
class Run:
    """A run that a worker has joined."""

    id: UUID
    token: str
    channel: ChannelClient

    async def call(self, event: str, payload: Any = None) -> Any:
        """Push an event; the response of its ok reply."""
        return await self.channel.call(event, payload, timeout=TIMEOUT)

    async def refused(self, event: str, payload: Any = None) -> Any:
        """Push an event; the response of its error reply."""
        pushed = await self.channel.push(event, payload)
        return await self.channel.assert_reply(pushed, "error", timeout=TIMEOUT)


@dataclass
class Bench:
    """An application that is open, and everybody who talks to it."""

    app: Application
    world: World
    sockets: list[SocketClient] = field(default_factory=list[SocketClient])

    async def worker(self, name: str = "worker-1") -> SocketClient:
        """A connected worker, whose socket is known to the database."""
        token = self.app.gateway.worker_tokens.issue(name)
        socket = await self.connect_worker(token)
        await self.app.gateway.presence.settled(1.0)
        return socket

    async def connect_worker(self, token: str) -> SocketClient:
        """A connected worker with this token, whose socket is perhaps not known yet."""
        return await self.connect(WORKER_MOUNT, token)

    async def dashboard(self, *projects: UUID, role: Any = "viewer") -> SocketClient:
        """A connected dashboard; of the world's project if none is named."""
        seen = projects or (self.world.project.id,)
        token = self.app.gateway.user_tokens.issue("ana", seen, role, 3600)
        return await self.connect(USER_MOUNT, token)

    async def connect(self, mount: str, token: str) -> SocketClient:
        """A socket at a mount, by token."""
        socket = await connect(self.app.sockets[mount], {"token": token}, pubsub=self.app.pubsub)
        self.sockets.append(socket)
        return socket

    async def watch(self, run: Run | UUID) -> ChannelClient:
        """A dashboard that watches a run."""
        run_id = run.id if isinstance(run, Run) else run
        return await (await self.dashboard()).join(f"run:{run_id}", timeout=TIMEOUT)

    async def enqueue(self, **more: Any) -> Created:
        """A run that can be claimed, and the notice of it."""
        created = await self.world.enqueue(**more)
        self.app.gateway.queue_changed()
        return created

    async def claim(self, queue: ChannelClient, demand: int = 1, **more: Any) -> list[Any]:
        """What a claim is answered with."""
        response = await queue.call("claim", {"demand": demand, **more}, timeout=TIMEOUT)
        return response["runs"]

    async def claimed(self, worker: SocketClient | None = None, **more: Any) -> tuple[UUID, str]:
        """A run that a worker has claimed, and its token."""
        created = await self.enqueue(**more)
        queue = await (worker or await self.worker()).join("worker:queue")
        (offer,) = await self.claim(queue)
        assert offer["id"] == str(created.run_id)
        return created.run_id, offer["token"]

    async def join(self, run_id: UUID, token: str, worker: SocketClient | None = None) -> Run:
        """A worker on the channel of a run."""
        socket = worker or await self.worker()
        channel = await socket.join(f"run:{run_id}", {"token": token}, timeout=TIMEOUT)
        return Run(run_id, token, channel)

    async def run(self, worker: SocketClient | None = None, **more: Any) -> Run:
        """A run that a worker has claimed and joined."""
        socket = worker or await self.worker()
        return await self.join(*await self.claimed(socket, **more), socket)

    async def started(self, **more: Any) -> Run:
        """A run that a worker has started."""
        run = await self.run(**more)
        await run.call("run:start", {"timestamp": stamp()})
        return run

    async def state(self, run: Run | UUID) -> str:
        """The state of a run in the database."""
        row = await self.world.run(run.id if isinstance(run, Run) else run)
        return row["state"]

    async def has_watched(self) -> None:
        """Make the server a judge of absence: it has watched for a day, and needs no heartbeat."""
        presence = self.app.gateway.presence
        presence.watch = Watch(presence.server.id, 3600.0)
        assert await presence.beat()
        await self.world.rows(
            "UPDATE servers SET watching_since = now() - interval '1 day' WHERE id = $1",
            presence.server.id,
        )

    async def close(self) -> None:
        """Close what was connected."""
        for socket in self.sockets:
            await socket.close()


def stamp(offset: int = 0) -> str:
    """A timestamp as workers send it; `offset` in microseconds."""
    return str(MICROSECONDS + offset)
