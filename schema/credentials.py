"""Credentials: handed to the runs whose snapshot uses them, and to nobody else."""

from typing import Any, Final, cast
from uuid import UUID

import msgspec

from schema.crypto import Cipher, Sealed
from schema.outcomes import Owner
from schema.refusals import ask
from schema.refused import Refused, invalid
from schema.repo import Runner, Statement

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

NOT_FOUND: Final = invalid("id", "Credential not found!", kind="not_found", code="not_found")


def context(credential_id: UUID) -> str:
    """Return the context that the body of a credential is encrypted in."""
    return f"credential {credential_id}"


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
