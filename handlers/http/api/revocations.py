"""``/api/revocations``: tokens that count no more; for admins."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromQuery

from handlers.http.api.access import Asked, accept, asker, body_of, gateway_of
from handlers.http.errors import ProblemError, field_problem
from schema import revocations
from schema.revocations import LONGEST, Kind, Revocation


class RevocationWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to count no more.

    Attributes:
        kind: ``token``, one user token by its ``jti``; ``user``, all tokens of a subject issued so
            far; ``worker``, a process of a worker by its ``worker_id``.
        value: Which one.
        reason: Why, for people.
        expires_at: When the token expires by itself, after which the entry is forgotten.
    """

    kind: Literal["token", "user", "worker"]
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    reason: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    expires_at: datetime | None = None


class RevocationList(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is revoked, the oldest first."""

    revocations: list[Revocation]


@get("/revocations")
async def list_revocations(request: Asked) -> Response[RevocationList]:
    """List what is revoked. For admins."""
    asker(request, "admin")
    listed = accept(await revocations.listed(gateway_of(request).repo))
    return Response(RevocationList(revocations=list(listed)))


@post("/revocations", status_code=201)
async def revoke(request: Asked) -> Response[RevocationWish]:
    """Let tokens count no more: what is open is closed, here at once, elsewhere by the notice.

    Again is fine, and renews it. 422 for what cannot be revoked. For admins.
    """
    user = asker(request, "admin")
    wish = await body_of(request, RevocationWish)
    if not wish.value.strip() or "\0" in wish.value + (wish.reason or ""):
        raise field_problem("value", "is invalid")
    if wish.expires_at is not None and _past(wish.expires_at):
        raise field_problem("expires_at", "must be a time to come, with its zone")
    gateway = gateway_of(request)
    done = await revocations.revoke(
        gateway.repo,
        wish.kind,
        wish.value,
        by=user.subject,
        reason=wish.reason,
        expires_at=wish.expires_at,
    )
    accept(done)
    await gateway.revocation_watch.read()
    return Response(wish, status_code=201)


@delete("/revocations", status_code=204)
async def restore(request: Asked, kind: FromQuery[Kind], value: FromQuery[str]) -> None:
    """Take a revocation back. 404 when there is none like it. For admins."""
    asker(request, "admin")
    gateway = gateway_of(request)
    if not accept(await revocations.restore(gateway.repo, kind, value)):
        raise ProblemError("not_found", "Nothing like this is revoked.")
    await gateway.revocation_watch.read()


def _past(moment: datetime) -> bool:
    # An entry that has expired is forgotten at once: it would be accepted and revoke nothing.
    return moment.tzinfo is None or moment <= datetime.now(UTC)
