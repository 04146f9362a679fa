"""Migrations of the database, by program: ``up``, ``status``, ``down``.

Alembic orders the versions and writes their SQL; asyncpg runs it, each migration in one transaction
together with its mark in ``alembic_version``. A migration is therefore SQL only. What a migration
puts into an ``autocommit_block`` (indexes made concurrently) runs statement by statement outside of
the transaction and must bear being run again. An advisory lock makes two servers that start at once
take turns: the second finds nothing to do. Where nothing is to be done, Alembic is not even loaded.

A version is named ``NNNN_pre_...`` when the release before it still works on its result (run it
before the code is deployed) and ``NNNN_post_...`` when it needs the new code to be everywhere.
"""

import asyncio
import io
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from schema.repo import connection

LOCK: Final = 0x6368_616E_6E65_6C73
"""Key of the advisory lock that migrating takes."""

_LOCK_INTERVAL: Final = 0.1
_DIRECTORY: Final = Path(__file__).parent


class UnknownRevisionError(Exception):
    """The database is at a revision, or was asked to go to one, that this release does not know.

    Attributes:
        revision: The unknown one.
    """

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        self.revision = revision

    def __str__(self) -> str:
        return f"this release knows no migration {self.revision!r}: is it older than the database?"


class Status(msgspec.Struct, frozen=True):
    """Where a database is.

    Attributes:
        current: Its revision; None for a database without our tables.
        head: The newest revision of this release.
        pending: Revisions that are missing, oldest first.
    """

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is missing."""
        return not self.pending


def revisions() -> list[str]:
    """Return all revisions of this release, oldest first; a version's file has its name."""
    return sorted(file.stem for file in (_DIRECTORY / "versions").glob("[0-9]*.py"))


async def status(dsn: str) -> Status:
    """Say where a database is, without changing it.

    Raises:
        UnknownRevisionError: It is at a revision of a newer release.
    """
    async with connection(dsn) as conn:
        return _status(await _current(conn))


async def up(dsn: str, revision: str = "head") -> list[str]:
    """Bring a database to a revision.

    Args:
        dsn: URL of the database.
        revision: Where to; the newest by default.

    Returns:
        The revisions that were applied, oldest first; none if it was there already.

    Raises:
        UnknownRevisionError: A revision is not one of this release.
    """
    async with connection(dsn) as conn:
        return await _locked(conn, revision, upward=True)


async def down(dsn: str, revision: str) -> list[str]:
    """Bring a database back to a revision; ``base`` is the empty database. Data is lost.

    Args:
        dsn: URL of the database.
        revision: Where to.

    Returns:
        The revisions that were undone, newest first.

    Raises:
        UnknownRevisionError: A revision is not one of this release.
    """
    async with connection(dsn) as conn:
        return await _locked(conn, revision, upward=False)


def sql(start: str, end: str) -> str:
    """Return the SQL that leads from one revision to another, upwards or downwards."""
    from alembic import command
    from alembic.config import Config

    output = io.StringIO()
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(_DIRECTORY).replace("%", "%%"))
    order = ["base", *revisions()]
    write = command.upgrade if order.index(end) > order.index(start) else command.downgrade
    write(config, f"{start}:{end}", sql=True)
    return output.getvalue()


async def _locked(conn: Any, revision: str, *, upward: bool) -> list[str]:
    # Held until the connection is closed, which also rolls back a migration that failed halfway.
    # Asked for again and again: who waits inside a statement holds a snapshot, and an index that is
    # made concurrently would wait for that snapshot, while holding the lock.
    while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):  # noqa: ASYNC110
        await asyncio.sleep(_LOCK_INTERVAL)  # the other one is in another process
    target = revisions()[-1] if revision == "head" else revision
    path = _path(await _current(conn) or "base", target, upward=upward)
    if len(path) > 1:
        for piece in _pieces(sql(path[0], path[-1])):
            await conn.execute(piece)
        if path[-1] == "base":
            # Upwards from base, Alembic makes its table and wants none to be there.
            await conn.execute("DROP TABLE alembic_version")
    return path[1:] if upward else path[:-1]


def _pieces(text: str) -> list[str]:
    """Cut the SQL of one migration into what is run at once.

    That is each transaction, and each single statement outside of one.
    """
    pieces: list[str] = []
    for part in re.split(r"^(?=BEGIN;$)", text, flags=re.MULTILINE):
        inside, commit, outside = part.partition("\nCOMMIT;\n")
        pieces += [inside + commit, *outside.split(";\n\n")]
    return [piece.strip() for piece in pieces if piece.strip()]


def _path(current: str, target: str, *, upward: bool) -> list[str]:
    """Return the revisions from the current one to the target, both included."""
    order = ["base", *revisions()]
    for revision in (current, target):
        if revision not in order:
            raise UnknownRevisionError(revision)
    here, there = order.index(current), order.index(target)
    return order[here : there + 1] if upward else order[there : here + 1][::-1]


async def _current(conn: Any) -> str | None:
    if await conn.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    return await conn.fetchval("SELECT version_num FROM alembic_version")


def _status(current: str | None) -> Status:
    known = revisions()
    if current is not None and current not in known:
        raise UnknownRevisionError(current)
    pending = known if current is None else known[known.index(current) + 1 :]
    return Status(current, known[-1], tuple(pending))
