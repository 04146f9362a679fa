"""Worker, run and user tokens: what each opens, and everything that opens nothing."""

import base64
import hashlib
import hmac
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from channel_server.tokens import Key
from handlers.run_tokens import CLOCK_STEP, ROLES, RunTokens, UserTokens, WorkerTokens
from schema.outcomes import Owner

SECRET = "not base64, though it could be: aGVsbG8="
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def new_pem() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def pem() -> bytes:
    return new_pem()


def payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_worker_token_is_made_once_per_process_and_never_too_old() -> None:
    clock = Clock()
    tokens = WorkerTokens(SECRET, clock)
    token = tokens.issue("better-views-flow")
    clock.now += 10 * 365 * 86400
    identity = tokens.verify(token)
    assert identity is not None
    assert identity.worker_id == "better-views-flow"
    assert set(payload(token)) == {"worker_id", "iat", "iss"}


def test_the_worker_secret_is_used_as_raw_bytes() -> None:
    secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    raw = Key.hs256(secret.encode()).sign({"worker_id": "w"})
    decoded = Key.hs256(base64.b64decode(secret)).sign({"worker_id": "w"})
    assert WorkerTokens(secret).verify(raw) is not None
    assert WorkerTokens(secret).verify(decoded) is None


@pytest.mark.parametrize("token", [None, "", "abc", "a.b.c", 42, ["x"], {"token": 1}])
def test_what_is_no_token_opens_nothing(pem: bytes, token: Any) -> None:
    assert WorkerTokens(SECRET).verify(token) is None
    assert RunTokens(pem).verify(token, uuid4()) is None
    assert UserTokens(b"x" * 32).verify(token) is None


def test_a_worker_token_that_is_not_yet_valid_is_refused() -> None:
    token = Key.hs256(SECRET).sign({"worker_id": "w", "nbf": NOW + 60})
    assert WorkerTokens(SECRET, Clock()).verify(token) is None


def test_a_run_token_names_the_run_and_its_lease(pem: bytes) -> None:
    owner = Owner(uuid4(), uuid4())
    tokens = RunTokens(pem, Clock())
    token = tokens.issue(owner, 100)
    assert payload(token) == {
        "iss": "Lightning",
        "id": str(owner.run_id),
        "lease": str(owner.lease),
        "iat": NOW,
        "nbf": NOW - CLOCK_STEP,
        "exp": NOW + 100,
    }
    assert tokens.verify(token, owner.run_id) == owner


def test_a_run_token_opens_no_other_run(pem: bytes) -> None:
    tokens = RunTokens(pem)
    assert tokens.verify(tokens.issue(Owner(uuid4(), uuid4()), 100), uuid4()) is None


def test_a_run_token_expires_and_does_not_begin_early(pem: bytes) -> None:
    clock, owner = Clock(), Owner(uuid4(), uuid4())
    tokens = RunTokens(pem, clock)
    token = tokens.issue(owner, 100)
    clock.now = NOW + 99
    assert tokens.verify(token, owner.run_id) == owner
    clock.now = NOW + 106
    assert tokens.verify(token, owner.run_id) is None
    clock.now = NOW - CLOCK_STEP - 6
    assert tokens.verify(token, owner.run_id) is None


def test_a_run_token_of_a_server_whose_clock_was_ahead_opens_its_run(pem: bytes) -> None:
    ahead, owner = Clock(), Owner(uuid4(), uuid4())
    ahead.now = NOW + 3600
    token = RunTokens(pem, ahead).issue(owner, 100)
    assert RunTokens(pem, Clock()).verify(token, owner.run_id) == owner


def test_a_run_token_of_another_server_opens_nothing(pem: bytes) -> None:
    owner = Owner(uuid4(), uuid4())
    token = RunTokens(new_pem()).issue(owner, 100)
    assert RunTokens(pem).verify(token, owner.run_id) is None


@pytest.mark.parametrize("missing", ["iss", "id", "lease", "exp"])
def test_a_run_token_must_be_complete(pem: bytes, missing: str) -> None:
    run_id = uuid4()
    claims = {"iss": "Lightning", "id": str(run_id), "lease": str(uuid4()), "exp": NOW + 100}
    assert RunTokens(pem, Clock()).verify(Key.rs256(pem).sign(claims), run_id) is not None
    del claims[missing]
    assert RunTokens(pem, Clock()).verify(Key.rs256(pem).sign(claims), run_id) is None


def test_the_public_key_is_no_hmac_secret(pem: bytes) -> None:
    private = serialization.load_pem_private_key(pem, None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    run_id = uuid4()
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (
            {"alg": "HS256"},
            {"iss": "Lightning", "id": str(run_id), "lease": str(uuid4()), "exp": NOW + 100},
        )
    )

    mac = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    token = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert RunTokens(pem, Clock()).verify(token, run_id) is None


def test_a_user_token_names_projects_and_role() -> None:
    project = uuid4()
    tokens = UserTokens(b"x" * 32, Clock())
    user = tokens.verify(tokens.issue("ana", [project], "operator", 60))
    assert user is not None
    assert (user.subject, user.projects, user.role) == ("ana", {project}, "operator")
    assert user.expires_at == NOW + 60
    forever = tokens.verify(tokens.issue("ana", [project], "viewer", None))
    assert forever is not None
    assert forever.expires_at is None


def test_each_role_may_do_what_those_before_it_may() -> None:
    tokens = UserTokens(b"x" * 32, Clock())
    users = [tokens.verify(tokens.issue("ana", [], role, 60)) for role in ROLES]
    may = [[user is not None and user.may(role) for role in ROLES] for user in users]
    assert may == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "ana"},
        {"projects": []},
        {"sub": "ana", "projects": "all"},
        {"sub": "ana", "projects": ["*"]},
        {"sub": "ana", "projects": [1]},
        {"sub": "ana", "projects": [], "role": "owner"},
        {"sub": "ana", "projects": [], "role": ["admin"]},
        {"sub": "ana", "projects": [], "tenants": "*"},
        {"sub": "ana", "projects": [], "tenants": None},
        {"sub": "ana", "projects": [], "tenants": [1]},
        {"sub": "ana", "projects": [], "tenants": [""]},
        {"sub": "ana", "projects": [], "exp": NOW - 60},
    ],
)
def test_a_user_token_that_says_nothing_sure_opens_nothing(claims: dict[str, Any]) -> None:
    assert UserTokens(b"x" * 32, Clock()).verify(Key.hs256(b"x" * 32).sign(claims)) is None


@pytest.mark.parametrize(
    ("tenants", "nobodys", "ours", "theirs", "listed"),
    [
        (None, False, False, False, []),
        ([], True, False, False, []),
        (["U-100"], True, True, False, ["U-100"]),
        (["*"], True, True, True, None),
        (["U-100", "*"], True, True, True, None),
    ],
)
def test_a_user_sees_the_pipelines_of_the_tenants_in_the_token(
    tenants: list[str] | None, nobodys: bool, ours: bool, theirs: bool, listed: list[str] | None
) -> None:
    tokens = UserTokens(b"x" * 32, Clock())
    user = tokens.verify(tokens.issue("ana", [], "viewer", 60, tenants=tenants))
    assert user is not None
    seen = [user.sees_tenant(each) for each in (None, "U-100", "U-200")]
    assert (seen, user.tenant_filter()) == ([nobodys, ours, theirs], listed)


def test_tokens_of_one_kind_open_nothing_of_another(pem: bytes) -> None:
    owner = Owner(uuid4(), UUID(int=1))
    workers, runs, users = WorkerTokens(SECRET), RunTokens(pem), UserTokens(b"x" * 32)
    worker, run = workers.issue("w"), runs.issue(owner, 60)
    user = users.issue("ana", [], "viewer", 60)
    assert [workers.verify(token) for token in (run, user)] == [None, None]
    assert [runs.verify(token, owner.run_id) for token in (worker, user)] == [None, None]
    assert [users.verify(token) for token in (worker, run)] == [None, None]
