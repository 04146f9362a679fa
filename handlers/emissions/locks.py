"""Mutexes of the domain, across all processes, held to the end of the transaction.

Whoever takes several takes those of modules first, in order, then those of years.
"""

from typing import Final

from pipelines import Connection

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


async def lock_module(connection: Connection, module_type_id: int, year: int) -> None:
    """Keep everybody else from ingesting or recalculating a module of a year."""
    await connection.execute(_LOCK, f"emissions:module:{year}:{module_type_id}")


async def lock_reports(connection: Connection, year: int) -> None:
    """Keep everybody else from writing the totals of a year: reports are shared by modules."""
    await connection.execute(_LOCK, f"emissions:reports:{year}")
