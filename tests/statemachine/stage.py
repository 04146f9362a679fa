"""A real application on a real database, driven step by step from synchronous rules."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from channel_server.testing.client import ChannelClient, SocketClient, connect
from handlers.application import USER_MOUNT, WORKER_MOUNT, Application
from handlers.config import Settings
from handlers.janitor import Janitor
from handlers.leases import LeaseWatch
from schema.outcomes import Event, Watch
from schema.repo import Repo, connection
from tests.handlers.bench import settings
from tests.schema.world import World
from tests.statemachine.model import Policy, Reply

T = TypeVar("T")

UNHEARD: Final = 1_000.0
GONE: Final = 5_000.0
TIMEOUT: Final = 10_000.0
"""Seconds after which claims are released, and runs are lost: only moved clocks reach them."""

PATIENCE: Final = 10.0

_FORGET: Final = """
DELETE FROM log_lines; DELETE FROM run_steps; DELETE FROM run_events; DELETE FROM runs;
DELETE FROM steps; DELETE FROM work_orders; DELETE FROM dataclips; DELETE FROM worker_sessions"""

SNAPSHOT: Final = """
SELECT r.id, r.state, r.version, r.lease_epoch AS epoch, r.joined_at IS NOT NULL AS joined,
  r.recovered_at IS NOT NULL AS recovered, r.error_type, w.state AS order_state,
  (extract(epoch FROM r.started_at) * 1000000)::bigint::text AS started,
  (extract(epoch FROM r.finished_at) * 1000000)::bigint::text AS finished,
  (SELECT coalesce(array_agg(ARRAY[s.id::text, s.exit_reason,
      ((s.finished_at IS NULL) <> (s.exit_reason IS NULL))::text]), '{}')
    FROM run_steps rs JOIN steps s ON s.id = rs.step_id WHERE rs.run_id = r.id) AS steps,
  (SELECT array_agg(ARRAY[n.version::text, n.event, n.line::text] ORDER BY n.version) FROM (
    SELECT version, event, NULL::uuid AS line FROM run_events WHERE run_id = r.id
    UNION ALL SELECT version, 'logs', id FROM log_lines WHERE run_id = r.id) n) AS told
FROM runs r JOIN work_orders w ON w.id = r.work_order_id"""
"""Each run with its steps (id, exit reason, whether closed by halves) and its changes (version,
event, line of the log)."""


class Stage:
    """One database, and the application that is open on it.

    What an application keeps in memory goes with it; its connections to the database are left to
    the next one, as statements that are planned cost a fifth of fresh ones.

    Args:
        url: A migrated database that is used by nobody else.

    Attributes:
        playing: Whether a sequence has begun that has not come to its end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.loop = asyncio.new_event_loop()
        self.policy: Policy = "accept"
        self.playing = False
        self.app: Application | None = None
        self.world: World | None = None
        self._repo: Repo | None = None
        self._admin: Any = None
        self._admin_context: Any = None
        self._workers: dict[str, SocketClient] = {}
        self._channels: dict[tuple[str, str], ChannelClient] = {}
        self._sockets: dict[str, Any] = {}

    def go(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(work)

    def open(self) -> "Stage":
        """Connect."""
        self._admin_context = connection(self.url)
        self._admin = self.go(self._admin_context.__aenter__())
        self._repo = self.go(Repo.connect(self.url, min_size=1, max_size=2))
        return self

    def close(self) -> None:
        """End everything."""
        self.go(self._end())
        if self._repo is not None:
            self.go(self._repo.close())
        self.go(self._admin_context.__aexit__(None, None, None))
        self.loop.close()

    # Between sequences.

    def begin(self, policy: Policy) -> World:
        """Forget all runs, and make sure that an application with this policy is open."""
        self.go(self.drop_all())
        # What a failed sequence has left under way must be over before its rows go.
        if self.app is None or self.playing or self.app.settings.late_completion != policy:
            self.policy = policy
            self.go(self._reopen())
        self.go(self._admin.execute(_FORGET))
        self.playing = True
        assert self.app is not None
        assert self.world is not None
        self.go(self.queue_changed())
        return self.world

    async def _reopen(self) -> None:
        await self._end()
        self.app = await Application(self._settings(self.policy), repo=self._repo).open()
        # It judges absence as a server does that has watched for a day.
        presence = self.app.gateway.presence
        presence.watch = Watch(presence.server.id, 86_400.0)
        assert await presence.beat()
        await self.execute(
            "UPDATE servers SET watching_since = now() - interval '1 day' WHERE id = $1",
            presence.server.id,
        )
        self._sockets = self.app.sockets
        if self.world is None:
            self.world = await World.create(self.app.repo)

    def _settings(self, policy: Policy) -> Settings:
        return settings(
            self.url,
            late_completion=policy,
            unheard_claim_after=UNHEARD,
            run_timeout=TIMEOUT,
            run_grace=0.0,
            worker_gone_after=GONE,
        )

    async def _end(self) -> None:
        await self.drop_all()
        if self.app is not None:
            await self.app.stop(drain=False)
            self.app = None

    # What happens to the server.

    async def restart(self) -> None:
        """The process dies and another one takes over: memory and sockets are gone."""
        await self._reopen()

    def _open_app(self) -> Application:
        assert self.app is not None
        return self.app

    async def queue_changed(self) -> None:
        """A run was enqueued behind the back of the application, which no listener tells it."""
        self._open_app().gateway.queue_changed()

    async def publish(self, events: Sequence[Event]) -> None:
        """Tell dashboards of changes that were made with the schema alone."""
        for event in events:
            self._open_app().gateway.publish_event(event)

    async def janitor(self) -> None:
        """One sweep."""
        await Janitor(self._open_app().gateway).sweep()

    async def release_unheard(self) -> None:
        """One look for claims that nobody has heard of."""
        await LeaseWatch(self._open_app().gateway).check()

    async def execute(self, sql: str, *args: Any) -> None:
        """Change the database behind the back of the application."""
        await self._admin.execute(sql, *args)

    async def snapshot(self) -> list[Any]:
        """All runs as they are in the database."""
        return await self._admin.fetch(SNAPSHOT)

    async def rows(self, sql: str, *args: Any) -> list[Any]:
        """Ask the database."""
        return await self._admin.fetch(sql, *args)

    # Workers.

    async def worker(self, name: str) -> SocketClient:
        """The socket of a worker, connected if need be."""
        if name not in self._workers:
            app = self._open_app()
            token = app.gateway.worker_tokens.issue(name)
            self._workers[name] = await connect(
                self._sockets[WORKER_MOUNT], {"token": token}, pubsub=app.pubsub
            )
            await app.gateway.presence.settled(PATIENCE)
        return self._workers[name]

    def seats(self) -> list[str]:
        """The connections of workers that are open."""
        return list(self._workers)

    async def drop(self, name: str, *, clean: bool = False) -> None:
        """The connection of a worker is lost without a word, or with a goodbye."""
        if await self._cut(name, clean=clean):
            await self._open_app().gateway.presence.settled(PATIENCE)

    async def drop_all(self, names: Sequence[str] | None = None) -> None:
        """The connections of these workers are lost together; by default those of all."""
        gone = [await self._cut(name) for name in names or self.seats()]
        if gone:
            await self._open_app().gateway.presence.settled(PATIENCE)

    async def _cut(self, name: str, *, clean: bool = False) -> bool:
        socket = self._workers.pop(name, None)
        for key in [key for key in self._channels if key[0] == name]:
            del self._channels[key]
        if socket is not None:
            await (socket.close() if clean else socket.peer.abort())
        return socket is not None

    async def vanish(self, name: str) -> None:
        """A worker's connection was lost long ago."""
        await self.drop(name)
        await self.execute(
            "UPDATE worker_sessions SET disconnected_at = disconnected_at"
            " - make_interval(secs => $2) WHERE worker_id = $1 AND disconnected_at IS NOT NULL",
            *(name, GONE + 60),
        )

    async def join(self, name: str, topic: str, payload: Any = None) -> tuple[ChannelClient, bool]:
        """A channel of a worker, joined, and whether it had to be."""
        channel = self._channels.get((name, topic))
        if channel is not None:
            return channel, False
        socket = await self.worker(name)
        channel = await socket.join(topic, payload, timeout=PATIENCE)
        self._channels[name, topic] = channel
        return channel, True

    async def rejoin(self, name: str, topic: str, payload: Any) -> None:
        """Join a topic in any case, replacing a join that there may be."""
        self._channels.pop((name, topic), None)
        await self.join(name, topic, payload)

    async def call(self, channel: ChannelClient, event: str, payload: Any) -> Reply:
        """Push an event and return status and response of its reply."""
        pushed = await channel.push(event, payload)
        peer = channel._peer  # pyright: ignore[reportPrivateUsage] - its replies, whatever their status
        frame = await peer.take(lambda f: f.event == "phx_reply" and f.ref == pushed.ref, PATIENCE)
        return frame.payload["status"], frame.payload["response"]

    # Dashboards.

    async def watch(self, run_id: UUID, since: int | None = None) -> "Watcher":
        """A dashboard on a run, from now on or from a version."""
        app = self._open_app()
        assert self.world is not None
        token = app.gateway.user_tokens.issue("ana", [self.world.project.id], "viewer", 3600)
        socket = await connect(self._sockets[USER_MOUNT], {"token": token}, pubsub=app.pubsub)
        payload = {} if since is None else {"since": since}
        await socket.join(f"run:{run_id}", payload, timeout=PATIENCE)
        return Watcher(socket)


class Watcher:
    """A dashboard that watches one run."""

    def __init__(self, socket: SocketClient) -> None:
        self._socket = socket

    async def versions(self, last: int) -> list[int]:
        """The versions told so far; waits for the version ``last`` unless it was told."""

        def told() -> list[int]:
            payloads = [frame.payload for frame in self._socket.peer.frames if frame.ref is None]
            return [payload["version"] for payload in payloads if "version" in payload]

        for _ in range(1000):
            if told() and told()[-1] >= last:
                break
            await asyncio.sleep(0)
        return told()

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.peer.abort()
