"""Notifications to all server processes, sent on their own."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schema.listener import CHANNEL
from schema.refused import Refused
from schema.repo import Runner, Statement

# Nothing depends on its survival of a crash: the commit does not wait for the disk.
SEND: Final = Statement(
    "notifications.send",
    f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', $1)",
)


async def send(repo: Runner, notice: Mapping[str, Any]) -> Refused | None:
    """Send one notification; at most once, and not at all if the database is away.

    Args:
        repo: Where to.
        notice: A small JSON object, of less than 8 000 bytes as text.
    """
    sent = await repo.execute(SEND, msgspec.json.encode(notice).decode())
    return sent if isinstance(sent, Refused) else None
