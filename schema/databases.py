"""Databases of a server: make, drop, and copy a migrated template, for tests and tools.

Names are composed by this program and are never input.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from schema.repo import connection

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_TEMPLATE_LOCK: Final = 0x6368_7465_6D70


def with_database(dsn: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    parts = urlsplit(dsn)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"


def database_name(dsn: str) -> str:
    """Return the name of the database that a URL leads to."""
    return urlsplit(dsn).path.removeprefix("/")


async def create(admin_dsn: str, name: str, *, template: str | None = None) -> str:
    """Create a database.

    Args:
        admin_dsn: URL of a database to give the command in, of a user who may create databases.
        name: Name of the new one.
        template: Database to copy; nobody may be connected to it.

    Returns:
        The URL of the new database.
    """
    copied = f" TEMPLATE {_checked(template)} STRATEGY file_copy" if template else ""
    async with connection(admin_dsn) as admin:
        await admin.execute(f"CREATE DATABASE {_checked(name)}{copied}")
    return with_database(admin_dsn, name)


async def drop(admin_dsn: str, name: str) -> None:
    """Drop a database, throwing out whoever is connected; nothing happens if there is none."""
    async with connection(admin_dsn) as admin:
        await admin.execute(f"DROP DATABASE IF EXISTS {_checked(name)} WITH (FORCE)")


async def drop_template(admin_dsn: str, name: str) -> None:
    """Drop a template that :func:`ensure_template` made; nothing happens if there is none."""
    async with connection(admin_dsn) as admin:
        known = "SELECT count(*) FROM pg_database WHERE datname = $1"
        if await admin.fetchval(known, _checked(name)):
            await admin.execute(f"ALTER DATABASE {name} IS_TEMPLATE false")
    await drop(admin_dsn, name)


async def ensure_template(
    admin_dsn: str, name: str, prepare: Callable[[str], Awaitable[object]]
) -> str:
    """Make a template database once, whoever asks first; the others wait for it.

    Args:
        admin_dsn: URL of a database to give the commands in.
        name: Name of the template, which should change with what ``prepare`` does.
        prepare: Called with the URL of the empty database, to fill it.

    Returns:
        ``name``.
    """
    async with connection(admin_dsn) as admin:
        # Session lock: released when this connection closes, also when preparing fails.
        await admin.execute("SELECT pg_advisory_lock($1)", _TEMPLATE_LOCK)
        made = await admin.fetchval(
            "SELECT datistemplate FROM pg_database WHERE datname = $1", _checked(name)
        )
        if made:
            return name
        # One that is there and is no template was left half made.
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {name}")
        await prepare(with_database(admin_dsn, name))
        await admin.execute(f"ALTER DATABASE {name} IS_TEMPLATE true")
    return name


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name for a database: {name!r}")
    return name
