"""The processes that share a database, so that no stranger claims jobs unnoticed."""

import os
import secrets
from datetime import timedelta
from typing import Final

from pipelines.storage.connection import Connection, Record

_LOCK: Final = 0x706F_6473

_OTHERS: Final = """SELECT pod_id, namespace, build FROM pipeline_pods
WHERE last_heartbeat_at > clock_timestamp() - $1::interval AND pod_id <> $2 ORDER BY pod_id"""

_REGISTER: Final = """INSERT INTO pipeline_pods (pod_id, namespace, build) VALUES ($1, $2, $3)
ON CONFLICT (pod_id) DO UPDATE SET namespace = EXCLUDED.namespace, build = EXCLUDED.build,
  started_at = clock_timestamp(), last_heartbeat_at = clock_timestamp()"""


class StrangerError(Exception):
    """Another live process of the database does not belong with this one.

    Attributes:
        pod_id: That process.
        what: ``namespace`` or ``build``.
        theirs: Its value.
        ours: That of this process.
    """

    def __init__(self, pod_id: str, what: str, theirs: str, ours: str) -> None:
        super().__init__(pod_id, what, theirs, ours)
        self.pod_id = pod_id
        self.what = what
        self.theirs = theirs
        self.ours = ours

    def __str__(self) -> str:
        return (
            f"{self.pod_id} works on this database with {self.what} {self.theirs!r}, "
            f"this process has {self.ours!r}"
        )


def new_pod_id(pod: str) -> str:
    """Return the name of an engine: ``<pod>:<pid>:<random>``."""
    return f"{pod}:{os.getpid()}:{secrets.token_hex(3)}"


async def register(
    connection: Connection,
    pod_id: str,
    namespace: str,
    build: str,
    *,
    alive_within: timedelta,
    strict_build: bool = False,
) -> list[str]:
    """Register this process, unless a live one does not belong with it.

    Returns:
        The live processes with another build.

    Raises:
        StrangerError: One has another namespace; or another build, with ``strict_build``.
    """
    async with connection.transaction():
        # Two that start at once must see one another.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        others = await connection.fetch(_OTHERS, alive_within, pod_id)
        for row in others:
            if row["namespace"] != namespace:
                raise StrangerError(row["pod_id"], "namespace", row["namespace"], namespace)
        mixed = [row for row in others if row["build"] != build]
        if mixed and strict_build:
            raise StrangerError(mixed[0]["pod_id"], "build", mixed[0]["build"], build)
        await connection.execute(_REGISTER, pod_id, namespace, build)
    return [row["pod_id"] for row in mixed]


async def beat(connection: Connection, pod_id: str) -> None:
    """Say that this process is alive, and forget those that have been silent for a day."""
    await connection.execute(
        "UPDATE pipeline_pods SET last_heartbeat_at = clock_timestamp() WHERE pod_id = $1", pod_id
    )
    await connection.execute(
        "DELETE FROM pipeline_pods WHERE last_heartbeat_at < clock_timestamp() - interval '1 day'"
    )


async def unregister(connection: Connection, pod_id: str) -> None:
    """Forget this process; it stopped."""
    await connection.execute("DELETE FROM pipeline_pods WHERE pod_id = $1", pod_id)


async def live(connection: Connection, alive_within: timedelta) -> list[Record]:
    """Return the live processes: who works on this database right now."""
    return await connection.fetch(
        "SELECT * FROM pipeline_pods WHERE last_heartbeat_at > clock_timestamp() - $1::interval"
        " ORDER BY pod_id",
        alive_within,
    )
