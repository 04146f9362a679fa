"""The logger given to ``websockets``: it says nothing, because it would say request headers."""

import logging
from typing import Final

QUIET: Final = logging.getLogger("channel_server.transport.engine")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
QUIET.setLevel(logging.CRITICAL + 1)
