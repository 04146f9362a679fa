"""The whole gateway as one object: open, start, stop.

::

    application = Application(Settings.load())
    await application.start()   # database, services, sockets and HTTP on one port
    ...
    await application.stop()    # claims are answered, channels finish, sockets close with 1012

Tests that need no port and no background services `open` it instead of starting it, and connect to
`sockets` without a network.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from channel_server.endpoint import Endpoint, Mount
from channel_server.log import get_logger
from channel_server.metrics import Metrics
from channel_server.pubsub import PubSub
from channel_server.service import Service
from channel_server.socket import Socket
from handlers.config import Settings
from handlers.feeds.sweeper import Sweeper
from handlers.gateway import Gateway
from handlers.gateway_metrics import GatewayMetrics
from handlers.janitor import Janitor
from handlers.jobs.engine import JobEngine
from handlers.leases import LeaseWatch
from handlers.notices import Notices
from handlers.readiness import Readiness
from handlers.sockets import user_socket, worker_socket
from schema import driver_log
from schema.listener import Listener
from schema.repo import Repo

WORKER_MOUNT: Final = "/worker"
USER_MOUNT: Final = "/socket"

STOP_TIMEOUT: Final = 5.0
"""Seconds for each of: answers to websockets, and to HTTP requests."""

SERVICES_TIMEOUT: Final = 3.0
"""Seconds for the services to end, and then for the feeds; the database may be silent."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for statements under way when everything else has ended."""

LISTENER_PATIENCE: Final = 5.0
"""Seconds that `start` waits for the listener; it goes on connecting afterwards."""

log = get_logger(__name__)


class NotOpenError(Exception):
    """A part of the application was used before `open` or `start`."""

    def __str__(self) -> str:
        return "the application is not open; await open() or start() first"


class Application:
    """One process of the run gateway.

    Args:
        settings: a configuration that was checked.
        repo: an open door to the database, which stays open; by default one is made from the
            settings, and closed by `stop`.

    Attributes:
        settings: the configuration.
        pubsub: where dashboards and workers are subscribed.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, *, repo: Repo | None = None) -> None:
        self.settings = settings
        self._given = repo
        self.metrics = Metrics()
        self.pubsub = PubSub(metrics=self.metrics)
        self._counted = GatewayMetrics(self.metrics.registry)
        self._gateway: Gateway | None = None
        self._endpoint: Endpoint | None = None
        self._services: list[Service] = []
        self._listener: Listener | None = None
        self._notices: Notices | None = None

    @property
    def gateway(self) -> Gateway:
        """The parts that channels, services and controllers share.

        Raises:
            NotOpenError: it is not open.
        """
        if self._gateway is None:
            raise NotOpenError
        return self._gateway

    @property
    def repo(self) -> Repo:
        """The door to the database."""
        return self.gateway.repo

    @property
    def endpoint(self) -> Endpoint:
        """The port, while the application is started.

        Raises:
            NotOpenError: it is not started.
        """
        if self._endpoint is None:
            raise NotOpenError
        return self._endpoint

    @property
    def services(self) -> dict[str, Service]:
        """The background services by name, while the application is started."""
        return {service.name: service for service in self._services}

    @property
    def sockets(self) -> dict[str, type[Socket]]:
        """The sockets by the path they are mounted at."""
        return {
            WORKER_MOUNT: worker_socket(self.gateway),
            USER_MOUNT: user_socket(self.gateway),
        }

    def render_metrics(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return self.metrics.render()

    async def open(self) -> "Application":
        """Connect to the database; no port, no services. Twice is fine.

        Raises:
            OSError: the database cannot be reached.
        """
        if self._gateway is None:
            repo = self._given or await self._connect()
            self._gateway = Gateway(self.settings, repo, self.pubsub, self._counted)
        return self

    async def start(self) -> "Application":
        """Open, begin all services, and serve.

        New websockets are accepted once the database was found well.

        Raises:
            OSError: the database cannot be reached, or the address cannot be bound.
        """
        driver_log.calm()
        await self.open()
        try:
            await self._start_listener()
            self._endpoint = self._build_endpoint()
            self._endpoint.ready = False
            await self._start_services(self._endpoint)
            await self._endpoint.start()
        except BaseException:
            await self.stop(drain=False)
            raise
        log.info("application_started", url=self._endpoint.http_url)
        return self

    async def stop(self, *, drain: bool = True) -> None:
        """Send all clients away and end everything; twice, and before `start`, are fine.

        Args:
            drain: whether to spread the closing of websockets over the drain window.
        """
        gateway = self._gateway
        if gateway is None:
            return
        gateway.draining = True
        gateway.feed.close()  # event streams end by themselves, the port need not wait for them
        if self._endpoint is not None:
            await self._endpoint.stop(drain=drain)
        await _bounded(self._stop_services())
        gateway.work_available.close()
        await _bounded(_close_writers(gateway))
        if self._given is None:
            await gateway.repo.close(timeout=CLOSE_TIMEOUT)
        self._gateway = self._endpoint = self._listener = self._notices = None
        self._services = []

    def abort(self) -> None:
        """Cut every socket, request and database connection; a `stop` in progress then ends.

        A `repo` that was given stays open.
        """
        if self._endpoint is not None:
            self._endpoint.abort()
        if self._gateway is not None and self._given is None:
            self._gateway.repo.terminate()

    async def _connect(self) -> Repo:
        settings = self.settings
        return await Repo.connect(
            settings.database_url,
            max_size=settings.database_pool_size,
            statement_timeout_ms=round(settings.database_statement_timeout * 1000),
            acquire_timeout=settings.database_acquire_timeout,
            state_machine=settings.state_machine,
        )

    async def _stop_services(self) -> None:
        stops = [service.stop() for service in self._services]
        if self._listener is not None:
            stops.append(self._listener.stop())
        if self._notices is not None:
            stops.append(self._notices.stop())
        await asyncio.gather(*stops)

    def _build_endpoint(self) -> Endpoint:
        # HTTP is a room of its own; in-process tests of channels do without it.
        from handlers.http.app import build_http_app

        settings = self.settings
        for socket in (sockets := self.sockets).values():
            self.metrics.declare_events(socket.events())
        return Endpoint(
            [Mount(path, socket) for path, socket in sockets.items()],
            http_app=build_http_app(self),
            host=settings.host,
            port=settings.port,
            pubsub=self.pubsub,
            metrics=self.metrics,
            drain_window=settings.drain_window,
            stop_timeout=STOP_TIMEOUT,
            uds=settings.unix_socket or None,
            trusted_proxies=settings.trusted_proxies,
            ssl_context=settings.ssl_context(),
            drained=self.gateway.webhooks.close,
            http_connections=settings.http_connections,
        )

    async def _start_listener(self) -> None:
        self._notices = Notices(self.gateway)
        self._listener = Listener(
            self.settings.database_url, self._notices.received, self._notices.resync
        )
        self.gateway.listening = self._listener.connected.is_set
        await self._listener.start()
        try:
            async with asyncio.timeout(LISTENER_PATIENCE):
                await self._listener.connected.wait()
        except TimeoutError:
            log.warning("listener_not_connected")

    async def _start_services(self, endpoint: Endpoint) -> None:
        def changed(ready: bool) -> None:
            endpoint.ready = ready

        readiness = Readiness(self.repo, self.settings.database_url, changed)
        engine = JobEngine(self.gateway.engine)
        self._services = [
            self.gateway.presence,
            self.gateway.revocation_watch,
            LeaseWatch(self.gateway),
            Janitor(self.gateway),
            engine,
            readiness,
            Sweeper(self.gateway.feeds, self.settings.feed_sweep_interval),
        ]
        for service in self._services:
            await service.start()
        try:
            async with asyncio.timeout(LISTENER_PATIENCE):
                await readiness.started()
                if endpoint.ready:
                    # Tables that are not there yet hold no revocations to wait for.
                    await self.gateway.revocation_watch.started()
                await engine.attempted.wait()
        except TimeoutError:
            log.warning("readiness_unknown")


async def _close_writers(gateway: Gateway) -> None:
    await gateway.feeds.stop()
    await gateway.remarks.close()
    await gateway.presence.close()
    await gateway.workers_feed.close()


async def _bounded(stopping: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(SERVICES_TIMEOUT):
            await stopping
    except TimeoutError:
        log.warning("stopped_hard", step=stopping.__name__)
