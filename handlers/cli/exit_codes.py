"""Exit codes of every command; programs may rely on them."""

from typing import Final

OK: Final = 0
"""It was done; with ``--wait``, ``watch`` or ``replay``: and it ended well."""

FAILED: Final = 1
"""It was tried and the answer is no: the run did not succeed, a frame did not match, a check of
``doctor`` failed, there is nothing of that name, or the server refused."""

USAGE: Final = 2
"""The command line, the configuration or a file is wrong; nothing was tried."""

UNAVAILABLE: Final = 3
"""The database or the server cannot be reached, or is not ready; trying again may help."""

INTERRUPTED: Final = 130
"""Ctrl-C ended a command that was not done. Commands that run until Ctrl-C exit with 0."""

TABLE: Final = (
    (OK, "done, and what was waited for ended well"),
    (FAILED, "the run failed, a frame did not match, a check failed, not found, refused"),
    (USAGE, "wrong arguments, configuration or file; nothing was tried"),
    (UNAVAILABLE, "database or server not reachable or not ready; trying again may help"),
    (INTERRUPTED, "interrupted by Ctrl-C before it was done"),
)


def epilog() -> str:
    """Return the table as text for ``--help``."""
    return "exit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in TABLE)
