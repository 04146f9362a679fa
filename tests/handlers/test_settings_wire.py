"""TLS, unix socket and proxies of a server, as they are configured."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from channel_server.client_errors import ConnectRefused
from channel_server.testing.peer import WirePeer
from handlers.application import Application
from handlers.config import ConfigError
from tests.handlers.bench import settings

Start = Callable[..., Awaitable[Application]]


@pytest.fixture
async def start(database_url: str) -> AsyncIterator[Start]:
    running: list[Application] = []

    async def made(**more: Any) -> Application:
        running.append(await Application(settings(database_url, pipelines="off", **more)).start())
        return running[-1]

    yield made
    for application in running:
        await application.stop(drain=False)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """Files with a certificate of 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "chain.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(files[0]), str(files[1])


async def test_tls_is_served_with_a_certificate_and_its_key(
    start: Start, certificate: tuple[str, str]
) -> None:
    chain, key = certificate
    app = await start(tls_certificate=chain, tls_key=key, plain="refuse")
    trusts = ssl.create_default_context(cafile=chain)
    assert app.endpoint.url.startswith("wss://")
    async with httpx.AsyncClient(verify=trusts, trust_env=False) as client:
        assert (await client.get(f"{app.endpoint.http_url}/healthz")).status_code == 200
    token = app.gateway.worker_tokens.issue("w")
    peer = await WirePeer.connect(f"{app.endpoint.url}/worker", {"token": token}, ssl=trusts)
    await peer.close()


async def test_a_unix_socket_is_listened_on_and_removed(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    app = await start(unix_socket=str(path))
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
        assert (await client.get("/healthz")).status_code == 200
    await app.stop(drain=False)
    assert not path.exists()


async def connect(app: Application, **headers: str) -> None:
    token = app.gateway.worker_tokens.issue("w")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    peer = await WirePeer.connect(f"{app.endpoint.url}/worker", {"token": token}, headers=sent)
    await peer.close()


async def test_without_tls_only_this_machine_is_let_in_when_plain_is_refused(start: Start) -> None:
    app = await start(plain="refuse", trusted_proxies=("127.0.0.1",))
    await connect(app)
    await connect(app, X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
    for headers in (
        {"X_Forwarded_For": "203.0.113.9"},
        {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http"},
        {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https, http"},
    ):
        with pytest.raises(ConnectRefused) as refused:
            await connect(app, **headers)
        assert (refused.value.status, refused.value.body) == (403, "TLS is required here; use wss")


async def test_proxies_that_are_not_listed_are_not_believed(start: Start) -> None:
    app = await start(plain="refuse")
    await connect(app, X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="http")


async def test_plain_is_let_in_by_default(start: Start) -> None:
    app = await start(trusted_proxies=("127.0.0.1",))
    await connect(app, X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="http")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_certificate": "x.pem"}, "need each other"),
        ({"tls_key": "x.pem"}, "need each other"),
        ({"tls_certificate": "x.pem", "tls_key": "y.pem"}, "No such file"),
        ({"trusted_proxies": ("no network",)}, "'no network' is no address and no network"),
    ],
)
def test_what_cannot_work_is_refused_at_start(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings("postgresql://x", **given)
