"""``serve`` as a process: what it needs, what it says, and how it ends."""

import json
import signal
import socket
from pathlib import Path

import httpx
import msgspec
import pytest

from handlers.application import Application
from handlers.cli.errors import CommandError
from handlers.cli.serve import start
from handlers.config import Settings
from tests.handlers.cli_bench import variables
from tests.handlers.process import command, names
from tests.plain_http import PLAIN


def address(line: str) -> str:
    return str(json.loads(line)["listening"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal_and_exits_with_0(
    app_settings: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    env = variables(app_settings) | {"CHANNEL_SERVER_LOG_FORMAT": "json"}
    words = ("serve", "--json", "--port", "0")
    own = number is signal.SIGTERM
    async with command(*words, folder=tmp_path, env=env, interpreter=own) as process:
        url = address(await process.line_with("listening"))
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN) as client:
            assert (await client.get(f"{url}/readyz")).json()["ready"] is True
        assert await process.end(number) == 0, process.text
    for line in process.said:
        json.loads(line)
    assert names(tmp_path) == set()


async def test_it_migrates_when_told_to(
    app_settings: Settings, empty_database_url: str, tmp_path: Path
) -> None:
    env = variables(app_settings) | {"DATABASE_URL": empty_database_url}
    words = ("serve", "--migrate", "--port", "0")
    async with command(*words, folder=tmp_path, env=env) as process:
        line = await process.line_with("listening at")
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN) as client:
            url = line.removeprefix("listening at ")
            assert (await client.get(f"{url}/readyz")).json()["ready"] is True
        assert await process.end(signal.SIGTERM) == 0


async def test_a_port_that_is_taken_is_a_usage_error(
    app_settings: Settings, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = variables(app_settings)
        words = ("serve", "--port", str(port))
        async with command(*words, folder=tmp_path, env=env) as process:
            assert await process.end() == 2, process.text
    assert f"error: Cannot listen at 127.0.0.1:{port}." in process.text
    assert "hint: end what uses the port" in process.text
    assert "Traceback" not in process.text


async def test_a_refused_start_names_its_reason_without_a_traceback(tmp_path: Path) -> None:
    env = {"DATABASE_URL": "mysql://x", "WORKER_SECRET": "short"}
    async with command("serve", folder=tmp_path, env=env) as process:
        assert await process.end() == 2
    assert "DATABASE_URL must start with postgresql://." in process.text
    assert "WORKER_SECRET must have at least 16 characters." in process.text
    assert "WORKER_RUNS_PRIVATE_KEY is not set" in process.text
    assert "Traceback" not in process.text


async def test_a_database_that_goes_away_during_the_start_is_named_without_a_traceback(
    app_settings: Settings,
) -> None:
    url = "postgresql://nobody@127.0.0.1:1/gone"
    settings = msgspec.structs.replace(app_settings, database_url=url)
    with pytest.raises(CommandError, match="The database cannot be used"):
        await start(Application(settings), settings)
