"""JSON Web Tokens, signed with HS256 or RS256 and verified with no room for negotiation.

The verifier, not the token, says which algorithm and which keys count, so neither ``none`` nor a
public key used as an HMAC secret gets through. Nothing of a token is used before its signature is
checked.
"""

import base64
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey

from channel_server.rsa_keys import load_rsa

Algorithm: TypeAlias = Literal["HS256", "RS256"]
Claims: TypeAlias = dict[str, Any]
Failure: TypeAlias = Literal[
    "too_long", "malformed", "algorithm", "signature", "claims", "expired", "not_yet_valid"
]

MAX_LENGTH: Final = 8 * 1024
"""Longest accepted token, in characters."""

LEEWAY: Final = 5.0
"""Seconds that two clocks may differ."""


class TokenError(Exception):
    """A token that must not be trusted.

    Attributes:
        failure: Why, as a constant; fit for logs and metrics.
        claim: Which claim is missing or unusable, if that is why.
    """

    def __init__(self, failure: Failure, claim: str | None = None) -> None:
        super().__init__(failure, claim)
        self.failure = failure
        self.claim = claim

    def __str__(self) -> str:
        return f"token refused: {self.failure}" + (f" ({self.claim})" if self.claim else "")


class Key:
    """A key together with the only algorithm it may be used with.

    Attributes:
        algorithm: The algorithm.
        kid: Its name in the headers of tokens; None for none.
        until: Unix seconds at which what it signed ends, whatever the token says; None for never.
    """

    __slots__ = ("_key", "algorithm", "kid", "until")

    def __init__(
        self,
        algorithm: Algorithm,
        key: OctKey | RSAKey,
        *,
        kid: str | None = None,
        until: float | None = None,
    ) -> None:
        self.algorithm: Algorithm = algorithm
        self.kid = kid
        self.until = until
        self._key = key

    def __repr__(self) -> str:
        return f"Key({self.algorithm!r})"

    @classmethod
    def hs256(
        cls, secret: str | bytes, *, kid: str | None = None, until: float | None = None
    ) -> "Key":
        """A shared secret, used as it is; 32 random bytes are what the algorithm wants."""
        raw = secret.encode() if isinstance(secret, str) else secret
        if not raw:
            raise ValueError("the secret of an HS256 key must not be empty")
        return cls("HS256", OctKey.import_key(raw), kid=kid, until=until)

    @classmethod
    def rs256(
        cls, pem: str | bytes, *, kid: str | None = None, until: float | None = None
    ) -> "Key":
        """An RSA key in PEM; a private one signs and verifies, a public one only verifies.

        Raises:
            ValueError: It is no RSA key in PEM.
        """
        key = load_rsa(pem.encode() if isinstance(pem, str) else pem)
        return cls("RS256", RSAKey.import_key(key), kid=kid, until=until)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The token with these claims; times are seconds since 1970."""
        header = {"alg": self.algorithm} | ({} if self.kid is None else {"kid": self.kid})
        return jwt.encode(header, dict(claims), self._key, algorithms=[self.algorithm])

    def check(self, token: str) -> Claims | None:
        """The claims if this key signed ``token``, else None. Times are not looked at."""
        try:
            return jwt.decode(token, self._key, algorithms=[self.algorithm]).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            return None


class Verifier:
    """Checks tokens against one or more keys of one algorithm.

    Several keys are for rotation. A token that names one of them (``kid``) is checked against that
    one alone; others, because not every issuer names its key, against all. What a key with an
    ``until`` signed expires then at the latest.

    Args:
        keys: At least one; all of the same algorithm. The current one first.
        require: Claims that must be present.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        *,
        require: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len({key.algorithm for key in keys}) != 1:
            raise ValueError("a verifier needs keys of exactly one algorithm")
        self._keys = tuple(keys)
        self._require = tuple(require)
        self._clock = clock

    def verify(self, token: str) -> Claims:
        """The claims of a token that is genuine and in force.

        Raises:
            TokenError: It is not.
        """
        if len(token) > MAX_LENGTH:
            raise TokenError("too_long")
        named = self._check_header(token).get("kid")
        claims = self._signed(token, named)
        self._check_times(claims)
        for name in self._require:
            if claims.get(name) is None:
                raise TokenError("claims", name)
        return claims

    def _signed(self, token: str, named: object) -> Claims:
        keys = [key for key in self._keys if key.kid is not None and key.kid == named]
        for key in keys or self._keys:
            claims = key.check(token)
            if claims is not None:
                if key.until is not None:
                    expires = _timestamp(claims, "exp")
                    claims["exp"] = key.until if expires is None else min(expires, key.until)
                return claims
        raise TokenError("signature")

    def _check_header(self, token: str) -> dict[str, Any]:
        header = _decode_header(token)
        if header.get("alg") != self._keys[0].algorithm:
            raise TokenError("algorithm")
        if "zip" in header or "crit" in header:
            raise TokenError("malformed")
        return header

    def _check_times(self, claims: Claims) -> None:
        now = self._clock()
        expires = _timestamp(claims, "exp")
        if expires is not None and expires + LEEWAY <= now:
            raise TokenError("expired")
        starts = _timestamp(claims, "nbf")
        if starts is not None and starts - LEEWAY > now:
            raise TokenError("not_yet_valid")


def _decode_header(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenError("malformed")
    try:
        raw = base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4))
        header: object = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise TokenError("malformed") from None
    if not isinstance(header, dict):
        raise TokenError("malformed")
    return cast("dict[str, Any]", header)


def _timestamp(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError("claims", name)
    try:
        moment = float(value)
    except OverflowError:  # an integer of hundreds of digits
        moment = math.inf
    if not math.isfinite(moment):
        raise TokenError("claims", name)
    return moment
