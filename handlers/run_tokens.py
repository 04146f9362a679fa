"""The three kinds of tokens of the gateway: what each says and who checks it.

* Worker tokens (HS256, the raw bytes of the shared secret) open the worker socket. A worker makes
  its own once per process, so their age is no reason to refuse them.
* Run tokens (RS256, the server's private key) come with each claim and open one run. The `lease`
  claim names the owner; the lease, not the age of the token, ends the owner's rights.
* User tokens (HS256, another key) open the dashboard socket for some projects.

Each kind has one current key, which signs, and may have previous ones, which only verify and only
until a moment. User and run tokens name their key (`kid`); the workers' own tokens name none.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, cast
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channel_server.rsa_keys import load_rsa
from channel_server.tokens import Key, TokenError, Verifier
from schema.outcomes import Owner

Clock = Callable[[], float]
Role = Literal["viewer", "operator", "admin"]

CLOCK_STEP: Final = 86_400
"""Seconds by which clocks of servers and workers may differ without a run token being too new."""

RUN_ISSUER: Final = "Lightning"
WORKER_ISSUER: Final = "urn:openfn:worker"
ALL_TENANTS: Final = "*"
"""In the claim `tenants`: everybody's pipelines."""

ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "admin")
"""Each may do what those before it may."""


class WorkerIdentity(msgspec.Struct, frozen=True):
    """Who a worker says it is.

    Attributes:
        worker_id: names one process, not a machine.
        expires_at: Unix seconds at which the connection ends; None means never.
        previous: whether it has the secret before the current one, and so, if any, the public key
            before the current one: a worker exits when it cannot verify a run token.
    """

    worker_id: str | None
    expires_at: float | None = None
    previous: bool = False


class User(msgspec.Struct, frozen=True):
    """A person in front of a dashboard.

    Attributes:
        subject: who.
        projects: which projects may be seen.
        role: a viewer watches, an operator may also act, an admin also revokes tokens.
        expires_at: Unix seconds at which the connection ends; None means never.
        tenants: whose pipelines may be seen beside those that are nobody's in particular; `*` is
            everybody's. None, as in tokens without the claim, means no pipelines at all.
        token_id: the token's `jti`, by which it alone can be revoked.
        issued_at: Unix seconds; None if the token does not say, which counts as long ago.
    """

    subject: str
    projects: frozenset[UUID]
    role: Role
    expires_at: float | None
    tenants: frozenset[str] | None = None
    token_id: str | None = None
    issued_at: float | None = None

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


class Previous(msgspec.Struct, frozen=True):
    """A key that was replaced.

    Attributes:
        key: what it is; secret bytes, or PEM.
        until: Unix seconds at which it counts no more.
    """

    key: bytes
    until: float


class WorkerTokens:
    """Checks, and for our own worker and tests makes, worker tokens.

    Args:
        secret: the shared secret; its UTF-8 bytes are the key, even if it looks like base64.
        clock: Unix seconds.
        previous: a secret that workers may still have.
        revoked: which workers are not let in any more.
    """

    def __init__(
        self,
        secret: str,
        clock: Clock = time.time,
        *,
        previous: Previous | None = None,
        revoked: Callable[[WorkerIdentity], bool] = lambda _worker: False,
    ) -> None:
        self._key = Key.hs256(secret)
        self._verifier = Verifier([self._key], clock=clock)
        self._older: Verifier | None = None
        if previous is not None:
            older = Key.hs256(previous.key, until=previous.until)
            self._older = Verifier([older], clock=clock)
        self._clock = clock
        self._revoked = revoked

    def issue(self, worker_id: str) -> str:
        """A token as a worker makes it: no `exp`, no `nbf`."""
        claims = {"worker_id": worker_id, "iat": int(self._clock()), "iss": WORKER_ISSUER}
        return self._key.sign(claims)

    def verify(self, token: Any) -> WorkerIdentity | None:
        """The worker, or None for anything but a genuine token."""
        claims, previous = _claims(self._verifier, token), False
        if claims is None and self._older is not None:
            claims, previous = _claims(self._older, token), True
        if claims is None:
            return None
        worker_id = claims.get("worker_id")
        worker = WorkerIdentity(
            worker_id if isinstance(worker_id, str) else None, claims.get("exp"), previous
        )
        return None if self._revoked(worker) else worker

    def good(self, worker: WorkerIdentity) -> bool:
        """Whether a worker that was let in would be let in now."""
        return not self._revoked(worker) and not _past(worker.expires_at, self._clock)


class RunTokens:
    """Makes and checks run tokens.

    Args:
        private_key_pem: RSA, unencrypted PEM.
        clock: Unix seconds.
        previous: the RSA key before this one, private or public, as PEM.
    """

    def __init__(
        self,
        private_key_pem: bytes,
        clock: Clock = time.time,
        *,
        previous: Previous | None = None,
    ) -> None:
        self._key = Key.rs256(private_key_pem, kid=rsa_key_id(private_key_pem))
        older = [] if previous is None else [_previous_rsa(previous)]
        # The public half alone verifies, and cannot sign for those who have it.
        signs = previous is not None and b"PRIVATE KEY" in previous.key
        self._older = older[0] if signs else self._key
        self._verifier = Verifier([self._key, *older], require=("id", "lease", "exp"), clock=clock)
        self._clock = clock

    def issue(self, owner: Owner, lifetime: float, *, previous: bool = False) -> str:
        """The token of a claim, valid for `lifetime` seconds, and for a while before now.

        Args:
            owner: the run and its lease.
            lifetime: seconds.
            previous: for a worker that knows the key before the current one.

        A server whose clock was ahead must not leave workers with tokens that the other servers,
        or itself once the clock is right, take for not yet valid: a refused re-join costs a worker
        the slot for good.
        """
        now = int(self._clock())
        key = self._older if previous else self._key
        return key.sign(
            {
                "iss": RUN_ISSUER,
                "id": str(owner.run_id),
                "lease": str(owner.lease),
                "iat": now,
                "nbf": now - CLOCK_STEP,
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
        previous: the key before this one.
        revoked: which users are not let in any more.
    """

    def __init__(
        self,
        key: bytes,
        clock: Clock = time.time,
        *,
        previous: Previous | None = None,
        revoked: Callable[[User], bool] = lambda _user: False,
    ) -> None:
        self._key = Key.hs256(key, kid=key_id(key))
        older: list[Key] = []
        if previous is not None:
            older = [Key.hs256(previous.key, kid=key_id(previous.key), until=previous.until)]
        self._verifier = Verifier([self._key, *older], require=("sub", "projects"), clock=clock)
        self._clock = clock
        self._revoked = revoked

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
            "jti": str(uuid4()),
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
        token_id, issued_at = claims.get("jti"), claims.get("iat")
        user = User(
            str(claims["sub"]),
            projects,
            role,
            claims.get("exp"),
            tenants,
            token_id if isinstance(token_id, str) else None,
            issued_at if isinstance(issued_at, int | float) else None,
        )
        return None if self._revoked(user) else user

    def good(self, user: User) -> bool:
        """Whether a user who was let in would be let in now."""
        return not self._revoked(user) and not _past(user.expires_at, self._clock)


def as_uuid(value: Any) -> UUID | None:
    """`value` as a UUID if it is the text of one, else None."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def key_id(key: bytes) -> str:
    """The name of a secret key in the headers of tokens."""
    return hashlib.blake2b(key, digest_size=6, person=b"token key").hexdigest()


def rsa_key_id(pem: bytes) -> str:
    """The name of an RSA key, the same for its private and its public half.

    Raises:
        ValueError: it is no RSA key in PEM.
    """
    key = load_rsa(pem)
    public = key.public_key() if isinstance(key, RSAPrivateKey) else key
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key_id(hashlib.sha256(der).digest())


def _previous_rsa(previous: Previous) -> Key:
    return Key.rs256(previous.key, kid=rsa_key_id(previous.key), until=previous.until)


def _past(moment: float | None, clock: Clock) -> bool:
    return moment is not None and clock() >= moment


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
