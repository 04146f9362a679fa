"""Test databases that are used again: emptying one is ten times cheaper than copying a template.

A database is used again only if all that the test left behind are rows. Its catalogue, compared
with the one that it was made with, says whether there were definitions as well.
"""

from typing import Any, Final, NamedTuple

CATALOGUE: Final = """
SELECT string_agg(part, ' ') FROM (
  SELECT 'c' || count(*) || ':' || max(xmin::text::bigint) AS part FROM pg_class
    WHERE oid >= 16384
  UNION ALL SELECT 'a' || count(*) || ':' || max(xmin::text::bigint) FROM pg_attribute
    WHERE attrelid >= 16384
  UNION ALL SELECT 'd' || count(*) || ':' || max(xmin::text::bigint) FROM pg_attrdef
  UNION ALL SELECT 'k' || count(*) || ':' || max(xmin::text::bigint) FROM pg_constraint
  UNION ALL SELECT 't' || count(*) || ':' || max(xmin::text::bigint) FROM pg_trigger
  UNION ALL SELECT 'p' || count(*) || ':' || max(xmin::text::bigint) FROM pg_proc
    WHERE oid >= 16384
  UNION ALL SELECT 'v' || string_agg(version_num, ',') FROM alembic_version
  UNION ALL SELECT 's' || count(*) FROM pg_db_role_setting s
    JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
) parts"""
"""Changes with each definition that is made, altered or dropped, and with no row of ours."""

KEPT: Final = "channel_server kept"
"""What connections call themselves that stay when a database is emptied, unless they work."""

_OTHERS: Final = f"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND (application_name <> '{KEPT}' OR state <> 'idle')"""

_REST: Final = """
SELECT string_agg(forget, ';') FROM (
  SELECT format('DELETE FROM %I', relname) AS forget FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
  UNION ALL
  SELECT format('SELECT setval(%L, seqstart, false) FROM pg_sequence WHERE seqrelid = %L::regclass',
    seqrelid::regclass, seqrelid::regclass) FROM pg_sequence
) parts"""

_STATE: Final = f"SELECT ({CATALOGUE}) AS mark, pg_database_size(current_database()) AS size"

_MOST_BYTES: Final = 8 * 1024 * 1024
"""What a test may have added to the size of a database that is used again."""


class Made(NamedTuple):
    """What a database was when it was new.

    Attributes:
        mark: Its definitions.
        size: In bytes.
        forget: SQL that deletes its rows. It leaves the session with triggers and foreign keys off:
            they would refuse an order of deleting, or do work that is in vain.
    """

    mark: str
    size: int
    forget: str


async def made(conn: Any) -> Made:
    """Return what a new database is."""
    state = await conn.fetchrow(_STATE)
    rest = await conn.fetchval(_REST)
    return Made(state["mark"], state["size"], f"SET session_replication_role = replica; {rest}")


async def empty(conn: Any, new: Made) -> bool:
    """Delete all rows of a database, throwing out whoever else is connected.

    Args:
        conn: A connection to it, of somebody who may pass over triggers and foreign keys.
        new: What it, or its template, was when it was new.

    Returns:
        Whether it is as good as new. If not, it has other definitions than it was made with or has
        grown too large, and should be dropped.

    Raises:
        PostgresError: We are nobody who may do that.
    """
    await conn.execute(_OTHERS)
    state = await conn.fetchrow(_STATE)
    if state["mark"] != new.mark or state["size"] > new.size + _MOST_BYTES:
        return False
    await conn.execute(new.forget)
    return True
