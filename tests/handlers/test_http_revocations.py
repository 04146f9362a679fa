"""``/api/revocations``: admins take tokens back, and nobody else."""

from typing import Any

import pytest

from channel_server.client_errors import ConnectRefused
from handlers.application import USER_MOUNT
from tests.handlers.bench import Bench
from tests.handlers.http_bench import Web, problem

PATH = "/api/revocations"


@pytest.fixture
def web(bench: Bench) -> Web:
    return Web(bench)


async def test_an_admin_revokes_a_token_sees_it_listed_and_takes_it_back(web: Web) -> None:
    gateway, token = web.bench.app.gateway, web.token("viewer")
    user = gateway.user_tokens.verify(token)
    assert user is not None
    socket = await web.bench.connect(USER_MOUNT, token)
    entry = {"kind": "token", "value": user.token_id, "reason": "lost laptop"}
    async with web.client("admin") as admin, web.nobody(Authorization=f"Bearer {token}") as thief:
        assert (await thief.get("/api/me")).status_code == 200
        assert (await admin.post(PATH, json=entry)).status_code == 201
        assert socket.peer.close_code == 1008
        assert problem(await thief.get("/api/me")) == (401, "unauthorized")
        with pytest.raises(ConnectRefused):
            await web.bench.connect(USER_MOUNT, token)
        (listed,) = (await admin.get(PATH)).json()["revocations"]
        assert {key: listed[key] for key in entry} == entry
        assert listed["revoked_by"] == "ana"
        which = {"kind": "token", "value": user.token_id}
        assert (await admin.delete(PATH, params=which)).status_code == 204
        assert problem(await admin.delete(PATH, params=which)) == (404, "not_found")
        assert (await thief.get("/api/me")).status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_nobody_else_may(web: Web, role: str) -> None:
    async with web.client(role) as client, web.nobody() as nobody:
        entry = {"kind": "user", "value": "eve"}
        which: Any = {"params": entry}
        for answer in (
            await client.get(PATH),
            await client.post(PATH, json=entry),
            await client.delete(PATH, **which),
        ):
            assert problem(answer) == (403, "forbidden")
        assert problem(await nobody.post(PATH, json=entry)) == (401, "unauthorized")
    assert await web.bench.world.value("SELECT count(*) FROM revocations") == 0


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"kind": "planet", "value": "x"},
        {"kind": "user"},
        {"kind": "user", "value": ""},
        {"kind": "user", "value": " "},
        {"kind": "user", "value": "\0"},
        {"kind": "user", "value": "x" * 256},
        {"kind": "user", "value": 5},
        {"kind": "user", "value": "eve", "reason": "\0"},
        {"kind": "user", "value": "eve", "expires_at": "soon"},
        {"kind": "user", "value": "eve", "expires_at": "2001-01-01T00:00:00Z"},
        {"kind": "user", "value": "eve", "expires_at": "2999-01-01T00:00:00"},
        {"kind": "user", "value": "eve", "expires_at": "0001-01-01T00:00:00+14:00"},
        {"kind": "user", "value": "eve", "more": 1},
    ],
)
async def test_what_cannot_be_revoked_is_named(web: Web, entry: dict[str, Any]) -> None:
    async with web.client("admin") as admin:
        status, _ = problem(await admin.post(PATH, json=entry))
    assert status == 422
