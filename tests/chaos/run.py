"""One chaos run: load and troubles for some seconds, peace, and the verdict."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from handlers.application import USER_MOUNT, WORKER_MOUNT
from handlers.run_tokens import UserTokens, WorkerTokens
from schema.repo import Repo
from tests.chaos import ingests
from tests.chaos.checker import Checker, Stored
from tests.chaos.cluster import Cluster, Server
from tests.chaos.dashboards import Dashboard
from tests.chaos.history import History
from tests.chaos.load import Worker, call_webhook
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import SERVERS, Plan
from tests.plain_http import PLAIN
from tests.schema.world import World
from tests.waiting import left_since

CALM: Final = 45.0
"""Seconds in which everything must have come to its end after the last trouble."""

MEMORY: Final = 64 * 1024
"""KiB that a server may have gained over the whole run."""

_LEFT = """SELECT (SELECT count(*) FROM runs WHERE state IN ('available', 'claimed', 'started'))
  + (SELECT count(*) FROM steps WHERE finished_at IS NULL)
  + (SELECT count(*) FROM pipeline_jobs WHERE state <> 'FINISHED')"""
CONNECTIONS = ("channel_server_connections{", "channel_server_connections ")
_SESSIONS = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Wait until something holds; False if it does not in time."""
    end = asyncio.get_running_loop().time() + seconds
    while not await holds():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.2)
    return True


def is_error(line: str) -> bool:
    """Whether a line of a server's log is an error, or a traceback that no logger has seen.

    A job whose owners were all killed is given up, which is for people to look at.
    """
    given_up = '"event": "jobs_abandoned"' in line
    return ('"level": "error"' in line and not given_up) or line.startswith("Traceback")


@dataclass
class Verdict:
    """What a run found.

    Attributes:
        violations: Sentences, none if all is well.
        summary: What happened, in numbers.
    """

    violations: list[str] = field(default_factory=list[str])
    summary: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class Resources:
    """What a server process holds."""

    pid: int
    sockets: int
    memory: int

    @classmethod
    def of(cls, server: Server) -> "Resources":
        """Look at a process."""
        folder = Path(f"/proc/{server.pid}")
        targets = [link.readlink().name for link in (folder / "fd").iterdir() if link.is_symlink()]
        status = (folder / "status").read_text().splitlines()
        memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        return cls(server.pid, sum(name.startswith("socket:") for name in targets), memory)


class Chaos:
    """Plays one plan on a cluster of its own.

    Args:
        plan: What the seed means.
        folder: Where database and logs are.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.history = History()
        self.cluster = Cluster(folder)
        self.nemesis = Nemesis(self.cluster, plan)
        self.workers: list[Worker] = []
        self.dashboards: list[Dashboard] = []
        self._verdict = Verdict()

    async def play(self) -> Verdict:
        """Play, wait for the end of all runs, and check."""
        others = asyncio.all_tasks()
        async with self.cluster.running():
            world = await self._provision()
            before = [Resources.of(server) for server in self.cluster.servers]
            totals = await ingests.read_totals(self.cluster)
            await self._load(world)
            stored = await Stored.read(self.cluster)
            stored.totals = totals, await ingests.read_totals(self.cluster)
            watches = [watch for each in self.dashboards for watch in each.watches.values()]
            self._verdict.violations += Checker(self.history, stored).check(watches)
            for dashboard in self.dashboards:
                await dashboard.close()
            await self._afterwards(before)
            self._summarise(stored)
        left = await left_since(others)
        self._expect(not left, f"8: tasks of clients are left: {left}")
        return self._verdict

    async def _provision(self) -> World:
        repo = await Repo.connect(self.cluster.settings.database_url, min_size=1, max_size=1)
        try:
            world = await World.create(repo)
        finally:
            await repo.close()
        await ingests.provision(self.cluster)
        return world

    async def _load(self, world: World) -> None:
        self._make_clients(world)
        async with asyncio.TaskGroup() as group:
            opening = [group.create_task(each.open()) for each in self.dashboards]
            await asyncio.wait(opening)
            working = [group.create_task(worker.work()) for worker in self.workers]
            calling = group.create_task(self._call(world))
            random, seconds = self.plan.random("pipelines"), self.plan.seconds
            dispatching = group.create_task(
                ingests.dispatch(self.cluster, random, self.history, seconds)
            )
            await self.nemesis.run()
            await calling
            await dispatching
            await self._peace()
            await ingests.repair(self.cluster, self.history)
            await self._peace()
            for worker in self.workers:
                worker.stop()
            await asyncio.wait(working)
        await self._equal()

    def _make_clients(self, world: World) -> None:
        given, plan = self.cluster.settings, self.plan
        workers, users = WorkerTokens(given.worker_secret), UserTokens(given.user_key())
        for number, server in enumerate(self.cluster.servers):
            address = f"ws://127.0.0.1:{server.clients.port}"
            for each in range(plan.workers):
                name = f"worker-{number}-{each}"
                self.workers.append(
                    Worker(
                        name,
                        address + WORKER_MOUNT,
                        workers.issue(name),
                        str(world.job),
                        plan.random(name),
                        self.history,
                    )
                )
            for _ in range(plan.dashboards):
                token = users.issue("ana", [world.project.id], "viewer", 86_400)
                self.dashboards.append(Dashboard(address + USER_MOUNT, token, world.project.id))

    async def _call(self, world: World) -> None:
        trigger, random = world.workflow().triggers["webhook"], self.plan.random("callers")
        loop = asyncio.get_running_loop()
        until, number = loop.time() + self.plan.seconds, 0
        async with asyncio.TaskGroup() as group:
            while loop.time() < until:
                server = self.cluster.servers[random.randrange(SERVERS)]
                url = f"http://127.0.0.1:{server.clients.port}/i/{trigger}"
                group.create_task(call_webhook(url, self.history, {"number": number}))
                number += 1
                await asyncio.sleep(self.plan.interval * random.uniform(0.5, 1.5))

    async def _peace(self) -> None:
        """Every server lives, and every run comes to its end within the time for it."""
        for server in self.cluster.servers:
            await server.listening()

        async def calm() -> bool:
            return not (await self.cluster.fetch(_LEFT))[0][0]

        if not await until(calm, CALM):
            left = await self.cluster.fetch(
                "SELECT id, state, claimed_at, joined_at, worker_name FROM runs"
                " WHERE state IN ('available', 'claimed', 'started') LIMIT 5"
            )
            self._verdict.violations.append(f"8: the queue is not empty after {CALM} s: {left}")

    async def _equal(self) -> None:
        """Dashboards get a moment to hear the last of it; what they believe then is judged."""
        rows = await self.cluster.fetch("SELECT id::text, version FROM runs")
        last = {row["id"]: row["version"] for row in rows}
        watches = [watch for each in self.dashboards for watch in each.watches.values()]

        async def told() -> bool:
            return all(w.version and (w.told or [0])[-1] >= last[w.run] for w in watches)

        await until(told, 8)

    async def _afterwards(self, before: list[Resources]) -> None:
        """Invariant 8: nothing is left of all that."""
        settings = self.cluster.settings
        most = SERVERS * (2 * settings.database_pool_size + 4)
        sessions = (await self.cluster.fetch(_SESSIONS))[0][0]
        self._expect(sessions <= most, f"8: {sessions} sessions of PostgreSQL, at most {most}")
        for server, then in zip(self.cluster.servers, before, strict=True):
            await self._closed(server)
            now = Resources.of(server)
            pool = 2 * settings.database_pool_size
            self._expect(
                now.sockets <= then.sockets + pool,
                f"8: server {server.number} had {then.sockets} sockets and has {now.sockets}",
            )
            self._expect(
                now.memory <= then.memory + MEMORY,
                f"8: server {server.number} had {then.memory} KiB and has {now.memory}",
            )

    async def _closed(self, server: Server) -> None:
        """Wait until the server counts no websocket any more."""
        url = f"http://127.0.0.1:{server.port}/metrics"
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN, timeout=5) as client:

            async def closed() -> bool:
                text = (await client.get(url)).text
                lines = [x for x in text.splitlines() if x.startswith(CONNECTIONS)]
                assert lines, "the server counts its connections"
                return all(float(line.split()[-1]) == 0 for line in lines)

            if not await until(closed, 10):
                self._expect(False, f"8: server {server.number} still counts connections")

    def _expect(self, holds: bool, sentence: str) -> None:
        if not holds:
            self._verdict.violations.append(sentence)

    def _summarise(self, stored: Stored) -> None:
        exits = [code for server in self.cluster.servers for code in server.exits]
        self._expect(not any(exits), f"8: servers that were asked to stop exited with {exits}")
        errors = [line for line in self.cluster.said() if is_error(line)]
        self._expect(not errors, f"8: {len(errors)} errors in the logs: {errors[:3]}")
        self._verdict.summary = {
            "seed": self.plan.seed,
            "troubles": dict(self.nemesis.done),
            "left_out": sorted(self.nemesis.left_out),
            **self.history.summary(),
            "states": dict(Counter(row["state"] for row in stored.runs.values())),
            "recovered": sum(row["recovered_at"] is not None for row in stored.runs.values()),
            "log_lines": sum(stored.lines.values()),
            "jobs": dict(Counter(str(job["result"]) for job in stored.jobs)),
            "watched": sum(len(each.watches) for each in self.dashboards),
            "told_early": sum(w.early for each in self.dashboards for w in each.watches.values()),
        }
