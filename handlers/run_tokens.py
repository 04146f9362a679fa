"""The three kinds of tokens of the gateway: what each says and who checks it.

* Worker tokens (HS256, the raw bytes of the shared secret) open the worker socket. A worker makes
  its own once per process, so their age is no reason to refuse them.
* Run tokens (RS256, the server's private key) come with each claim and open one run. The `lease`
  claim names the owner; the lease, not the age of the token, ends the owner's rights.
* User tokens (HS256, another key) open the dashboard socket for some projects.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, cast
from uuid import UUID

import msgspec

from channel_server.tokens import Key, TokenError, Verifier
from schema.outcomes import Owner

Clock = Callable[[], float]
Role = Literal["viewer", "operator", "admin"]

RUN_ISSUER: Final = "Lightning"
WORKER_ISSUER: Final = "urn:openfn:worker"
ALL_TENANTS: Final = "*"
"""In the claim `tenants`: everybody's pipelines."""

ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "admin")
"""Each may do what those before it may."""


class WorkerIdentity(msgspec.Struct, frozen=True):
    """Who a worker says it is; `worker_id` names one process, not a machine."""

    worker_id: str | None


class User(msgspec.Struct, frozen=True):
    """A person in front of a dashboard.

    Attributes:
        subject: who.
        projects: which projects may be seen.
        role: a viewer watches, an operator may also act, an admin also revokes tokens.
        expires_at: Unix seconds at which the connection ends; None means never.
        tenants: whose pipelines may be seen beside those that are nobody's in particular; `*` is
            everybody's. None, as in tokens without the claim, means no pipelines at all.
    """

    subject: str
    projects: frozenset[UUID]
    role: Role
    expires_at: float | None
    tenants: frozenset[str] | None = None

    def may(self, role: Role) -> bool:
        """Whether the user has a role, or one that includes it."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees_tenant(self, tenant_id: str | None) -> bool:
        """Whether pipelines of a tenant, or those of nobody in particular, may be seen."""
        if self.tenants is None:
            return False
        return tenant_id is None or tenant_id in self.tenants or ALL_TENANTS in self.tenants

    def tenant_filter(self) -> list[str] | None:
        """The tenants whose pipelines lists may show; None shows everybody's."""
        tenants = self.tenants or frozenset[str]()
        return None if ALL_TENANTS in tenants else sorted(tenants)


class WorkerTokens:
    """Checks, and for our own worker and tests makes, worker tokens.

    Args:
        secret: the shared secret; its UTF-8 bytes are the key, even if it looks like base64.
        clock: Unix seconds.
    """

    def __init__(self, secret: str, clock: Clock = time.time) -> None:
        self._key = Key.hs256(secret)
        self._verifier = Verifier([self._key], clock=clock)
        self._clock = clock

    def issue(self, worker_id: str) -> str:
        """A token as a worker makes it: no `exp`, no `nbf`."""
        claims = {"worker_id": worker_id, "iat": int(self._clock()), "iss": WORKER_ISSUER}
        return self._key.sign(claims)

    def verify(self, token: Any) -> WorkerIdentity | None:
        """The worker, or None for anything but a genuine token."""
        claims = _claims(self._verifier, token)
        if claims is None:
            return None
        worker_id = claims.get("worker_id")
        return WorkerIdentity(worker_id if isinstance(worker_id, str) else None)


class RunTokens:
    """Makes and checks run tokens.

    Args:
        private_key_pem: RSA, unencrypted PEM.
        clock: Unix seconds.
    """

    def __init__(self, private_key_pem: bytes, clock: Clock = time.time) -> None:
        self._key = Key.rs256(private_key_pem)
        self._verifier = Verifier([self._key], require=("id", "lease", "exp"), clock=clock)
        self._clock = clock

    def issue(self, owner: Owner, lifetime: float) -> str:
        """The token of a claim, valid from now on for `lifetime` seconds."""
        now = int(self._clock())
        return self._key.sign(
            {
                "iss": RUN_ISSUER,
                "id": str(owner.run_id),
                "lease": str(owner.lease),
                "iat": now,
                "nbf": now,
                "exp": now + int(lifetime),
            }
        )

    def verify(self, token: Any, run_id: UUID) -> Owner | None:
        """The owner that `token` names, or None unless it is genuine, in force and of this run."""
        claims = _claims(self._verifier, token)
        if claims is None or claims.get("iss") != RUN_ISSUER:
            return None
        named, lease = as_uuid(claims.get("id")), as_uuid(claims.get("lease"))
        if named != run_id or lease is None:
            return None
        return Owner(run_id=run_id, lease=lease)


class UserTokens:
    """Makes and checks dashboard tokens.

    Args:
        key: secret bytes, not those of the worker tokens.
        clock: Unix seconds.
    """

    def __init__(self, key: bytes, clock: Clock = time.time) -> None:
        self._key = Key.hs256(key)
        self._verifier = Verifier([self._key], require=("sub", "projects"), clock=clock)
        self._clock = clock

    def issue(
        self,
        subject: str,
        projects: Sequence[UUID],
        role: Role,
        lifetime: float | None,
        *,
        tenants: Sequence[str] | None = None,
    ) -> str:
        """A token for some projects, and for the pipelines of some tenants.

        Args:
            subject: who it is for.
            projects: whose runs may be seen.
            role: what may be done.
            lifetime: seconds; without it the token never expires.
            tenants: whose pipelines may be seen; `[]` only those of nobody in particular, `["*"]`
                everybody's, None no pipelines at all.
        """
        now = int(self._clock())
        claims: dict[str, Any] = {
            "sub": subject,
            "projects": [str(project) for project in projects],
            "role": role,
            "iat": now,
            "nbf": now,
        }
        if tenants is not None:
            claims["tenants"] = list(tenants)
        if lifetime is not None:
            claims["exp"] = now + int(lifetime)
        return self._key.sign(claims)

    def verify(self, token: Any) -> User | None:
        """The user, or None unless the token is genuine, in force and complete."""
        claims = _claims(self._verifier, token)
        if claims is None:
            return None
        projects, role = _projects(claims.get("projects")), claims.get("role", "viewer")
        tenants = _tenants(claims.get("tenants", []))
        if projects is None or tenants is None or role not in ROLES:
            return None
        if "tenants" not in claims:
            tenants = None
        return User(str(claims["sub"]), projects, role, claims.get("exp"), tenants)


def as_uuid(value: Any) -> UUID | None:
    """`value` as a UUID if it is the text of one, else None."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _claims(verifier: Verifier, token: Any) -> dict[str, Any] | None:
    if not isinstance(token, str):
        return None
    try:
        return verifier.verify(token)
    except TokenError:
        return None


def _projects(value: Any) -> frozenset[UUID] | None:
    if not isinstance(value, list):
        return None
    parsed = [as_uuid(item) for item in cast("list[Any]", value)]
    return None if None in parsed else frozenset(cast("list[UUID]", parsed))


def _tenants(value: Any) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    items = cast("list[Any]", value)
    return frozenset(items) if all(isinstance(item, str) and item for item in items) else None
