"""What all commands share: parser, exit codes, errors, where settings come from."""

import argparse
import base64
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from rich.text import Text

import migrations
from handlers.cli import exit_codes
from handlers.cli.environment import FOLDER, environ, read_env, write_env
from handlers.cli.errors import CommandError
from handlers.cli.main import COMMANDS, build_parser, main
from handlers.cli.output import Output, cell
from handlers.cli.token import duration
from handlers.config import Settings
from tests.handlers.cli_bench import call


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without settings, and an environment without any."""
    for name in list(os.environ):
        if name.startswith(("CHANNEL_SERVER_", "WORKER_", "DATABASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help").code == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command}" in text
    for code, meaning in exit_codes.TABLE:
        assert f"  {code:<4} {meaning}" in text


def test_every_command_can_print_json() -> None:
    parser = build_parser()
    for words in (
        ["dev"],
        ["serve"],
        ["migrate", "up"],
        ["migrate", "status"],
        ["migrate", "down", "base"],
        ["keys", "new"],
        ["token", "--project", "p"],
        ["provision", "f"],
        ["run", "w"],
        ["runs", "list"],
        ["pipelines", "list"],
        ["pipelines", "show", "p"],
        ["pipelines", "watch", "p"],
        ["pipelines", "abort", "p"],
        ["pipelines", "recover", "1"],
        ["emissions", "ingest", "f"],
        ["emissions", "seed", "d"],
        ["runs", "show", "r"],
        ["runs", "watch", "r"],
        ["runs", "retry", "r"],
        ["runs", "cancel", "r"],
        ["replay", "f", "--url", "u"],
        ["doctor"],
    ):
        assert parser.parse_args([*words, "--json"]).json is True


@pytest.mark.parametrize("words", [[], ["nothing"], ["runs"], ["runs", "list", "--nothing"]])
def test_a_wrong_command_line_exits_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words).code == exit_codes.USAGE
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["serve"], ["run", "w"], ["runs", "list"], ["token", "--project", "p"]]
)
def test_missing_settings_are_all_named_and_exit_with_2(words: list[str]) -> None:
    result = call(*words)
    assert result.code == exit_codes.USAGE
    for name in ("DATABASE_URL", "WORKER_SECRET", "WORKER_RUNS_PRIVATE_KEY"):
        assert f"{name} is not set" in result.err
    assert "hint: set the variables" in result.err


def test_a_database_that_is_not_there_exits_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = call("migrate", "status")
    assert result.code == exit_codes.UNAVAILABLE
    assert "error: The database cannot be used." in result.err
    assert "hint: check DATABASE_URL" in result.err


def test_errors_are_json_for_programs() -> None:
    result = call("migrate", "status", "--json")
    assert (result.code, result.out) == (2, "")
    assert json.loads(result.err)["error"] == {
        "what": "There is no database to talk to.",
        "why": "DATABASE_URL is not set.",
        "hint": "set it to postgresql://user:password@host:port/name",
        "code": 2,
    }


def test_an_error_says_what_happened_why_and_what_to_do() -> None:
    error = CommandError("It broke.", why="It was old.", hint="buy a new one", code=3)
    assert str(error) == "It broke.\nIt was old.\nbuy a new one"
    stream = io.StringIO()
    Output(as_json=False, stdout=stream, stderr=stream).error(error)
    assert stream.getvalue() == "error: It broke.\nIt was old.\nhint: buy a new one\n"


def test_what_is_printed_is_never_read_as_markup() -> None:
    stream = io.StringIO()
    out = Output(as_json=False, stdout=stream, stderr=stream)
    out.say("[red]not a colour[/red]")
    out.note("[/]")
    out.table(("a",), [("[bold]",)], None)
    assert stream.getvalue().split() == ["[red]not", "a", "colour[/red]", "[/]", "a", "[bold]"]
    assert cell(None) == Text("-", style="dim")


def test_ctrl_c_before_the_end_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("handlers.cli.keys.new_keys", interrupted)
    assert main(["keys", "new"]) == exit_codes.INTERRUPTED


def test_a_command_imports_what_it_needs_and_no_more() -> None:
    program = (
        "import sys; from handlers.cli.main import main; main(['keys', 'new', '--json']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    heavy = {"alembic", "asyncpg", "litestar", "prometheus_client", "sqlalchemy", "uvicorn"}
    assert heavy & set(done.stderr.decode().split()) == set()


def test_new_keys_fit_both_sides() -> None:
    sides = call("keys", "new", "--json").data
    server, worker = sides["server"], sides["worker"]
    settings = Settings.load({**server, "DATABASE_URL": "postgresql://x/y"})
    key = serialization.load_pem_private_key(settings.private_key_pem(), password=None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert base64.b64decode(worker["WORKER_LIGHTNING_PUBLIC_KEY"]) == public
    assert worker["WORKER_SECRET"] == server["WORKER_SECRET"]
    text = call("keys", "new").out
    for name in (*server, *worker):
        assert f"\n{name}=" in text
    assert server["WORKER_SECRET"] not in text  # new ones each time


def test_migrations_go_up_and_down(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    known = migrations.revisions()
    before = call("migrate", "status", "--json")
    assert (before.code, before.data["pending"]) == (1, known)
    assert call("migrate", "up", known[0], "--json").data == {"applied": known[:1]}
    assert "pending" in call("migrate", "status").out
    assert f"applied {known[-1]}" in call("migrate", "up").out
    assert call("migrate", "up").out == "nothing to do\n"
    assert call("migrate", "status", "--json").data["pending"] == []
    refused = call("migrate", "down", "base")
    assert (refused.code, "say --yes" in refused.err) == (2, True)
    assert call("migrate", "down", "base", "--yes", "--json").data == {"undone": known[::-1]}
    assert call("migrate", "down", "base", "--yes").out == "nothing to do\n"
    assert call("migrate", "up", "0000_unknown").code == 2


def test_commands_do_not_touch_a_database_that_is_not_migrated(
    app_settings: Settings, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    monkeypatch.setenv("WORKER_SECRET", app_settings.worker_secret)
    monkeypatch.setenv("WORKER_RUNS_PRIVATE_KEY", app_settings.worker_runs_private_key)
    for words in (["runs", "list"], ["serve", "--port", "0"]):
        result = call(*words)
        assert result.code == exit_codes.UNAVAILABLE
        assert "The database is not migrated." in result.err
        assert "run `channel-server migrate up`" in result.err


def test_the_folder_of_dev_stands_in_for_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(FOLDER / "env", {"DATABASE_URL": "postgresql://dev", "WORKER_SECRET": "theirs"})
    monkeypatch.setenv("WORKER_SECRET", "ours")
    assert (environ()["DATABASE_URL"], environ()["WORKER_SECRET"]) == ("postgresql://dev", "ours")
    monkeypatch.setenv("DATABASE_URL", "postgresql://production")
    monkeypatch.delenv("WORKER_SECRET")
    assert environ()["DATABASE_URL"] == "postgresql://production"
    assert "WORKER_SECRET" not in environ()


def test_files_with_secrets_are_for_their_owner_alone(bare: Path) -> None:
    file = bare / "env"
    file.write_text("left by somebody")
    file.chmod(0o644)
    write_env(file, {"A": "b=c", "D": ""})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_env(file) == {"A": "b=c", "D": ""}
    assert read_env(bare / "none") == {}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("8h", 28800), ("7d", 604800)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0h", "h", "-1h", "1.5h", "1w", "1h30m"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration"):
        duration(text)
