"""``token revoke``, ``token revoked``, ``token restore``: tokens that count no more."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, cast

from handlers import keyring
from handlers.cli import exit_codes
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import CommandError, usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.people import who
from handlers.revocations import Revocations
from schema import revocations
from schema.revocations import LONGEST, Kind

_KINDS: dict[str, str] = {"id": "token", "user": "user", "worker": "worker"}
_HELP = {
    "id": "one user token by its id (`jti`)",
    "user": "all user tokens of a subject, issued so far",
    "worker": "a worker's process by its `worker_id`",
}


def register(actions: Any) -> None:
    """Add the commands."""
    revoke = add_command(actions, "revoke", run_revoke, help="let tokens count no more, at once")
    which = _which(revoke)
    which.add_argument("--stdin", action="store_true", help="one user token, read from stdin")
    revoke.add_argument("--reason", help="why, for people")
    add_command(actions, "revoked", run_list, help="list what is revoked")
    _which(add_command(actions, "restore", run_restore, help="take a revocation back"))


def _which(parser: argparse.ArgumentParser) -> Any:
    which = parser.add_mutually_exclusive_group(required=True)
    for option, text in _HELP.items():
        which.add_argument(f"--{option}", metavar=option.upper(), help=text)
    return which


def run_revoke(options: argparse.Namespace, out: Output) -> int:
    """Revoke; servers close what is open with 1008, and refuse it from now on."""
    expires_at = None
    if options.stdin:
        kind, (value, expires_at) = "token", _token_on_stdin()
    else:
        kind, value = _named(options)
    asyncio.run(_revoke(cast("Kind", kind), value, options.reason, expires_at))
    data = {"kind": kind, "value": value, "expires_at": expires_at}
    out.result(data, f"revoked: {kind} {value}")
    return exit_codes.OK


def run_list(_options: argparse.Namespace, out: Output) -> int:
    """List what is revoked."""
    rows = asyncio.run(_listed())
    out.table(
        ["KIND", "VALUE", "REVOKED AT", "BY", "UNTIL", "REASON"],
        [(r.kind, r.value, r.revoked_at, r.revoked_by, r.expires_at, r.reason) for r in rows],
        rows,
    )
    return exit_codes.OK


def run_restore(options: argparse.Namespace, out: Output) -> int:
    """Take a revocation back."""
    kind, value = _named(options)
    if not asyncio.run(_restore(cast("Kind", kind), value)):
        raise CommandError(
            "Nothing like this is revoked.", hint="see `channel-server token revoked`"
        )
    out.result({"kind": kind, "value": value}, f"restored: {kind} {value}")
    return exit_codes.OK


def _named(options: argparse.Namespace) -> tuple[str, str]:
    for option, kind in _KINDS.items():
        value: str | None = getattr(options, option)
        if value is not None:
            if not value.strip() or len(value) > LONGEST:
                raise usage(f"--{option} needs 1 to {LONGEST} characters.")
            return kind, value
    raise usage("Say what to revoke.")


def _token_on_stdin() -> tuple[str, datetime | None]:
    tokens = keyring.user_tokens(load_settings(), Revocations())
    user = tokens.verify(sys.stdin.readline().strip())
    if user is None:
        raise usage("This is no user token of ours that is in force.", hint="nothing to revoke")
    if user.token_id is None:
        raise usage("This token has no id.", hint=f"revoke all of --user {user.subject}")
    expires = user.expires_at
    return user.token_id, None if expires is None else datetime.fromtimestamp(expires, UTC)


async def _revoke(kind: Kind, value: str, reason: str | None, expires_at: datetime | None) -> None:
    async with open_repo(load_settings()) as repo:
        done = await revocations.revoke(
            repo, kind, value, by=who(), reason=reason, expires_at=expires_at
        )
        accept(done, "It was not revoked.")


async def _listed() -> list[revocations.Revocation]:
    async with open_repo(load_settings()) as repo:
        return list(accept(await revocations.listed(repo), "The list cannot be read."))


async def _restore(kind: Kind, value: str) -> bool:
    async with open_repo(load_settings()) as repo:
        return accept(await revocations.restore(repo, kind, value), "It was not restored.")
