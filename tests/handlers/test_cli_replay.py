"""Replaying recordings by command, against a server at any address."""

import json
from pathlib import Path
from typing import Any

import pytest

from handlers.application import Application
from tests.handlers.cli_bench import cli, variables

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "worker"


@pytest.fixture
def url(live_app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    for name, value in variables(live_app.settings, live_app.endpoint.port).items():
        monkeypatch.setenv(name, value)
    return live_app.endpoint.http_url


def fixture_file(folder: Path, response: object) -> str:
    file = folder / "queue.jsonl"
    join: list[Any] = ["1", "1", "worker:queue", "phx_join", {}]
    reply: list[Any] = [
        "1",
        "1",
        "worker:queue",
        "phx_reply",
        {"status": "ok", "response": response},
    ]
    lines: list[dict[str, Any]] = [
        {"name": "queue", "mount": "/worker", "params": {"token": "{{token:worker}}"}},
        {"dir": "client", "conn": 1, "frame": join},
        {"dir": "server", "conn": 1, "frame": reply},
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return str(file)


async def test_recordings_of_a_real_worker_replay_green(url: str) -> None:
    files = [str(RECORDINGS / f"{name}.jsonl") for name in ("10-one-step", "22-credential")]
    result = await cli("replay", *files, "--url", url)
    assert result.code == 0, result.out
    assert [line[:4] for line in result.out.splitlines()] == ["ok  ", "ok  "]


async def test_a_recording_that_needs_a_drain_is_skipped(url: str) -> None:
    file = str(RECORDINGS / "69-upgrade-rejected-503.jsonl")
    result = await cli("replay", file, "--url", url)
    assert (result.code, result.out) == (0, "")
    assert "skip 69-upgrade-rejected-503" in result.err


async def test_a_difference_is_shown_and_exits_with_1(url: str, tmp_path: Path) -> None:
    assert (await cli("replay", fixture_file(tmp_path, {}), "--url", url)).code == 0
    other = fixture_file(tmp_path, {"other": 1})
    result = await cli("replay", other, "--url", url)
    assert result.code == 1
    assert result.out.startswith("FAIL queue (1 steps)\nline 3: ")
    data = (await cli("replay", other, "--url", url, "--json")).data
    assert (data["name"], data["ok"], data["steps"]) == ("queue", False, 1)


async def test_a_binding_of_the_command_line_wins(url: str, tmp_path: Path) -> None:
    file = fixture_file(tmp_path, {})
    wrong = await cli("replay", file, "--url", url, "--bind", "token:worker=wrong")
    assert wrong.code in {1, 3}
    assert (await cli("replay", file, "--url", url, "--bind", "odd")).code == 2


async def test_a_server_that_is_not_there_exits_with_3(url: str, tmp_path: Path) -> None:
    result = await cli("replay", fixture_file(tmp_path, {}), "--url", "http://127.0.0.1:1")
    assert result.code == 3
    assert "ws://127.0.0.1:1 does not answer" in result.err


async def test_what_is_no_fixture_exits_with_2(url: str, tmp_path: Path) -> None:
    file = tmp_path / "none.jsonl"
    assert (await cli("replay", str(file), "--url", url)).code == 2
    file.write_text("{}")
    result = await cli("replay", str(file), "--url", url)
    assert (result.code, "is no fixture" in result.err) == (2, True)
