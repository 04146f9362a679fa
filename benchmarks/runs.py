"""Whole runs: workers report runs that they have claimed, dashboards watch the project."""

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import migrations
from benchmarks.loop import Loop, quantile
from benchmarks.process import Server, running
from benchmarks.report import Figures
from benchmarks.walking import Run, Worker
from benchmarks.wire import Peer, PeerError
from handlers.config import Settings
from handlers.run_tokens import RunTokens, UserTokens, WorkerTokens
from handlers.spec import ProjectSpec, parse_spec
from schema import projects, queue, work_orders
from schema.crypto import Cipher
from schema.embedded import EmbeddedPostgres
from schema.refused import Refused
from schema.repo import Repo
from schema.work_orders import NewWorkOrder

FASTEST: Final = 900
"""Runs per second that are prepared for; a faster server runs out of them."""

_FOLDER: Final = Path(".channel_server") / "bench-postgres"
_HOUR: Final = 3600.0
_BATCH: Final = 100


class _Stored(msgspec.Struct, frozen=True):
    project: UUID
    trigger: UUID
    job: UUID


class Stage:
    """A gateway, its database, and runs to walk.

    Args:
        server: The gateway.
        settings: Its configuration.

    Attributes:
        server: The gateway.
        dsn: URL of its database.
    """

    def __init__(self, server: Server, settings: Settings) -> None:
        self.server = server
        self.dsn = settings.database_url
        self._settings = settings
        self._cipher = Cipher(settings.credential_key())
        self._stored = asyncio.run(self._provision())

    def walk(
        self,
        workers: int,
        dashboards: int,
        seconds: float,
        *,
        begin: Callable[[], None] = lambda: None,
    ) -> Figures:
        """Let workers walk runs for some seconds; ``begin`` is called when they are measured."""
        pending = iter(self.claimed(int(FASTEST * (seconds + 1))))
        walking = {peer: Worker(peer) for peer in self.workers(workers)}
        watching = self.dashboards(dashboards)

        def received(peer: Peer, size: int) -> None:
            worker = walking.get(peer)
            if worker is not None and worker.received(loop.data[:size]):
                worker.done += 1
                next_run(worker)

        def next_run(worker: Worker) -> None:
            run = next(pending, None)
            if run is None:
                raise PeerError("all prepared runs are walked: raise FASTEST")
            worker.walk(run)

        loop = Loop([*walking, *watching], received)
        for worker in walking.values():
            next_run(worker)
        loop.run(time.monotonic() + 1)
        for worker in walking.values():
            worker.times.clear()
        begin()
        done, cpu, began = self._done(walking), self.server.cpu(), time.perf_counter()
        loop.run(time.monotonic() + seconds)
        elapsed = time.perf_counter() - began
        done, cpu = self._done(walking) - done, self.server.cpu() - cpu
        loop.close()
        times = [value for worker in walking.values() for value in worker.times]
        return Figures(
            rate=done / elapsed,
            p50_ms=quantile(times, 0.5) * 1e3,
            p99_ms=quantile(times, 0.99) * 1e3,
            cpu_us=cpu / done * 1e6,
        )

    def user_token(self) -> str:
        """A token of somebody who may watch the project."""
        tokens = UserTokens(self._settings.user_key())
        return tokens.issue("benchmark", [self._stored.project], "viewer", _HOUR)

    def worker_token(self, name: str) -> str:
        """A token of a worker."""
        return WorkerTokens(self._settings.worker_secret).issue(name)

    def claimed(self, count: int) -> list[Run]:
        """So many new runs, claimed."""
        return asyncio.run(self._claim(count))

    @staticmethod
    def _done(walking: dict[Peer, Worker]) -> int:
        return sum(worker.done for worker in walking.values())

    def workers(self, count: int) -> list[Peer]:
        """Connections of so many workers."""
        path = "/worker/websocket?api_version=1.2&vsn=2.0.0&token="
        tokens = [self.worker_token(f"worker-{n}") for n in range(count)]
        return [Peer(self.server.port, path + token) for token in tokens]

    def dashboards(self, count: int) -> list[Peer]:
        """Connections of so many dashboards, which watch the project."""
        path = f"/socket/websocket?token={self.user_token()}&vsn=2.0.0"
        peers = [Peer(self.server.port, path) for _ in range(count)]
        for peer in peers:
            peer.join(f"project:{self._stored.project}")
        return peers

    async def _provision(self) -> _Stored:
        repo = await Repo.connect(self._settings.database_url, max_size=2)
        try:
            stored = await projects.provision(repo, _project(), self._cipher)
        finally:
            await repo.close()
        if isinstance(stored, Refused):
            raise PeerError(str(stored))
        workflow = stored.workflows[0]
        return _Stored(stored.id, workflow.triggers["webhook"], workflow.jobs["job"])

    async def _claim(self, count: int) -> list[Run]:
        """Create runs and claim them."""
        repo = await Repo.connect(self._settings.database_url, max_size=8)
        tokens = RunTokens(self._settings.private_key_pem())
        try:
            for start in range(0, count, _BATCH):
                many = range(start, min(start + _BATCH, count))
                await asyncio.gather(*(self._create(repo) for _ in many))
            claimed: list[Run] = []
            job = self._stored.job
            while len(claimed) < count:
                claims = await queue.claim(repo, _BATCH, "benchmark", "benchmark")
                if isinstance(claims, Refused) or not claims.runs:
                    raise PeerError(f"cannot claim: {claims}")
                claimed += [Run(run.id, tokens.issue(run.owner, _HOUR), job) for run in claims.runs]
            return claimed
        finally:
            await repo.close()

    async def _create(self, repo: Repo) -> None:
        created = await work_orders.create(
            repo,
            NewWorkOrder(
                trigger_id=self._stored.trigger, dataclip_type="http_request", body='{"number":1}'
            ),
        )
        if isinstance(created, Refused):
            raise PeerError(str(created))


@contextlib.contextmanager
def gateway(
    module: str = "benchmarks.gateway_server", more: Mapping[str, str] | None = None
) -> Generator[Stage]:
    """A durable PostgreSQL and a gateway, for as long as the block runs.

    Args:
        module: The program that is the gateway.
        more: What else is in its environment.
    """
    postgres = EmbeddedPostgres(_FOLDER)
    postgres.start()
    try:
        url = postgres.dsn()
        asyncio.run(migrations.up(url))
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        environment = {
            "DATABASE_URL": url,
            "WORKER_SECRET": secrets.token_urlsafe(32),
            "WORKER_RUNS_PRIVATE_KEY": base64.b64encode(key).decode(),
            "CHANNEL_SERVER_PORT": "0",
            # Runs are claimed long before they are walked.
            "CHANNEL_SERVER_UNHEARD_CLAIM_AFTER": str(_HOUR),
        }
        with running(module, {**environment, **(more or {})}) as server:
            yield Stage(server, Settings.load(environment))
    finally:
        postgres.stop()
        postgres.destroy()


def _project() -> ProjectSpec:
    return parse_spec(
        """
name: benchmark
workflows:
  workflow:
    name: workflow
    jobs:
      job: {name: job, adaptor: none@latest, body: log('x')}
    triggers:
      webhook: {type: webhook, enabled: true}
    edges:
      webhook->job: {source_trigger: webhook, target_job: job, condition_type: always}
""",
        file="benchmark.yaml",
    )
