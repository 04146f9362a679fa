"""What all connections of an endpoint share."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from channel_server.connection import ConnectionContext, Gate
from channel_server.limits import DEFAULT_LIMITS
from channel_server.metrics import Metrics
from channel_server.pubsub import PubSub
from channel_server.rate_limit import address_key
from channel_server.transport.deadlines import Deadlines
from channel_server.transport.handshake import DRAINING, NOT_READY, Refusal
from channel_server.transport.mounts import Mount, Place, Places
from channel_server.transport.proxies import TrustedProxies

if TYPE_CHECKING:
    from channel_server.transport.websocket import WebSocketTransport


class Hub:
    """The connections of one endpoint, and what they need.

    Attributes:
        connections: All that are connecting, open or closing.
        ready: Whether new connections are accepted.
        gate: What the connections know of it.
    """

    def __init__(
        self,
        mounts: Iterable[Mount],
        *,
        pubsub: PubSub,
        metrics: Metrics,
        proxies: TrustedProxies,
        http_connections: int = 0,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.places = Places(mounts)
        self.pubsub = pubsub
        self.metrics = metrics
        self.proxies = proxies
        self.http_connections = http_connections
        self._http_addresses: dict[str, int] = {}
        self.connections: set[WebSocketTransport] = set()
        self.ready = True
        self.gate = Gate()
        self.handshake_timeout = max(
            (place.limits.handshake_timeout for place in self.places),
            default=DEFAULT_LIMITS.handshake_timeout,
        )
        self._emptied = asyncio.Event()
        self._contexts: dict[Place, ConnectionContext] = {}
        for place in self.places:
            metrics.declare_events(place.mount.socket.events())

    @property
    def draining(self) -> bool:
        """Whether the endpoint is stopping: new connections and joins are refused."""
        return self.gate.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self.gate.draining = draining

    def context(self, place: Place) -> ConnectionContext:
        """What the connections of one mount share."""
        context = self._contexts.get(place)
        if context is None:
            context = self._contexts[place] = ConnectionContext(
                pubsub=self.pubsub, limits=place.limits, metrics=self.metrics, gate=self.gate
            )
        return context

    def closed_for_now(self) -> Refusal | None:
        """Why nobody may connect at this time, if so."""
        if self.draining:
            return DRAINING
        return None if self.ready else NOT_READY

    def http_enter(self, address: str | None) -> bool:
        """Count a connection that speaks HTTP; False if its address has too many already.

        Listed proxies and Unix domain sockets stand for many clients and are not counted.
        """
        if address is None or not self.http_connections or self.proxies.trusts(address):
            return True
        key = address_key(address)
        count = self._http_addresses.get(key, 0)
        if count >= self.http_connections:
            return False
        self._http_addresses[key] = count + 1
        return True

    def http_leave(self, address: str | None) -> None:
        """Undo one successful :meth:`http_enter`."""
        key = "" if address is None else address_key(address)
        count = self._http_addresses.get(key, 0) - 1
        if count > 0:
            self._http_addresses[key] = count
        else:
            self._http_addresses.pop(key, None)

    def remove(self, connection: "WebSocketTransport") -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    async def empty(self) -> None:
        """Return when there is no connection."""
        while self.connections:
            self._emptied.clear()
            await self._emptied.wait()
