"""``token revoke``, ``revoked``, ``restore`` and ``keys rotate-credentials``."""

import base64
import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from handlers.config import Settings
from handlers.run_tokens import UserTokens
from tests.handlers.bench import CREDENTIAL, Bench, settings
from tests.handlers.cli_bench import Result, cli, variables
from tests.handlers.conftest import MakeBench

Deploy = Callable[..., Settings]


@pytest.fixture
def deploy(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """A function that puts settings for the test's database into the environment."""

    def set_all(**more: Any) -> Settings:
        made = settings(database_url, **more)
        extra = {
            "CHANNEL_SERVER_CREDENTIALS_KEY": made.credentials_key,
            "CHANNEL_SERVER_CREDENTIALS_KEY_PREVIOUS": made.credentials_key_previous,
        }
        for name, value in (variables(made) | extra).items():
            monkeypatch.setenv(name, value)
        return made

    return set_all


async def revoke(monkeypatch: pytest.MonkeyPatch, token: str) -> Result:
    """Revoke the token that is given on stdin."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))
    return await cli("token", "revoke", "--stdin", "--reason", "lost laptop", "--json")


async def test_a_token_is_made_revoked_listed_and_restored(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy()
    made = (await cli("token", "--tenant", "*", "--role", "admin", "--ttl", "1h", "--json")).data
    done = await revoke(monkeypatch, made["token"])
    assert (done.code, done.data["kind"], done.data["value"]) == (0, "token", made["id"])
    (entry,) = (await cli("token", "revoked", "--json")).data
    assert (entry["value"], entry["reason"]) == (made["id"], "lost laptop")
    assert entry["expires_at"] is not None
    for word in ("--user", "--worker"):
        assert (await cli("token", "revoke", word, "mallory")).code == 0
    listed = (await cli("token", "revoked")).out
    assert "mallory" in listed
    assert made["token"] not in listed + done.out + done.err
    assert (await cli("token", "restore", "--id", made["id"])).code == 0
    again = await cli("token", "restore", "--id", made["id"])
    assert (again.code, "Nothing like this is revoked." in again.err) == (1, True)


async def test_what_cannot_be_revoked_is_named(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy()
    foreign = UserTokens(b"x" * 32).issue("ana", [], "viewer", 60)
    refused = await revoke(monkeypatch, foreign)
    assert refused.code == 2
    assert foreign not in refused.out + refused.err
    assert (await cli("token", "revoke")).code == 2
    assert (await cli("token", "revoke", "--id", "")).code == 2
    assert (await cli("token", "revoke", "--id", "x" * 256)).code == 2
    assert (await cli("token", "revoke", "--id", "x", "--user", "y")).code == 2


async def test_credentials_are_encrypted_anew_with_the_current_key(
    make_bench: MakeBench, deploy: Deploy
) -> None:
    keys = [base64.b64encode(one * 32).decode() for one in (b"k", b"n")]
    bench = await make_bench(credentials_key=keys[0])
    deploy(credentials_key=keys[1])
    blind = await cli("keys", "rotate-credentials")
    assert (blind.code, "cannot be read; 0 were rotated" in blind.err) == (1, True)
    both = deploy(credentials_key=keys[1], credentials_key_previous=keys[0])
    assert (await cli("keys", "rotate-credentials", "--json")).data == {"rotated": 2}
    assert (await cli("keys", "rotate-credentials", "--json")).data == {"rotated": 0}
    assert await fetched(make_bench, bench, both.credentials_key) == {
        name: value for name, value in CREDENTIAL.items() if value != ""
    }
    for key in keys:
        assert key not in blind.out + blind.err


async def fetched(make_bench: MakeBench, bench: Bench, key: str) -> Any:
    """The body of the world's credential as a server with only this key hands it out."""
    from handlers.application import Application

    app = await Application(settings(bench.app.settings.database_url, credentials_key=key)).open()
    other = Bench(app, bench.world)
    try:
        run = await other.run()
        ids = await bench.world.rows("SELECT id FROM credentials WHERE name = 'shop-login'")
        return await run.call("fetch:credential", {"id": str(ids[0]["id"])})
    finally:
        await other.close()
        await app.stop()
