"""Ports for servers that are stopped and come back to the same one."""

import random
import socket
from typing import Final

_OURS: Final = range(10_000, 32_000)
"""Below those that systems give to clients and to who asks for any port."""


def lasting_port() -> int:
    """A port of loopback that nobody listens on, and that nobody is given while it is free.

    A port that the system chose would not do: while its server is down, the next connection of
    anybody may be given it.
    """
    while True:
        port = random.choice(_OURS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
