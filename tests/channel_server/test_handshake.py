"""The opening handshake on the wire: phoenix-protocol sections 1.1, 1.2, 1.5 and 15."""

import asyncio
from typing import Any, ClassVar

import pytest

from channel_server.socket import ConnectInfo, Socket
from channel_server.testing.raw import UPGRADE
from tests.channel_server.recorder import Asking, Raw, Recorder, Serve, ask, params_of

# Mount point and query.


async def test_the_websocket_path_is_the_mount_plus_websocket(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    assert (await ask(raw, endpoint, "/socket/websocket?vsn=2.0.0")).status == 101
    assert (await ask(raw, endpoint, "/socket?vsn=2.0.0")).status == 404
    assert (await ask(raw, endpoint, "/socket/websocket/x?vsn=2.0.0")).status == 404


async def test_the_accept_header_answers_the_key(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    answer = await ask(raw, endpoint, "/socket/websocket")
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "sec-websocket-protocol" not in answer.headers
    assert "sec-websocket-extensions" not in answer.headers


async def test_path_variables_are_merged_into_the_params_and_win(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, path="/tenants/:tenant/socket")
    await ask(raw, endpoint, "/tenants/acme%20inc/socket/websocket?tenant=other&vsn=2.0.0")
    assert params_of(recorder) == {"tenant": "acme inc", "vsn": "2.0.0"}


async def test_query_params_are_nested_strings_and_keep_vsn(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    query = "a[b]=1&a[c][]=2&a[c][]=3&d=&e&vsn=2.0.0"
    assert (await ask(raw, endpoint, f"/socket/websocket?{query}")).status == 101
    assert params_of(recorder) == {
        "a": {"b": "1", "c": ["2", "3"]},
        "d": "",
        "e": "",
        "vsn": "2.0.0",
    }


async def test_an_undecodable_query_is_a_bad_request(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    answer = await ask(raw, endpoint, "/socket/websocket?a=%ff")
    assert (answer.status, answer.body) == (400, "query string is not UTF-8")
    assert recorder.calls == []


# Order of checks.


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_than_get_is_400_with_an_empty_body(
    serve: Serve, raw: Raw, recorder: type[Recorder], method: str
) -> None:
    endpoint = await serve(recorder)
    client = await raw(endpoint)
    answer = await client.request("/socket/websocket?vsn=2.0.0", method=method)
    assert (answer.status, answer.body) == (400, "")
    client = await raw(endpoint)
    upgrade = [*UPGRADE.items()]
    answer = await client.request("/socket/websocket?vsn=2.0.0", upgrade, method=method)
    assert (answer.status, answer.body) == (400, "")
    assert recorder.calls == []


async def test_head_is_400(serve: Serve, raw: Raw, recorder: type[Recorder]) -> None:
    client = await raw(await serve(recorder))
    answer = await client.request("/socket/websocket?vsn=2.0.0", method="HEAD")
    assert (answer.status, answer.body) == (400, "")


async def test_the_origin_is_checked_before_the_token_and_the_vsn(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, auth_token=True, check_origin=("good.example",))
    answer = await ask(
        raw,
        endpoint,
        "/socket/websocket?vsn=9",
        ("Origin", "https://evil.example"),
        ("Sec-WebSocket-Protocol", "base64url.bearer.phx.%%%"),
    )
    assert (answer.status, answer.body) == (403, "origin not allowed")


async def test_the_subprotocol_is_checked_before_the_vsn(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, subprotocols=("sip",))
    answer = await ask(raw, endpoint, "/socket/websocket?vsn=9", ("Sec-WebSocket-Protocol", "xmpp"))
    assert (answer.status, answer.body) == (403, "no common subprotocol")


async def test_connect_runs_before_the_upgrade_is_validated(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    client = await raw(endpoint)
    answer = await client.request("/socket/websocket?vsn=2.0.0")
    assert answer.status == 400
    assert "not a websocket upgrade" in answer.body
    assert len(recorder.calls) == 1


async def test_the_reason_of_a_bad_upgrade_is_said(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    client = await raw(endpoint)
    headers = [(name, value) for name, value in UPGRADE.items() if name != "Sec-WebSocket-Key"]
    answer = await client.request("/socket/websocket?vsn=2.0.0", headers)
    assert (answer.status, answer.body) == (
        400,
        "not a websocket upgrade: missing Sec-WebSocket-Key header",
    )


async def test_a_bad_key_is_a_bad_request(serve: Serve, raw: Raw, recorder: type[Recorder]) -> None:
    endpoint = await serve(recorder)
    client = await raw(endpoint)
    headers = [*{**UPGRADE, "Sec-WebSocket-Key": "c2hvcnQ="}.items()]
    assert (await client.request("/socket/websocket?vsn=2.0.0", headers)).status == 400


async def test_another_websocket_version_is_426_naming_13(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    client = await raw(endpoint)
    headers = [*{**UPGRADE, "Sec-WebSocket-Version": "8"}.items()]
    answer = await client.request("/socket/websocket?vsn=2.0.0", headers)
    assert answer.status == 426
    assert answer.headers["sec-websocket-version"] == "13"


# connect.


class AskingLater(Asking):
    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> Any:
        await asyncio.sleep(0)
        return super().connect(params, info)


@pytest.mark.parametrize("socket", [Asking, AskingLater])
@pytest.mark.parametrize(
    ("do", "status", "body"),
    [
        ("accept", 101, ""),
        ("refuse", 403, ""),
        ("slow_down", 429, "slow down"),
        ("odd_status", 499, "no"),
        ("raise", 500, "internal error"),
        ("invalid", 403, ""),
    ],
)
async def test_connect_decides_status_and_body(
    serve: Serve, raw: Raw, socket: type[Socket], do: str, status: int, body: str
) -> None:
    endpoint = await serve(socket)
    answer = await ask(raw, endpoint, f"/socket/websocket?vsn=2.0.0&do={do}")
    assert (answer.status, answer.body) == (status, body)
    client = await raw(endpoint)
    plain = await client.request(f"/socket/websocket?vsn=2.0.0&do={do}")
    assert plain.status == (400 if do == "accept" else status)


async def test_an_id_that_is_no_string_refuses(serve: Serve, raw: Raw) -> None:
    class Numbered(Socket):
        def id(self) -> Any:
            return 17

    assert (await ask(raw, await serve(Numbered), "/socket/websocket")).status == 403


async def test_an_id_that_raises_is_an_internal_error(serve: Serve, raw: Raw) -> None:
    class Broken(Socket):
        def id(self) -> str:
            raise RuntimeError

    assert (await ask(raw, await serve(Broken), "/socket/websocket")).status == 500


class Waiting(Socket):
    """Waits until the test decides."""

    release: ClassVar[asyncio.Event]
    entered: ClassVar[asyncio.Event]
    cancelled: ClassVar[asyncio.Event]

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
async def waiting() -> type[Waiting]:
    Waiting.release, Waiting.entered = asyncio.Event(), asyncio.Event()
    Waiting.cancelled = asyncio.Event()
    return Waiting


async def test_a_connect_that_takes_too_long_is_refused_with_503(
    serve: Serve, raw: Raw, waiting: type[Waiting]
) -> None:
    endpoint = await serve(waiting, handshake_timeout=0.1)
    answer = await ask(raw, endpoint, "/socket/websocket?vsn=2.0.0")
    assert (answer.status, answer.body) == (503, "connecting took too long")
    await asyncio.wait_for(waiting.cancelled.wait(), 5)


async def test_frames_sent_before_the_response_are_not_lost(
    serve: Serve, raw: Raw, waiting: type[Waiting]
) -> None:
    endpoint = await serve(waiting)
    client = await raw(endpoint)
    head = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    request = f"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode()
    frame = b"\x81\x80abcd"  # empty text: malformed for the serializer
    client.write(request + frame)
    await asyncio.wait_for(waiting.entered.wait(), 5)
    waiting.release.set()
    assert (await client.response()).status == 101
    assert (await client.closed()).close_code in (1007, 1008)


async def test_a_client_that_goes_away_cancels_its_connect(
    serve: Serve, raw: Raw, waiting: type[Waiting]
) -> None:
    endpoint = await serve(waiting)
    client = await raw(endpoint)
    target = "/socket/websocket?vsn=2.0.0"
    request = asyncio.ensure_future(client.upgrade(target))
    await asyncio.wait_for(waiting.entered.wait(), 5)
    await endpoint.stop(drain=False)
    assert (await request).status == 503
    await asyncio.wait_for(waiting.cancelled.wait(), 5)


# vsn.


@pytest.mark.parametrize("vsn", ["1.0.0", "1.0.9", "2.0.0", "2.0.5"])
async def test_vsn_1_0_z_and_2_0_z_are_accepted(
    serve: Serve, raw: Raw, recorder: type[Recorder], vsn: str
) -> None:
    endpoint = await serve(recorder)
    assert (await ask(raw, endpoint, f"/socket/websocket?vsn={vsn}")).status == 101
    assert recorder.calls[0][1].vsn == f"{vsn[0]}.0.0"


@pytest.mark.parametrize(
    "query",
    ["vsn=2.1.0", "vsn=2.0", "vsn=2", "vsn=abc", "vsn=", "vsn=123.1.1", "vsn=2.0.0-dev", "vsn[]=2"],
)
async def test_any_other_vsn_is_403_and_connect_is_not_called(
    serve: Serve, raw: Raw, recorder: type[Recorder], query: str
) -> None:
    endpoint = await serve(recorder)
    answer = await ask(raw, endpoint, f"/socket/websocket?{query}")
    assert answer.status == 403
    assert recorder.calls == []


async def test_an_absent_vsn_means_v1(serve: Serve, raw: Raw, recorder: type[Recorder]) -> None:
    endpoint = await serve(recorder)
    client = await raw(endpoint)
    assert (await client.upgrade("/socket/websocket")).status == 101
    client.send_json({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "1"})
    assert await client.json() == {
        "topic": "phoenix",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": "1",
    }
    client.send_json([None, "1", "phoenix", "heartbeat", {}])
    assert (await client.closed()).close_code == 1008
