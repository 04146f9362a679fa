"""``channel-server serve`` with a clock that can be stepped, as a process of its own.

SIGUSR1 sets the clock of this process an hour ahead, SIGUSR2 an hour back, each counted from the
true time; both in turn bring it back. Stepped is `time.time`, the clock of tokens and of everything
that the server itself dates; the database keeps its own.
"""

import signal
import sys
import time
from typing import Any

_true = time.time
_offset = 0.0


def stepped() -> float:
    """The time of this process."""
    return _true() + _offset


def step(number: int, _frame: Any) -> None:
    """Move the clock."""
    global _offset
    _offset = (3600.0 if number == signal.SIGUSR1 else -3600.0) if _offset == 0.0 else 0.0


time.time = stepped
signal.signal(signal.SIGUSR1, step)
signal.signal(signal.SIGUSR2, step)

from handlers.cli.main import main  # noqa: E402 (the clock comes first)

sys.exit(main(sys.argv[1:]))
