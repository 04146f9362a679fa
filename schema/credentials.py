"""Credentials: handed to the runs whose snapshot uses them, and to nobody else."""

from typing import Any, Final, cast
from uuid import UUID

import msgspec

from schema.crypto import Cipher, DecryptionError, Sealed, UnknownKeyError
from schema.outcomes import Owner
from schema.refusals import ask
from schema.refused import Refused, invalid
from schema.repo import Runner, Statement
from schema.tables import declared

FETCH: Final = Statement(
    "credentials.fetch",
    """
SELECT c.key_id, c.body
FROM runs r
JOIN snapshots s ON s.id = r.snapshot_id
JOIN credentials c ON c.id = $3 AND c.project_id = r.project_id
WHERE r.id = $1 AND r.lease = $2 AND s.graph @> jsonb_build_object('jobs',
  jsonb_build_array(jsonb_build_object('credential_id', $3::uuid)))""",
)

STALE: Final = Statement(
    "credentials.stale",
    """
SELECT id, key_id, body FROM credentials
WHERE key_id <> $1 AND id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY id LIMIT 100""",
    {},
)

# Guarded by what was read: a body that somebody stores meanwhile has the current key already.
RESEAL: Final = Statement(
    "credentials.reseal",
    """
UPDATE credentials SET key_id = $3, body = $4
WHERE id = $1 AND key_id = $2 AND body = $5 RETURNING id""",
    declared("credentials"),
)

NOT_FOUND: Final = invalid("id", "Credential not found!", kind="not_found", code="not_found")


def context(credential_id: UUID) -> str:
    """Return the context that the body of a credential is encrypted in."""
    return f"credential {credential_id}"


class Rotated(msgspec.Struct, frozen=True):
    """What became of the credentials whose key was not the current one.

    Attributes:
        done: How many are encrypted with the current key now.
        unreadable: Those whose key was not given, or that were changed.
    """

    done: int
    unreadable: list[UUID]


async def rotate(repo: Runner, cipher: Cipher) -> Rotated | Refused:
    """Encrypt all bodies anew whose key is not the current one; may be stopped and repeated.

    Args:
        repo: Where they are.
        cipher: Opens them with a previous key, and closes them with the current one.
    """
    done, unreadable, last = 0, list[UUID](), None
    while True:
        rows = await repo.fetch(STALE, cipher.key_id, last)
        if isinstance(rows, Refused):
            return rows
        if not rows:
            return Rotated(done, unreadable)
        for row in rows:
            last = row["id"]
            try:
                plain = cipher.decrypt(Sealed(row["key_id"], row["body"]), context=context(last))
            except (UnknownKeyError, DecryptionError):
                unreadable.append(last)
                continue
            sealed = cipher.encrypt(plain, context=context(last))
            changed = await repo.execute(
                RESEAL, last, row["key_id"], sealed.key_id, sealed.body, row["body"]
            )
            if isinstance(changed, Refused):
                return changed
            done += changed


async def fetch(
    repo: Runner, owner: Owner, credential_id: UUID, cipher: Cipher
) -> dict[str, Any] | Refused:
    """Return the body of a credential that a job of the run's snapshot uses.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
        credential_id: The credential.
        cipher: Opens the body.

    Returns:
        The body; keys whose value is the empty string are left out, values are as they were
        stored. Else why not: ``Credential not found!`` for one that is not of this run.

    Raises:
        UnknownKeyError: The body is encrypted with a key that is not configured.
        DecryptionError: The body was changed.
    """
    row = await repo.fetchrow(FETCH, owner.run_id, owner.lease, credential_id)
    if isinstance(row, Refused):
        return row
    if row is None:
        why = await ask(repo, owner)
        return why if isinstance(why, Refused) else NOT_FOUND
    plain = cipher.decrypt(Sealed(row["key_id"], row["body"]), context=context(credential_id))
    body = cast("dict[str, Any]", msgspec.json.decode(plain))
    return {name: value for name, value in body.items() if value != ""}
