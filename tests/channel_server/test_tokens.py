"""Tokens that must be refused, and the few that must not."""

import base64
import hmac
import json
import time
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from channel_server.tokens import LEEWAY, MAX_LENGTH, Key, TokenError, Verifier

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0


@cache
def rsa_pems() -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def encode(value: Any) -> str:
    raw = json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def verifier(*keys: Key, **options: Any) -> Verifier:
    return Verifier(keys or (Key.hs256(SECRET),), clock=lambda: NOW, **options)


def refused(token: str, subject: Verifier) -> tuple[str, str | None]:
    with pytest.raises(TokenError) as caught:
        subject.verify(token)
    return caught.value.failure, caught.value.claim


def test_hs256_round_trip() -> None:
    token = Key.hs256(SECRET).sign({"sub": "w1", "exp": NOW + 60})
    assert verifier().verify(token) == {"sub": "w1", "exp": NOW + 60}


def test_rs256_is_verified_with_the_public_key() -> None:
    private, public = rsa_pems()
    token = Key.rs256(private).sign({"sub": "r1"})
    assert verifier(Key.rs256(public)).verify(token) == {"sub": "r1"}


def test_the_default_clock_is_the_time() -> None:
    token = Key.hs256(SECRET).sign({"exp": time.time() + 60})
    assert Verifier([Key.hs256(SECRET)]).verify(token)


def test_another_key_is_a_bad_signature() -> None:
    token = Key.hs256("f" * 32).sign({})
    assert refused(token, verifier()) == ("signature", None)


def test_old_and_new_key_are_both_valid_during_a_rotation() -> None:
    old, new = Key.hs256("a" * 32), Key.hs256("b" * 32)
    both = verifier(new, old)
    assert both.verify(old.sign({"k": 1})) == {"k": 1}
    assert both.verify(new.sign({"k": 2})) == {"k": 2}


def test_a_public_key_is_not_an_hmac_secret() -> None:
    _, public = rsa_pems()
    signed = f"{encode({'alg': 'HS256'})}.{encode({'sub': 'admin'})}"
    mac = hmac.digest(public, signed.encode(), "sha256")
    forged = f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    assert refused(forged, verifier(Key.rs256(public))) == ("algorithm", None)


def test_an_unsigned_token_is_refused() -> None:
    token = f"{encode({'alg': 'none'})}.{encode({'sub': 'admin'})}."
    assert refused(token, verifier()) == ("algorithm", None)


@pytest.mark.parametrize("extra", [{"zip": "DEF"}, {"crit": ["b64"], "b64": False}])
def test_compressed_and_critical_headers_are_refused(extra: dict[str, Any]) -> None:
    token = f"{encode({'alg': 'HS256', **extra})}.{encode({})}.AAAA"
    assert refused(token, verifier()) == ("malformed", None)


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c.d", "\u00fc.b.c", "!!!.b.c", encode([1]) + ".b.c", encode("x") + ".b.c"],
)
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert refused(token, verifier()) == ("malformed", None)


def test_a_header_that_is_nested_too_deep_is_malformed() -> None:
    header = base64.urlsafe_b64encode(b"[" * 5_000).decode()
    assert refused(f"{header}.b.c", verifier())[0] == "malformed"


def test_a_very_long_token_is_not_looked_at() -> None:
    assert refused("a" * (MAX_LENGTH + 1), verifier()) == ("too_long", None)


@pytest.mark.parametrize("part", [1, 2])
def test_a_changed_token_is_refused(part: int) -> None:
    parts = Key.hs256(SECRET).sign({"sub": "w1"}).split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
    assert refused(".".join(parts), verifier()) == ("signature", None)


@pytest.mark.parametrize(
    ("claims", "failure"),
    [
        ({"exp": NOW - LEEWAY - 1}, ("expired", None)),
        ({"exp": NOW - LEEWAY + 1}, None),
        ({"nbf": NOW + LEEWAY + 1}, ("not_yet_valid", None)),
        ({"nbf": NOW + LEEWAY - 1}, None),
        ({"exp": "soon"}, ("claims", "exp")),
        ({"exp": True}, ("claims", "exp")),
        ({"nbf": [1]}, ("claims", "nbf")),
        ({"exp": None}, None),
    ],
)
def test_times_are_checked_with_five_seconds_of_leeway(
    claims: dict[str, Any], failure: tuple[str, str | None] | None
) -> None:
    token = Key.hs256(SECRET).sign(claims)
    if failure is None:
        assert verifier().verify(token) == claims
    else:
        assert refused(token, verifier()) == failure


def test_required_claims_must_be_there() -> None:
    token = Key.hs256(SECRET).sign({"sub": "w1"})
    assert verifier(require=["sub"]).verify(token)
    assert refused(token, verifier(require=["sub", "exp"])) == ("claims", "exp")


def test_a_verifier_has_keys_of_one_algorithm() -> None:
    with pytest.raises(ValueError, match="exactly one algorithm"):
        Verifier([])
    with pytest.raises(ValueError, match="exactly one algorithm"):
        Verifier([Key.hs256(SECRET), Key.rs256(rsa_pems()[0])])


def test_keys_and_errors_do_not_show_secrets() -> None:
    assert SECRET not in repr(Key.hs256(SECRET))
    assert str(TokenError("claims", "exp")) == "token refused: claims (exp)"
    assert str(TokenError("expired")) == "token refused: expired"


def test_bad_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Key.hs256("")
    with pytest.raises(ValueError, match="key"):
        Key.rs256("not a key")
