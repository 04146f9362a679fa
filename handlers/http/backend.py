"""What the controllers need of the application; passed in, so that HTTP imports no server."""

from typing import Any, Final, Protocol, cast

from litestar.connection import ASGIConnection
from litestar.types import ASGIApp

from handlers.gateway import Gateway

_KEY: Final = "channel_server.backend"


class Backend(Protocol):
    """The application, as far as HTTP sees it.

    Attributes:
        gateway: The parts that sockets and HTTP share.
    """

    @property
    def gateway(self) -> Gateway:
        """The parts that sockets and HTTP share."""
        ...

    def render_metrics(self) -> bytes:
        """The metrics in Prometheus' text format."""
        ...


class Within:
    """An ASGI application that tells another which application its requests are for.

    The other is shared by all applications of a process; it has no start and no end of its own.

    Args:
        app: The other.
        backend: Where requests go; only used while a request is handled.
    """

    def __init__(self, app: ASGIApp, backend: Backend) -> None:
        self.app = app
        self.backend = backend

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request; the start and the end of the port are of no interest to the other."""
        if scope["type"] == "lifespan":
            for moment in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{moment}.complete"})
            return
        scope[_KEY] = self.backend
        await self.app(scope, receive, send)


def backend_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Backend:
    """Return the application that a request is for."""
    return cast("Any", connection.scope)[_KEY]
