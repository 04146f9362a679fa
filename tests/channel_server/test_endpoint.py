"""The endpoint: one port for sockets and HTTP, and what it keeps out of the logs."""

import asyncio
import base64
import contextlib
import datetime
import io
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channel_server import log
from channel_server.channel import Channel
from channel_server.endpoint import Endpoint, EndpointError, Mount
from channel_server.errors import DefinitionError
from channel_server.limits import SocketLimits
from channel_server.socket import ConnectInfo, Refuse, Route, Socket
from channel_server.testing.raw import RawClient
from tests import plain_logs

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]


class Room(Channel):
    def join(self, payload: Any) -> None:
        del payload


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


class Hello:
    """An ASGI application."""

    def __init__(self) -> None:
        self.lifespan: list[str] = []
        self.release = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                self.lifespan.append(event["type"])
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/slow":
            self.entered.set()
            await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


async def test_http_and_websockets_share_the_port(serve: Serve, raw: Open, websocket: Open) -> None:
    app = Hello()
    endpoint = await serve(RoomSocket, endpoint={"http_app": app})
    client = await raw(endpoint)
    assert (await client.request("/hello", [("Connection", "close")])).status == 200
    await websocket(endpoint)
    assert app.lifespan == ["lifespan.startup"]
    await endpoint.stop(drain=False)
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]


async def test_without_an_application_everything_else_is_404(serve: Serve, raw: Open) -> None:
    client = await raw(await serve(RoomSocket))
    assert (await client.request("/hello")).status == 404


async def test_http_requests_in_progress_are_finished_by_stop(serve: Serve, raw: Open) -> None:
    app = Hello()
    endpoint = await serve(RoomSocket, endpoint={"http_app": app})
    client = await raw(endpoint)
    request = asyncio.ensure_future(client.request("/slow"))
    await asyncio.wait_for(app.entered.wait(), 5)
    stopping = asyncio.ensure_future(endpoint.stop())
    app.release.set()
    assert (await request).status == 200
    await stopping


async def test_http_requests_that_do_not_finish_are_cancelled_at_the_timeout(
    serve: Serve, raw: Open
) -> None:
    app = Hello()
    endpoint = await serve(RoomSocket, endpoint={"http_app": app, "stop_timeout": 0.5})
    client = await raw(endpoint)
    request = asyncio.ensure_future(client.request("/slow"))
    await asyncio.wait_for(app.entered.wait(), 5)
    await asyncio.wait_for(endpoint.stop(), 5)
    request.cancel()


async def test_an_application_that_does_not_start_is_an_error_and_frees_the_port() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    endpoint = Endpoint([Mount("/socket", RoomSocket)], http_app=broken, port=0)
    with pytest.raises(EndpointError, match="failed to start"):
        await endpoint.start()
    again = Endpoint([Mount("/socket", RoomSocket)], port=endpoint.port)
    await again.start()
    await again.stop()


async def test_a_port_in_use_is_an_os_error(serve: Serve) -> None:
    endpoint = await serve(RoomSocket)
    with pytest.raises(OSError, match="in use"):
        await Endpoint([], port=endpoint.port).start()


async def test_two_processes_may_share_a_port() -> None:
    first = Endpoint([], port=0, reuse_port=True)
    await first.start()
    second = Endpoint([], port=first.port, reuse_port=True)
    await second.start()
    await first.stop()
    await second.stop()


async def test_starting_twice_is_an_error_and_starting_again_is_not(serve: Serve) -> None:
    endpoint = await serve(RoomSocket)
    with pytest.raises(EndpointError, match="is running"):
        await endpoint.start()
    await endpoint.stop()
    await endpoint.start()


def test_two_mounts_at_one_path_are_a_definition_error() -> None:
    async def start() -> None:
        await Endpoint([Mount("/a", RoomSocket), Mount("/a/", RoomSocket)], port=0).start()

    with pytest.raises(DefinitionError, match="same path"):
        asyncio.run(start())


async def test_a_pattern_without_a_host_is_refused_at_the_start() -> None:
    limits = SocketLimits(check_origin=("https://*",))
    with pytest.raises(ValueError, match="no usable host"):
        await Endpoint([Mount("/a", RoomSocket, limits)], port=0).start()


async def test_the_url_names_the_port_that_was_taken(serve: Serve) -> None:
    endpoint = await serve(RoomSocket)
    assert endpoint.url == f"ws://127.0.0.1:{endpoint.port}"
    assert endpoint.http_url == f"http://127.0.0.1:{endpoint.port}"
    assert endpoint.port != 0


async def test_a_broadcast_from_outside_reaches_subscribers_and_counts_them(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    assert endpoint.broadcast("room:1", "news", {}) == 0
    client.send_json(["1", "1", "room:1", "phx_join", {}])
    await client.json()
    assert endpoint.broadcast("room:1", "news", {}) == 1
    assert (await client.json())[3] == "news"
    (connection,) = endpoint.connections()
    assert connection.topics() == ["room:1"]


async def test_a_unix_socket_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.sock"
    infos: list[ConnectInfo] = []

    class Local(RoomSocket):
        def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
            infos.append(info)

    endpoint = Endpoint([Mount("/socket", Local)], uds=str(path), trusted_proxies=["unix"])
    await endpoint.start()
    for headers in ({"X-Forwarded-For": "203.0.113.7"}, {}):
        async with websockets.unix_connect(
            str(path), "ws://localhost/socket/websocket?vsn=2.0.0", additional_headers=headers
        ) as client:
            await client.send('[null,"1","phoenix","heartbeat",{}]')
            assert '"phx_reply"' in str(await client.recv())
    await endpoint.stop()
    assert [info.peer for info in infos] == [("203.0.113.7", 0), None]
    assert not path.exists()


def certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + built.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_tls_is_served_and_closed_with_a_reason(tmp_path: Path) -> None:
    endpoint = Endpoint([Mount("/socket", RoomSocket)], port=0, ssl_context=certificate(tmp_path))
    await endpoint.start()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    url = f"{endpoint.url}/socket/websocket?vsn=2.0.0"
    assert url.startswith("wss://")
    async with websockets.connect(url, ssl=trusting) as client:
        await client.send("malformed")
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1007
    await endpoint.stop()


async def test_the_websockets_client_connects_pings_and_closes(serve: Serve) -> None:
    endpoint = await serve(RoomSocket)
    async with websockets.connect(f"{endpoint.url}/socket/websocket?vsn=2.0.0") as client:
        await (await client.ping())
        await client.send('[null,"1","phoenix","heartbeat",{}]')
        assert '"phx_reply"' in str(await client.recv())
    assert client.close_code == 1000


# Logs.


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that the process logs, at the lowest level."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure("json", level="debug", stream=stream)
    yield stream
    plain_logs.use()
    root.handlers[:] = handlers
    root.setLevel(level)


class Guarded(RoomSocket):
    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        if "raise" in params:
            raise RuntimeError(f"bad token={params['token']}")
        return Refuse() if "refuse" in params else None


async def test_no_token_is_ever_in_a_log_line(serve: Serve, raw: Open, lines: io.StringIO) -> None:
    secret = "canary-3141592653589793"
    encoded = base64.b64encode(secret.encode()).decode()
    endpoint = await serve(Guarded, auth_token=True)
    for suffix in ("", "&refuse", "&raise", "&vsn=9"):
        target = f"/socket/websocket?token={secret}{suffix}"
        client = await raw(endpoint)
        await client.upgrade(
            target,
            [
                ("Authorization", f"Bearer {secret}"),
                ("Cookie", f"session={secret}"),
                ("Sec-WebSocket-Protocol", f"phoenix, base64url.bearer.phx.{encoded}"),
            ],
        )
        client = await raw(endpoint)
        await client.request(target)
    await endpoint.stop(drain=False)
    assert "socket_connected" in lines.getvalue()
    assert "socket_connect_crashed" in lines.getvalue()
    assert secret not in lines.getvalue()
    assert encoded not in lines.getvalue()


async def test_connecting_refusing_and_disconnecting_are_logged(
    serve: Serve, raw: Open, lines: io.StringIO
) -> None:
    endpoint = await serve(Guarded)
    client = await raw(endpoint)
    await client.upgrade("/socket/websocket?refuse")
    client = await raw(endpoint)
    await client.upgrade("/socket/websocket")
    client.send(8, b"\x03\xe8")
    await client.ended()
    await endpoint.stop()
    events = [line.split('"event": "')[1].split('"')[0] for line in lines.getvalue().splitlines()]
    assert events == [
        "endpoint_started",
        "socket_refused",
        "socket_connected",
        "socket_disconnected",
        "endpoint_stopped",
    ]


@pytest.mark.parametrize("steps", range(6))
async def test_whoever_is_being_accepted_while_the_server_closes_is_not_left_hanging(
    steps: int,
) -> None:
    endpoint = Endpoint([], port=0)
    await endpoint.start()
    with socket.create_connection((endpoint.host, endpoint.port)) as peer:
        peer.setblocking(False)
        for _ in range(steps):
            await asyncio.sleep(0)
        await endpoint.stop(drain=False)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""
