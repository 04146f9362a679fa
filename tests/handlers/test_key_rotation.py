"""Secrets and keys are replaced with an overlap: who has the previous one is let in, for a time."""

import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from channel_server.client_errors import ConnectRefused, JoinRefused
from channel_server.tokens import Key, TokenError, Verifier
from handlers import keyring
from handlers.application import USER_MOUNT, WORKER_MOUNT
from handlers.config import ConfigError, Settings
from handlers.revocations import Revocations
from handlers.run_tokens import RunTokens, UserTokens, WorkerTokens, key_id, rsa_key_id
from schema import revocations
from schema.crypto import UnknownKeyError
from schema.outcomes import Owner
from tests.handlers.bench import private_key, settings, stamp
from tests.handlers.conftest import MakeBench

OLD, NEW = "the workers' previous secret", "the workers' secret of today"
NONE = Revocations()


def at(seconds: float) -> str:
    """A moment as the setting says it, from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def other_key() -> tuple[str, str]:
    """Another RSA key: the private and the public half, as settings have them."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(private).decode(), base64.b64encode(public).decode()


def made(**more: Any) -> Settings:
    return settings("postgresql://x", **more)


def rotated(**more: Any) -> Settings:
    """Settings in the middle of a change of the worker secret."""
    values = {"worker_secret": NEW, "worker_secret_previous": OLD, "previous_until": at(60)}
    return made(**(values | more))


@pytest.mark.parametrize(("until", "let_in"), [(60, True), (-60, False)])
def test_a_worker_with_the_previous_secret_is_let_in_until_it_ends(
    until: float, let_in: bool
) -> None:
    tokens = keyring.worker_tokens(rotated(previous_until=at(until)), NONE)
    worker = tokens.verify(WorkerTokens(OLD).issue("w"))
    assert (worker is not None) == let_in
    if worker is not None:
        assert worker.expires_at == pytest.approx(time.time() + until, abs=5)
    today = tokens.verify(tokens.issue("w"))
    assert today is not None
    assert today.expires_at is None
    assert tokens.verify(WorkerTokens("a secret that never was").issue("w")) is None


@pytest.mark.parametrize(("until", "let_in"), [(60, True), (-60, False)])
def test_a_user_token_of_the_previous_secret_ends_with_it(until: float, let_in: bool) -> None:
    old, new = "the users' previous secret", "the users' secret of today"
    before = UserTokens(old.encode())
    after = keyring.user_tokens(
        made(user_secret=new, user_secret_previous=old, previous_until=at(until)), NONE
    )
    user = after.verify(before.issue("ana", [], "viewer", 3600))
    assert (user is not None) == let_in
    if user is not None:
        assert user.expires_at == pytest.approx(time.time() + until, abs=5)
    short = after.verify(before.issue("ana", [], "viewer", 20))
    if short is not None:  # its own end comes first
        assert short.expires_at == pytest.approx(time.time() + 20, abs=5)
    assert before.verify(after.issue("ana", [], "viewer", 60)) is None


def test_keys_that_are_derived_from_the_worker_secret_change_with_it() -> None:
    before = made(worker_secret=OLD, credentials_key="")
    token = keyring.user_tokens(before, NONE).issue("ana", [], "viewer", 60)
    sealed = keyring.cipher(before).encrypt(b"body", context="c")
    during = rotated(credentials_key="")
    assert keyring.user_tokens(during, NONE).verify(token) is not None
    assert keyring.cipher(during).decrypt(sealed, context="c") == b"body"
    over = rotated(credentials_key="", previous_until=at(-60))
    assert keyring.user_tokens(over, NONE).verify(token) is None
    # To refuse to read what is stored would protect nobody.
    assert keyring.cipher(over).decrypt(sealed, context="c") == b"body"
    after = made(worker_secret=NEW, credentials_key="")
    assert keyring.user_tokens(after, NONE).verify(token) is None
    with pytest.raises(UnknownKeyError):
        keyring.cipher(after).decrypt(sealed, context="c")


def test_a_key_of_its_own_reads_what_the_derived_one_wrote() -> None:
    sealed = keyring.cipher(made(credentials_key="")).encrypt(b"body")
    own = made(credentials_key=base64.b64encode(b"n" * 32).decode())
    assert keyring.cipher(own).stale(sealed)
    assert keyring.cipher(own).decrypt(sealed) == b"body"


def test_the_previous_credentials_key_is_only_read() -> None:
    keys = [base64.b64encode(one * 32).decode() for one in (b"o", b"n")]
    sealed = keyring.cipher(made(credentials_key=keys[0])).encrypt(b"body")
    both = keyring.cipher(made(credentials_key=keys[1], credentials_key_previous=keys[0]))
    assert both.decrypt(sealed) == b"body"
    assert not both.stale(both.encrypt(b"body"))


@pytest.mark.parametrize("half", ["private", "public"])
@pytest.mark.parametrize(("until", "let_in"), [(60, True), (-60, False)])
def test_a_run_token_of_the_previous_key_counts_until_it_ends(
    half: str, until: float, let_in: bool
) -> None:
    private, public = other_key()
    owner = Owner(uuid4(), uuid4())
    token = RunTokens(base64.b64decode(private)).issue(owner, 3600)
    tokens = keyring.run_tokens(
        made(
            worker_runs_private_key_previous=private if half == "private" else public,
            previous_until=at(until),
        )
    )
    assert (tokens.verify(token, owner.run_id) == owner) == let_in
    assert tokens.verify(tokens.issue(owner, 60), owner.run_id) == owner
    assert keyring.run_tokens(made()).verify(token, owner.run_id) is None


def test_both_halves_of_a_key_have_one_name() -> None:
    private, public = (base64.b64decode(half) for half in other_key())
    assert rsa_key_id(private) == rsa_key_id(public)
    assert rsa_key_id(base64.b64decode(private_key())) != rsa_key_id(private)


@pytest.mark.parametrize(
    ("signed_by", "named", "genuine"),
    [
        ("new", "new", True),
        ("old", "old", True),
        ("old", None, True),  # issued before keys had names
        ("new", None, True),
        ("old", "new", False),  # a name is no way around a key
        ("new", "old", False),
        ("old", "unknown", True),
        ("other", "new", False),
        ("other", None, False),
    ],
)
def test_the_name_of_a_key_chooses_among_our_own_keys_only(
    signed_by: str, named: str | None, genuine: bool
) -> None:
    secrets = {name: name.encode() * 16 for name in ("new", "old", "other")}
    ours = [Key.hs256(secrets[name], kid=name) for name in ("new", "old")]
    token = Key.hs256(secrets[signed_by], kid=named).sign({"sub": "ana"})
    verifier = Verifier(ours)
    if genuine:
        assert verifier.verify(token)["sub"] == "ana"
    else:
        with pytest.raises(TokenError):
            verifier.verify(token)


def with_header(secret: bytes, header: dict[str, Any]) -> str:
    """A token that is genuine, with a header of any kind."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, {"sub": "ana"})
    ]
    signature = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize("kid", ["", "x" * 200, "../../etc/passwd", "\0", "' OR 1=1 --"])
def test_a_name_that_we_do_not_know_is_no_more_than_a_hint(kid: str) -> None:
    token = with_header(b"s" * 32, {"alg": "HS256", "kid": kid})
    assert Verifier([Key.hs256(b"s" * 32, kid="ours")]).verify(token)["sub"] == "ana"
    assert key_id(b"s" * 32) != key_id(b"t" * 32)


@pytest.mark.parametrize("kid", [5, True, [], {}, ["ours"], "x" * 4000])
def test_a_name_that_can_be_none_is_refused_like_any_bad_token(kid: Any) -> None:
    token = with_header(b"s" * 32, {"alg": "HS256", "kid": kid})
    with pytest.raises(TokenError):
        Verifier([Key.hs256(b"s" * 32, kid="ours")]).verify(token)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"worker_secret_previous": OLD}, "CHANNEL_SERVER_PREVIOUS_UNTIL is not set"),
        ({"user_secret_previous": OLD}, "CHANNEL_SERVER_PREVIOUS_UNTIL is not set"),
        (
            {"worker_secret_previous": OLD, "previous_until": "tomorrow"},
            "must be a time with its zone",
        ),
        (
            {"worker_secret_previous": OLD, "previous_until": "2026-12-01T00:00:00"},
            "must be a time with its zone",
        ),
        (
            {"worker_secret": OLD, "worker_secret_previous": OLD, "previous_until": at(60)},
            "WORKER_SECRET_PREVIOUS is the same as the current one",
        ),
        (
            {"worker_runs_private_key_previous": "bm8=", "previous_until": at(60)},
            "WORKER_RUNS_PRIVATE_KEY_PREVIOUS holds no unencrypted PEM key",
        ),
        (
            {"credentials_key_previous": "c2hvcnQ="},
            "CHANNEL_SERVER_CREDENTIALS_KEY_PREVIOUS must be 32 bytes",
        ),
    ],
)
def test_a_previous_secret_that_cannot_be_used_is_refused_at_the_start(
    values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**values)
    assert problem in str(caught.value)
    assert OLD not in str(caught.value)


async def test_a_worker_with_the_previous_secret_gets_run_tokens_that_it_can_verify(
    make_bench: MakeBench,
) -> None:
    """A worker exits when its public key does not fit: each gets the key of its generation."""
    private, public = other_key()
    bench = await make_bench(
        worker_secret=NEW,
        worker_secret_previous=OLD,
        worker_runs_private_key_previous=private,
        previous_until=at(600),
    )
    theirs = {
        OLD: Verifier([Key.rs256(base64.b64decode(public))]),
        NEW: Verifier([Key.rs256(bench.app.settings.private_key_pem())]),
    }
    for secret, verifier in theirs.items():
        worker = await bench.connect(WORKER_MOUNT, WorkerTokens(secret).issue(f"w-{len(secret)}"))
        run_id, token = await bench.claimed(worker)
        assert verifier.verify(token)["id"] == str(run_id)
        run = await bench.join(run_id, token, worker)
        await run.call("run:start", {"timestamp": stamp()})


def test_the_public_half_of_the_previous_key_signs_nothing() -> None:
    _, public = other_key()
    tokens = keyring.run_tokens(
        made(worker_runs_private_key_previous=public, previous_until=at(60))
    )
    owner = Owner(uuid4(), uuid4())
    assert tokens.verify(tokens.issue(owner, 60, previous=True), owner.run_id) == owner


async def test_no_secret_new_or_old_is_told_by_anything(make_bench: MakeBench) -> None:
    private, _ = other_key()
    old = "the users' secret of yesterday"
    bench = await make_bench(
        worker_secret=NEW,
        worker_secret_previous=OLD,
        user_secret_previous=old,
        user_secret="the users' secret of today",
        worker_runs_private_key_previous=private,
        credentials_key_previous=base64.b64encode(b"o" * 32).decode(),
        previous_until=at(600),
    )
    gateway = bench.app.gateway
    with capture_logs() as logged:
        before = UserTokens(old.encode()).issue("ana", [bench.world.project.id], "viewer", 600)
        worker_token = WorkerTokens(OLD).issue("w")
        await bench.connect(USER_MOUNT, before)
        worker = await bench.connect(WORKER_MOUNT, worker_token)
        run_id, run_token = await bench.claimed(worker)
        with pytest.raises(JoinRefused) as refused:
            await worker.join(f"run:{uuid4()}", {"token": run_token, "errors": "structured"})
        user = gateway.user_tokens.verify(before)
        assert user is not None
        assert user.token_id is not None
        await revocations.revoke(bench.app.repo, "token", user.token_id, by="ana")
        assert await gateway.revocation_watch.read()
        with pytest.raises(ConnectRefused) as closed:
            await bench.connect(USER_MOUNT, before)
    seen = repr(logged) + repr(refused.value.response) + str(closed.value)
    seen += bench.app.render_metrics().decode()
    settings = bench.app.settings
    secrets = (OLD, NEW, old, settings.user_secret, private, settings.worker_runs_private_key)
    for secret in (*secrets, before, worker_token, run_token, user.token_id):
        assert secret not in seen
    assert str(run_id) not in bench.app.render_metrics().decode()
