"""Clients that ask too often: each rate and each number of connections, by its own limit.

Rates are so low that nothing comes back while a test runs: what a test counts is the burst.
"""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_asyncio import fixture as async_fixture

from channel_server.rate_limit import Buckets, Rate
from channel_server.testing.raw import CLOSE, TEXT, RawClient, Response, make_frame
from handlers.application import Application
from handlers.http.address_rates import AddressRates
from schema.scratch import Scratch
from tests.attack.conftest import Serve
from tests.attack.rooms import Room, RoomSocket, client_of, upgraded
from tests.attack.target import HEARTBEAT, Target, alive
from tests.handlers.bench import project_with_credential, settings
from tests.schema.world import World

NEVER = 1e-4
"""Per second: for a test, never again."""


async def say(client: RawClient, ref: str, event: str = "echo") -> Any:
    client.send_json(["1", ref, "room:1", event, {}])
    return await client.json()


async def test_more_messages_than_the_rate_are_refused_with_the_time_to_wait(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, messages=Rate(0.5, 5), message_policy="refuse")
    client = await upgraded(endpoint)
    assert (await say(client, "1", "phx_join"))[4]["status"] == "ok"
    for ref in range(4):
        assert (await say(client, str(ref)))[4]["status"] == "ok"
    refused = await say(client, "late")
    assert refused[:4] == ["1", "late", "room:1", "phx_reply"]
    assert refused[4]["status"] == "error"
    response = refused[4]["response"]
    assert response["reason"] == "rate_limited"
    # One is owed and one more is needed, at two seconds each, less what has gone by.
    assert 0 < response["retry_after"] <= 4.001
    await alive(client)
    await client.close()


async def test_a_heartbeat_and_a_leave_are_never_refused(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, messages=Rate(NEVER, 1), message_policy="refuse")
    client = await upgraded(endpoint)
    assert (await say(client, "1", "phx_join"))[4]["status"] == "ok"
    for _ in range(20):
        await alive(client)
    assert (await say(client, "2"))[4]["response"]["reason"] == "rate_limited"
    assert (await say(client, "3", "phx_leave"))[4]["status"] == "ok"
    await client.close()


async def test_who_goes_on_in_spite_of_refusals_is_closed_with_1008(serve: Serve) -> None:
    endpoint = await serve(
        RoomSocket, messages=Rate(NEVER, 10), message_policy="refuse", message_excess=30
    )
    client, other = await upgraded(endpoint), await upgraded(endpoint)
    client.write(make_frame(TEXT, b'[null,"1","phoenix","heartbeat",{}]') * 500)
    frame, answers = await client.frame(), 0
    while frame.opcode != CLOSE:
        frame, answers = await client.frame(), answers + 1
    assert (frame.close_code, answers) == (1008, 40)
    await alive(other)
    await client.close()
    await other.close()


async def test_a_rate_that_pauses_refuses_nothing_and_reads_no_faster(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, messages=Rate(100.0, 20), message_policy="pause")
    client = await upgraded(endpoint)
    assert (await say(client, "1", "phx_join"))[4]["status"] == "ok"
    before, began = Room.heard, time.monotonic()
    client.write(make_frame(TEXT, b'["1","2","room:1","echo",{}]') * 60)
    for _ in range(60):
        assert (await client.json())[4]["status"] == "ok"
    assert Room.heard - before == 60
    # Twenty at once, the other forty at a hundred a second: never less than that.
    assert time.monotonic() - began >= 0.35
    assert endpoint.metrics.pauses
    await client.close()


async def test_a_connection_that_is_paused_by_its_rate_leaves_the_others_alone(
    serve: Serve,
) -> None:
    endpoint = await serve(RoomSocket, messages=Rate(1.0, 5), message_policy="pause")
    flood, other = await upgraded(endpoint), await upgraded(endpoint)
    flood.write(make_frame(TEXT, b'[null,"1","phoenix","heartbeat",{}]') * 10_000)
    for _ in range(3):
        await alive(other)
    flood.writer.transport.abort()
    await other.close()


async def test_an_address_that_asks_for_too_many_connections_waits(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, upgrades=Rate(0.01, 5))
    clients = [await upgraded(endpoint) for _ in range(4)]
    plain = await client_of(endpoint)
    assert (await plain.request("/socket/websocket?vsn=2.0.0")).status == 400
    for target in ("upgrade", "request"):
        client = await client_of(endpoint)
        refused = await getattr(client, target)("/socket/websocket?vsn=2.0.0")
        assert refused.status == 429
        assert 0 < int(refused.headers["retry-after"]) <= 100
        await client.close()
    assert endpoint.metrics.refusals["rate_limited"] == 2
    for client in (*clients, plain):
        await client.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("app.example", 101),
        ("APP.example:4000", 101),
        ("other.example", 101),
        ("evil.example", 403),
        ("app.example.evil.example", 403),
        ("xapp.example", 403),
        ("app.example.", 403),
        ("", 403),
        ("[::1", 403),
        ("app.example@evil.example", 403),
    ],
)
async def test_only_the_listed_names_of_the_server_are_served(
    serve: Serve, host: str, status: int
) -> None:
    endpoint = await serve(RoomSocket, hosts=("app.example", "other.example"))
    client = await client_of(endpoint)
    answer = await client.upgrade("/socket/websocket?vsn=2.0.0", [("Host", host)])
    assert answer.status == status, host
    await client.close()


async def test_one_address_has_no_more_than_its_http_connections(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, endpoint={"http_connections": 3})
    # Websockets have a limit of their own, and give their place back.
    websockets = [await upgraded(endpoint) for _ in range(10)]
    idle = [await client_of(endpoint) for _ in range(3)]
    for client in idle:
        assert (await client.request("/nothing")).status == 404
    more = await client_of(endpoint)
    assert (await more.request("/nothing")).status == 429
    assert endpoint.metrics.refusals["address_limit"] == 1
    for client in websockets:
        await alive(client)
    for client in (*websockets, *idle, more):
        await client.close()


@async_fixture(scope="module")
async def strict(postgres_server: Scratch) -> AsyncIterator[Target]:
    """A gateway that allows one of everything."""
    url = postgres_server.create(empty=False)
    once: dict[str, Any] = dict.fromkeys(("rate_claims", "rate_http_user", "rate_webhooks"), NEVER)
    app = await Application(settings(url, **once, metrics_token="m" * 32)).start()
    world = await World.create(app.repo, project_with_credential())
    yield Target(app, world, world)
    await app.stop(drain=False)
    postgres_server.drop(url)


async def test_a_worker_that_claims_too_often_gets_no_runs_and_the_time_to_wait(
    strict: Target,
) -> None:
    worker = await strict.worker()
    queue = await worker.join("worker:queue")
    assert await queue.call("claim", {"demand": 0}) == {"runs": []}
    # Another socket of the same worker is the same worker.
    again = await (await strict.worker()).join("worker:queue")
    for channel in (queue, again):
        answer = await channel.call("claim", {"demand": 1})
        assert answer["runs"] == []
        assert answer["retry_after"] > 1
    assert strict.app.gateway.metrics.claims["rate_limited"] == 2
    await strict.close()


async def get(target: Target, path: str, token: str) -> Response:
    client = await target.tcp()
    return await client.request(path, [("Authorization", f"Bearer {token}")])


def problem_of(refused: Response) -> Any:
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 1
    assert refused.headers["content-type"] == "application/problem+json"
    return json.loads(refused.body)


async def test_a_user_who_asks_the_api_too_often_is_told_when_to_come_back(
    strict: Target,
) -> None:
    assert (await get(strict, "/api/me", strict.user_token())).status == 200
    # Another token of the same user is the same user.
    problem = problem_of(await get(strict, "/api/me", strict.user_token()))
    assert (problem["code"], problem["status"]) == ("rate_limited", 429)
    other = strict.app.gateway.user_tokens.issue("ana", [strict.world.project.id], "viewer", 60)
    assert (await get(strict, "/api/me", other)).status == 200
    await strict.close()


async def call_webhook(target: Target) -> Response:
    client = await target.tcp()
    head = f"POST /i/{target.world.workflow().triggers['webhook']} HTTP/1.1\r\nHost: x\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    client.write(head.encode() + b"{}")
    return await client.response()


async def test_a_project_with_too_many_webhook_calls_is_limited_and_gets_no_run(
    strict: Target,
) -> None:
    count = "SELECT count(*) FROM runs"
    before = await strict.world.value(count)
    assert (await call_webhook(strict)).status == 200
    assert problem_of(await call_webhook(strict))["code"] == "rate_limited"
    assert await strict.world.value(count) - before == 1
    await strict.close()


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers everything."""
    del receive
    if scope["type"] == "http":
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def test_an_address_that_asks_too_often_gets_429_and_probes_are_answered(
    serve: Serve,
) -> None:
    limited = AddressRates(hello, Buckets(Rate(NEVER, 3)))
    endpoint = await serve(RoomSocket, endpoint={"http_app": limited})
    client = await client_of(endpoint)
    seen = [(await client.request("/api/me")).status for _ in range(5)]
    assert seen == [200, 200, 200, 429, 429]
    assert problem_of(await client.request("/"))["code"] == "rate_limited"
    for probe in ("/healthz", "/readyz"):
        assert (await client.request(probe)).status == 200
    await client.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Authorization": "Bearer " + "m" * 32}, 200),
        ({"Authorization": "Bearer " + "n" * 32}, 403),
        ({"Authorization": "Bearer "}, 403),
        ({"X-Forwarded-For": "203.0.113.9"}, 403),
        ({"X-Forwarded-For": "127.0.0.1"}, 403),
        ({"Forwarded": "for=127.0.0.1"}, 403),
        ({"X-Forwarded-For": "203.0.113.9", "Authorization": "Bearer " + "m" * 32}, 200),
    ],
)
async def test_metrics_are_for_this_machine_or_by_their_token(
    strict: Target, headers: dict[str, str], status: int
) -> None:
    client = await strict.tcp()
    answer = await client.request("/metrics", list(headers.items()))
    assert answer.status == status
    assert ("channel_server" in answer.body) == (status == 200)
    await strict.close()


async def test_heartbeats_of_a_dashboard_on_the_default_server_are_never_limited(
    target: Target,
) -> None:
    client = await target.websocket()
    for _ in range(3_000):
        client.send_json(HEARTBEAT)
    for _ in range(3_000):
        assert (await client.json())[4]["status"] == "ok"
