"""Dashboards that watch runs through all troubles, come back, and note what they were told."""

import asyncio
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from channel_server.client import Client, ClientChannel, ClientError
from tests.chaos.load import ANSWER, backoff

MOST: Final = 25
"""Runs that one dashboard watches."""


class RunWatch:
    """One run as a dashboard sees it.

    Attributes:
        state: The newest state that it was told.
        version: The version of it.
        told: Versions that were told, in the order in which they came.
        gaps: How often it was told that something is missing.
        first: The version that its first join answered with, None without one.
        early: Events that came before that answer.
    """

    def __init__(self, client: Client, run: str) -> None:
        self.run = run
        self.state = ""
        self.version = 0
        self.told: list[int] = []
        self.gaps = 0
        self.first: int | None = None
        self.early = 0
        self._seen = 0
        self._client = client
        self._channel: ClientChannel | None = None

    async def watch(self) -> None:
        """Join, and go on trying until it works."""
        while self._channel is None or self._channel.state == "closed":
            channel = self._client.channel(f"run:{self.run}", self._since)
            for event in ("run:updated", "step:started", "step:completed", "logs"):
                channel.on(event, self._heard)
            channel.on_join(self._joined)
            self._channel = channel
            try:
                await channel.join()
            except (ClientError, RuntimeError):
                await asyncio.sleep(0.2)

    async def fetch(self) -> None:
        """Ask for the run as it is now; the last resort of a dashboard."""
        if self._channel is not None:
            with suppress(ClientError):
                reply = await self._channel.push("fetch:run")
                if reply.ok:
                    self._learn(reply.response)

    def _since(self) -> dict[str, Any]:
        return {"since": self._seen} if self._seen else {}

    def _joined(self, response: Any) -> None:
        if not response.get("complete", True):
            self.gaps += 1
            self.told.clear()
            self.first = None
        snapshot = response.get("snapshot")
        if snapshot:
            self._learn(snapshot)
        if self.first is None and "version" in response:
            self.first = int(response["version"])
            # Broadcasts name no join: a join that we gave up, and the server did not, was told too.
            self.early += sum(version <= self.first for version in self.told)
            self.told = [version for version in self.told if version > self.first]
            self._seen = max(self._seen, self.first)
        if not self.state:
            self._client.spawn(self.fetch())

    def _heard(self, payload: Any) -> None:
        self.told.append(payload["version"])
        self._seen = max(self._seen, payload["version"])
        if "run" in payload:
            self._learn(payload)

    def _learn(self, payload: Any) -> None:
        version, run = payload.get("version", 0), payload.get("run")
        if run and version >= self.version:
            self.version, self.state = version, run["state"]


class Dashboard:
    """One connection that follows a project and watches the first runs it hears of.

    Args:
        url: The user socket.
        token: Its user token.
        project: The project.
    """

    def __init__(self, url: str, token: str, project: UUID) -> None:
        self.watches: dict[str, RunWatch] = {}
        self._client = Client(
            url,
            auth_token=token,
            timeout=ANSWER,
            heartbeat_interval=1.0,
            backoff=backoff,
            rejoin_limit=10_000,
        )
        self._project = f"project:{project}"

    async def open(self) -> None:
        """Connect and follow the project."""
        await self._client.connect(retry=True)
        while True:
            project = self._client.channel(self._project)
            for event in ("run:created", "run:updated"):
                project.on(event, self._heard)
            try:
                await project.join()
            except (ClientError, RuntimeError):
                await asyncio.sleep(0.2)
            else:
                return

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    def _heard(self, payload: Any) -> None:
        run = payload["run"]["id"]
        if run not in self.watches and len(self.watches) < MOST:
            self.watches[run] = watch = RunWatch(self._client, run)
            self._client.spawn(watch.watch())
