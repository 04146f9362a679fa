"""Tokens that are forged, stale, or for another door."""

import base64
import hashlib
import hmac
import json
import time
import zlib
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import structs

from channel_server.client_errors import JoinRefused
from channel_server.testing.raw import UPGRADE, RawClient
from channel_server.tokens import Key
from handlers.config import ConfigError
from schema.outcomes import Owner
from tests.attack.target import Target
from tests.handlers.bench import SECRET

Claims = dict[str, Any]
Forge = Callable[[Target, Claims], str]


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Claims, payload: Any, key: bytes) -> str:
    """A token with any header, signed with HMAC-SHA-256."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(hmac.digest(key, text.encode(), hashlib.sha256))}"


def user_key(target: Target) -> bytes:
    return target.app.settings.user_key()


def public_pem(target: Target) -> bytes:
    key = serialization.load_pem_private_key(target.app.settings.private_key_pem(), None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def other_rsa(claims: Claims) -> str:
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Key.rs256(pem).sign(claims)


def tampered(token: str, **changes: Any) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{part(claims | changes)}.{signature}"


HS256: Claims = {"alg": "HS256", "typ": "JWT"}

HEADERS: list[tuple[str, Claims]] = [
    ("alg none", {"alg": "none"}),
    ("alg None", {"alg": "None"}),
    ("alg NONE", {"alg": "NONE"}),
    ("alg empty", {"alg": ""}),
    ("alg null", {"alg": None}),
    ("no alg", {}),
    ("alg as a list", {"alg": ["HS256"]}),
    ("alg hs256", {"alg": "hs256"}),
    ("alg HS384", {"alg": "HS384"}),
    ("alg RS256", {"alg": "RS256"}),
    ("alg ES256", {"alg": "ES256"}),
    ("alg dir", {"alg": "dir", "enc": "A256GCM"}),
    ("zip", {"alg": "HS256", "zip": "DEF"}),
    ("crit", {"alg": "HS256", "crit": ["exp"], "exp": 1}),
    ("unencoded payload", {"alg": "HS256", "b64": False, "crit": ["b64"]}),
]

JOSE: list[tuple[str, Claims]] = [
    ("a key of another", {"kid": "another"}),
    ("a key by path", {"kid": "../../../../dev/null"}),
    ("a key by sql", {"kid": "' UNION SELECT 'key"}),
    ("a key by address", {"jku": "http://169.254.169.254/keys", "x5u": "http://127.0.0.1/"}),
    ("a key in the token", {"jwk": {"kty": "oct", "k": part(b"attacker")}}),
]


@pytest.mark.parametrize("header", [case[1] for case in HEADERS], ids=[case[0] for case in HEADERS])
@pytest.mark.parametrize("mount", ["socket", "worker"])
async def test_a_header_other_than_ours_is_refused_even_if_rightly_signed(
    target: Target, mount: str, header: Claims
) -> None:
    key = user_key(target) if mount == "socket" else SECRET.encode()
    claims: Claims = {
        "sub": "mallory",
        "projects": [str(target.world.project.id)],
        "worker_id": "w",
    }
    payload = zlib.compress(json.dumps(claims).encode()) if "zip" in header else claims
    forged = signed(header, payload, key)
    assert await status(target, mount, forged) == 403
    assert await status(target, mount, forged.rpartition(".")[0] + ".") == 403


@pytest.mark.parametrize("header", [case[1] for case in JOSE], ids=[case[0] for case in JOSE])
@pytest.mark.parametrize("mount", ["socket", "worker"])
async def test_no_key_is_chosen_by_the_token(target: Target, mount: str, header: Claims) -> None:
    claims: Claims = {"sub": "mallory", "projects": [], "worker_id": "w"}
    assert await status(target, mount, signed(HS256 | header, claims, b"attacker")) == 403


async def test_the_forger_of_these_tests_makes_tokens_that_would_be_accepted(
    target: Target,
) -> None:
    claims: Claims = {"sub": "mallory", "projects": []}
    assert await status(target, "socket", signed(HS256, claims, user_key(target))) == 101
    assert await status(target, "worker", signed(HS256, {"worker_id": "w"}, SECRET.encode())) == 101


FORGED: list[tuple[str, Forge]] = [
    ("nothing", lambda _t, _c: ""),
    ("a word", lambda _t, _c: "null"),
    ("dots", lambda _t, _c: ".."),
    ("five parts", lambda _t, _c: "a.b.c.d.e"),
    ("not ascii", lambda _t, _c: "é.é.é"),
    ("another secret", lambda _t, c: signed(HS256, c, b"another secret")),
    ("an empty secret", lambda _t, c: signed(HS256, c, b"")),
    ("the public key as secret", lambda t, c: signed(HS256, c, public_pem(t))),
    ("a run token", lambda t, _c: t.app.gateway.run_tokens.issue(Owner(uuid4(), uuid4()), 60)),
    ("an rsa key of one's own", lambda _t, c: other_rsa(c)),
    ("no subject", lambda t, c: signed(HS256, c | {"sub": None}, user_key(t))),
    ("projects as text", lambda t, c: signed(HS256, c | {"projects": "*"}, user_key(t))),
    ("projects as a wildcard", lambda t, c: signed(HS256, c | {"projects": ["*"]}, user_key(t))),
    ("an unknown role", lambda t, c: signed(HS256, c | {"role": "root"}, user_key(t))),
    ("a list as role", lambda t, c: signed(HS256, c | {"role": ["viewer"]}, user_key(t))),
    ("a list as claims", lambda t, _c: signed(HS256, [1], user_key(t))),
    ("claims that are no json", lambda t, _c: signed(HS256, b"\xff{", user_key(t))),
    ("expired", lambda t, c: signed(HS256, c | {"exp": time.time() - 60}, user_key(t))),
    ("expired in 1970", lambda t, c: signed(HS256, c | {"exp": 0}, user_key(t))),
    ("not valid before tomorrow", lambda t, c: signed(HS256, c | {"nbf": 2**40}, user_key(t))),
    ("a word as exp", lambda t, c: signed(HS256, c | {"exp": "never"}, user_key(t))),
    ("true as exp", lambda t, c: signed(HS256, c | {"exp": True}, user_key(t))),
    ("a list as nbf", lambda t, c: signed(HS256, c | {"nbf": [0]}, user_key(t))),
    ("an exp of 400 digits", lambda t, c: signed(HS256, c | {"exp": 10**400}, user_key(t))),
    ("other projects, old signature", lambda t, _c: tampered(t.user_token(), projects=[])),
    (
        "another algorithm, old signature",
        lambda t, _c: part({"alg": "RS256"}) + t.user_token()[20:],
    ),
    ("a worker token", lambda t, _c: t.worker_token()),
]


@pytest.mark.parametrize("forge", [case[1] for case in FORGED], ids=[case[0] for case in FORGED])
async def test_a_forged_user_token_is_refused_at_the_upgrade(target: Target, forge: Forge) -> None:
    claims: Claims = {
        "sub": "mallory",
        "projects": [str(target.world.project.id)],
        "role": "viewer",
    }
    token = forge(target, claims)
    assert await status(target, "socket", token) == 403
    assert await offered(target, token) == 403


FORGED_WORKERS: list[tuple[str, Forge]] = [
    ("a user token", lambda t, _c: t.user_token()),
    ("another secret", lambda _t, c: signed(HS256, c, b"another secret, long enough")),
    ("the public key as secret", lambda t, c: signed(HS256, c, public_pem(t))),
    ("the secret in base64", lambda _t, c: signed(HS256, c, base64.b64encode(SECRET.encode()))),
    ("future", lambda _t, c: signed(HS256, c | {"nbf": time.time() + 3600}, SECRET.encode())),
    ("expired", lambda _t, c: signed(HS256, c | {"exp": time.time() - 3600}, SECRET.encode())),
    ("tampered", lambda t, _c: tampered(t.worker_token(), worker_id="another")),
    ("a run token", lambda t, _c: t.app.gateway.run_tokens.issue(Owner(uuid4(), uuid4()), 60)),
]


@pytest.mark.parametrize(
    "forge", [case[1] for case in FORGED_WORKERS], ids=[case[0] for case in FORGED_WORKERS]
)
async def test_a_forged_worker_token_is_refused_at_the_upgrade(
    target: Target, forge: Forge
) -> None:
    assert await status(target, "worker", forge(target, {"worker_id": "w"})) == 403


RUN_TOKENS: list[tuple[str, Callable[[Target, UUID], Any]]] = [
    ("none", lambda _t, _r: None),
    ("a number", lambda _t, _r: 7),
    ("an object", lambda _t, _r: {"alg": "none"}),
    ("the worker token", lambda t, _r: t.worker_token()),
    ("a user token", lambda t, _r: t.user_token()),
    ("of another run", lambda t, _r: t.app.gateway.run_tokens.issue(Owner(uuid4(), uuid4()), 60)),
    ("expired", lambda t, r: t.app.gateway.run_tokens.issue(Owner(r, uuid4()), -60)),
    ("of another key", lambda _t, r: other_rsa(run_claims(r))),
    ("of another issuer", lambda t, r: own_rsa(t, run_claims(r) | {"iss": "Thunder"})),
    ("without a lease", lambda t, r: own_rsa(t, run_claims(r) | {"lease": None})),
    ("with a word as lease", lambda t, r: own_rsa(t, run_claims(r) | {"lease": "*"})),
    ("without exp", lambda t, r: own_rsa(t, run_claims(r) | {"exp": None})),
    ("of the future", lambda t, r: own_rsa(t, run_claims(r) | {"nbf": 2**40})),
    ("signed with the public key", lambda t, r: signed(HS256, run_claims(r), public_pem(t))),
    ("signed with the worker secret", lambda _t, r: signed(HS256, run_claims(r), SECRET.encode())),
    ("not signed", lambda _t, r: f"{part({'alg': 'none'})}.{part(run_claims(r))}."),
    ("longer than 8 KiB", lambda t, r: own_rsa(t, run_claims(r) | {"x": "y" * 8192})),
]


def run_claims(run_id: UUID) -> Claims:
    lease = str(uuid4())
    return {"iss": "Lightning", "id": str(run_id), "lease": lease, "exp": time.time() + 60}


def own_rsa(target: Target, claims: Claims) -> str:
    return Key.rs256(target.app.settings.private_key_pem()).sign(claims)


@pytest.mark.parametrize(
    "forge", [case[1] for case in RUN_TOKENS], ids=[case[0] for case in RUN_TOKENS]
)
async def test_a_forged_run_token_does_not_open_the_run(
    target: Target, forge: Callable[[Target, UUID], Any]
) -> None:
    created = await target.world.enqueue()
    worker = await target.worker()
    with pytest.raises(JoinRefused) as refused:
        await worker.join(f"run:{created.run_id}", {"token": forge(target, created.run_id)})
    assert refused.value.response == {"reason": "unauthorized"}


async def test_a_token_longer_than_8_kib_is_not_even_read(target: Target) -> None:
    claims: Claims = {"sub": "mallory", "projects": [], "x": "y" * 8192}
    token = signed(HS256, claims, user_key(target))
    assert await status(target, "socket", token) == 414
    assert await offered(target, token) in (400, 431)


async def status(target: Target, mount: str, token: str) -> int:
    """The status of an upgrade with this token in the query."""
    client = await target.tcp()
    encoded = "".join(f"%{byte:02X}" for byte in token.encode()) if not token.isascii() else token
    return (await client.upgrade(f"/{mount}/websocket?vsn=2.0.0&token={encoded}")).status


async def offered(target: Target, token: str) -> int:
    """The status of an upgrade with this token as a subprotocol, which must not be echoed."""
    client = await target.tcp()
    hidden = base64.b64encode(token.encode()).decode().rstrip("=")
    headers = [("Sec-WebSocket-Protocol", f"phoenix, base64url.bearer.phx.{hidden}")]
    answer = await client.upgrade("/socket/websocket?vsn=2.0.0", headers)
    assert "bearer" not in repr(answer)
    return answer.status


@pytest.mark.parametrize(
    "protocols",
    [
        "base64url.bearer.phx.{token}",
        "phoenix, base64url.bearer.phx.{token}",
        "base64url.bearer.phx.{token}, phoenix",
        "phoenix, base64url.bearer.phx.{token}, base64url.bearer.phx.{token}",
        "phoenix,,, ,base64url.bearer.phx.{token}",
        "base64url.bearer.phx.{token}==",
    ],
)
async def test_the_protocol_that_carries_the_token_is_never_echoed(
    target: Target, protocols: str
) -> None:
    hidden = base64.b64encode(target.user_token().encode()).decode().rstrip("=")
    client = await target.tcp()
    headers = [("Sec-WebSocket-Protocol", protocols.format(token=hidden))]
    answer = await client.upgrade("/socket/websocket?vsn=2.0.0", headers)
    assert answer.status in (101, 403)
    assert "bearer" not in repr(answer)
    assert hidden[:40] not in repr(answer)


@pytest.mark.parametrize(
    "hidden",
    [b"\x80", b"\xff\xfe", b"!!!!", b"A", b"====", b"gICA", b"", b"\xc3\xa9" * 9],
    ids=repr,
)
async def test_a_hidden_token_that_cannot_be_decoded_is_403(target: Target, hidden: bytes) -> None:
    client = await target.tcp()
    head = "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    offer = b"Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx." + hidden
    client.write(head.encode() + offer + b"\r\n\r\n")
    assert (await client.response()).status == 403


async def test_one_secret_for_workers_and_dashboards_is_refused_at_the_start(
    target: Target,
) -> None:
    shared = target.app.settings.worker_secret
    with pytest.raises(ConfigError, match="must differ from WORKER_SECRET"):
        structs.replace(target.app.settings, user_secret=shared).check()


@pytest.mark.parametrize("query", ["token[]={}", "token[a]={}", "Token={}", "access_token={}"])
async def test_a_token_counts_only_under_its_name(target: Target, query: str) -> None:
    client = await target.tcp()
    wanted = query.format(target.user_token())
    assert (await client.upgrade(f"/socket/websocket?vsn=2.0.0&{wanted}")).status == 403


async def test_a_dashboard_is_closed_when_its_token_expires(target: Target) -> None:
    claims: Claims = {
        "sub": "mallory",
        "projects": [],
        "exp": time.time() - 4.9,
    }  # within the leeway
    client: RawClient = await target.tcp()
    token = signed(HS256, claims, user_key(target))
    assert (await client.upgrade(f"/socket/websocket?vsn=2.0.0&token={token}")).status == 101
    assert (await client.closed()).close_code == 1008
