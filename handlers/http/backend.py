"""What the controllers need of the application; passed in, so that HTTP imports no server."""

from typing import Protocol

from litestar.datastructures import State

from handlers.gateway import Gateway


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


def state_for(backend: Backend) -> State:
    """Return the state of the HTTP application."""
    return State({"backend": backend})


def backend_of(state: State) -> Backend:
    """Return the application that a request is for."""
    backend: Backend = state.backend
    return backend
