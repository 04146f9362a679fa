"""``replay FILE… --url URL``: play recorded conversations against a server and compare."""

import argparse
import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

import msgspec

from channel_server.client_errors import ConnectFailed
from channel_server.testing.fixture import Action, Fixture, FixtureError, load
from channel_server.testing.replay import Player, Report, dial_url, replay
from handlers import keyring
from handlers.cli import exit_codes
from handlers.cli.dashboard import socket_address
from handlers.cli.database import open_repo
from handlers.cli.environment import environ, load_settings
from handlers.cli.errors import CommandError, unavailable, usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.run_tokens import WorkerTokens
from handlers.seeds import Seeder, SeedError

NOTICE_TIME: Final = 0.2
"""Seconds in which a server hears from the database that there is a new run."""


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "replay",
        run,
        help="play recorded frames against a server and compare its answers",
        description="Play recorded frames against a server and compare its answers. Exits with 1 "
        "if one differs.",
        epilog="What a fixture's seed names is put into the database of the settings, which must\n"
        "be the server's; no other worker may be there to take its runs. Fixtures that need\n"
        "the server to drain are skipped.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="fixtures (JSON lines)")
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument(
        "--bind",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_binding,
        help="give a placeholder its value; may be given several times",
    )


def _binding(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=VALUE')
    return name, value


def run(options: argparse.Namespace, out: Output) -> int:
    """Play every file, one after the other; a difference does not keep the others from it."""
    fixtures = [_load(file) for file in options.files]
    failed = 0
    for fixture in fixtures:
        if _needs_control(fixture):
            out.note(f"skip {fixture.header.name}: it needs the server to drain")
            continue
        report = asyncio.run(_play(fixture, socket_address(options.url, ""), dict(options.bind)))
        _print(report, out)
        failed += not report.ok
    return exit_codes.FAILED if failed else exit_codes.OK


def _print(report: Report, out: Output) -> None:
    text = f"{'ok  ' if report.ok else 'FAIL'} {report.name} ({report.steps} steps)"
    data = {**msgspec.to_builtins(report), "ok": report.ok}
    out.result(data, text if report.ok else f"{text}\n{report.failure}")


def _load(file: Path) -> Fixture:
    try:
        return load(file)
    except FixtureError as error:
        raise usage(f"{file} is no fixture.", why=str(error)) from None
    except OSError as error:
        raise usage(f"{file} cannot be read.", why=error.strerror or str(error)) from None


def _needs_control(fixture: Fixture) -> bool:
    return any(isinstance(step, Action) and step.name == "server" for step in fixture.steps)


async def _play(fixture: Fixture, url: str, given: dict[str, Any]) -> Report:
    async with contextlib.AsyncExitStack() as stack:
        seeder = await _seeder(stack) if fixture.header.seed else None
        try:
            bindings = await _bindings(fixture, seeder)

            async def enqueue(player: Player, arguments: dict[str, Any]) -> None:
                if seeder is not None:
                    player.bindings |= await seeder.enqueue(arguments["run"])
                    await asyncio.sleep(NOTICE_TIME)

            return await replay(
                fixture, dial_url(url), bindings=bindings | given, actions={"enqueue": enqueue}
            )
        except SeedError as error:
            raise CommandError(f"{fixture.header.name} cannot be set up.", why=str(error)) from None
        except ConnectFailed as error:
            raise unavailable(f"{url} does not answer.", why=str(error)) from None


async def _seeder(stack: contextlib.AsyncExitStack) -> Seeder:
    settings = load_settings()
    repo = await stack.enter_async_context(open_repo(settings))
    cipher = keyring.cipher(settings)
    return Seeder(repo, cipher, WorkerTokens(settings.worker_secret))


async def _bindings(fixture: Fixture, seeder: Seeder | None) -> dict[str, Any]:
    if seeder is not None:
        return await seeder.plant(fixture.header.name, fixture.header.seed)
    secret = environ().get("WORKER_SECRET")
    return {"token:worker": WorkerTokens(secret).issue("replay")} if secret else {}
