"""Tokens that count no more: taken back, listed, and given back.

Every server keeps the whole list in memory. Each change is announced to all of them with the
commit; whoever misses the notice reads the list again after a while.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, cast

import msgspec

from schema.listener import CHANNEL
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

Kind = Literal["token", "user", "worker"]
"""One user token by its ``jti``; all of a subject's so far; a worker by its ``worker_id``."""

LONGEST: Final = 255
"""Characters of a value."""

_NOTICE: Final = f"pg_notify('{CHANNEL}', '{{\"tokens_revoked\": true}}')"

REVOKE: Final = Statement(
    "revocations.revoke",
    f"""
WITH pruned AS (
  DELETE FROM revocations WHERE expires_at < now() AND (kind, value) <> ($1, $2)
)
INSERT INTO revocations AS r (kind, value, reason, revoked_by, expires_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT revocations_pkey DO UPDATE
SET reason = excluded.reason, revoked_by = excluded.revoked_by,
  revoked_at = excluded.revoked_at,
  expires_at = CASE WHEN r.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
    ELSE greatest(r.expires_at, excluded.expires_at) END
RETURNING {_NOTICE}""",
    declared("revocations"),
)

RESTORE: Final = Statement(
    "revocations.restore",
    f"""
WITH gone AS (DELETE FROM revocations WHERE kind = $1 AND value = $2 RETURNING 1)
SELECT {_NOTICE} FROM gone""",
    {},
)

LIST: Final = Statement(
    "revocations.list",
    """
SELECT kind, value, reason, revoked_by, revoked_at, expires_at
FROM revocations WHERE expires_at IS NULL OR expires_at >= now()
ORDER BY revoked_at, kind, value""",
    {},
)


class Revocation(msgspec.Struct, frozen=True):
    """One entry of the list.

    Attributes:
        kind: What ``value`` is.
        value: Who or what is revoked.
        reason: Why, for people.
        revoked_by: Who did it.
        revoked_at: When; of a user, tokens issued later count again.
        expires_at: When the entry may be forgotten; None is never.
    """

    kind: Kind
    value: str
    reason: str | None
    revoked_by: str
    revoked_at: datetime
    expires_at: datetime | None


async def revoke(
    repo: Runner,
    kind: Kind,
    value: str,
    *,
    by: str,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Refused | None:
    """Let something count no more, and tell every server; again is fine and renews it.

    Args:
        repo: Where to.
        kind: What ``value`` is.
        value: Who or what.
        by: Who asks.
        reason: Why, for people.
        expires_at: When the token expires by itself, if that is known.
    """
    done = await repo.fetchrow(REVOKE, kind, value, reason, by, expires_at)
    return done if isinstance(done, Refused) else None


async def restore(repo: Runner, kind: Kind, value: str) -> bool | Refused:
    """Take a revocation back, and tell every server; whether there was one."""
    done = await repo.fetchrow(RESTORE, kind, value)
    return done if isinstance(done, Refused) else done is not None


async def listed(repo: Runner) -> Sequence[Revocation] | Refused:
    """Return everything that is revoked, the oldest first."""
    rows = await repo.fetch(LIST)
    if isinstance(rows, Refused):
        return rows
    return [Revocation(**cast("dict[str, object]", dict(row))) for row in rows]  # type: ignore[arg-type]
