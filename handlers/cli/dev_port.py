"""Which port ``dev`` listens on."""

import socket
from typing import Final

from handlers.cli.errors import usage
from handlers.cli.output import Output

PORT: Final = 4000


def choose_port(host: str, wanted: int | None, out: Output) -> int:
    """Return the port that was asked for; else 4000, or a free one if that is taken.

    Raises:
        CommandError: The port that was asked for is taken.
    """
    if wanted == 0 or can_listen(host, PORT if wanted is None else wanted):
        return PORT if wanted is None else wanted
    if wanted is not None:
        raise usage(
            f"Port {wanted} of {host} is taken.",
            why="Another program listens there.",
            hint="end it, or leave out --port to get a free one",
        )
    out.note(f"port {PORT} is taken by another program: a free one is used instead")
    return 0


def can_listen(host: str, port: int) -> bool:
    """Say whether nobody listens at an address now."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True
