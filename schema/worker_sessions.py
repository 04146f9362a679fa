"""Presence of workers: heartbeats of servers, sockets of workers, and who is gone.

A worker is present while one of its sockets is open on a server that is seen, or was so a moment
ago. Every judgement takes the time from the database, never from a process.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from schema.absence import online
from schema.lifecycle import IN_FLIGHT
from schema.outcomes import Event
from schema.queue import CHANNEL, RELEASE_RUNS, told
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

CHANGED_NOTICE: Final = (
    f"pg_notify('{CHANNEL}', json_build_object('workers_changed', $1::uuid)::text)"
)
"""SQL that tells every server that workers came or went; ``$1`` is the server that says so."""

# The clock is read once and may have jumped: then nobody has watched, whichever way it went.
BEAT: Final = Statement(
    "servers.beat",
    """
INSERT INTO servers AS s (id, name, version) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET seen_at = now(), watching_since = CASE
  WHEN s.seen_at BETWEEN now() - make_interval(secs => $4) AND now() THEN s.watching_since
  ELSE now() END
RETURNING xmax = 0 AS fresh""",
    declared("servers"),
)

WRITE: Final = Statement(
    "worker_sessions.write",
    f"""
WITH server AS (
  INSERT INTO servers (id, name, version) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING
), given AS (
  SELECT * FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::int[],
      $10::boolean[], $11::boolean[])
    AS g (id, worker_id, worker_name, worker_version, api_version, capacity, closed, clean)
), written AS (
  INSERT INTO worker_sessions AS s (id, server_id, worker_id, worker_name, worker_version,
    api_version, capacity, disconnected_at, clean)
  SELECT g.id, $1, g.worker_id, g.worker_name, g.worker_version, g.api_version, g.capacity,
    CASE WHEN g.closed THEN clock_timestamp() END, g.clean FROM given g
  ON CONFLICT (id) DO UPDATE SET worker_name = excluded.worker_name, capacity = excluded.capacity,
    disconnected_at = coalesce(s.disconnected_at, excluded.disconnected_at), clean = excluded.clean
  RETURNING s.id
)
SELECT {CHANGED_NOTICE} FROM (SELECT count(*) FROM written) w""",
    declared("servers", "worker_sessions"),
)

# A worker that has another socket, on whatever server, is not shutting down.
RELEASE_CLEAN: Final = Statement(
    "worker_sessions.release",
    f"""
WITH held AS MATERIALIZED (
  SELECT r.id FROM runs r JOIN worker_sessions own ON own.id = r.session_id
  WHERE r.state = 'claimed' AND own.worker_id = (SELECT worker_id FROM worker_sessions
      WHERE id = $1) AND own.disconnected_at IS NOT NULL
    AND NOT EXISTS (
      SELECT 1 FROM worker_sessions o JOIN servers v ON v.id = o.server_id
      WHERE o.worker_id = own.worker_id AND {online("o", "v", "$2")})
  ORDER BY r.id FOR NO KEY UPDATE OF r
), released AS ({RELEASE_RUNS}""",
    declared("runs", "run_events"),
)

PRUNE: Final = Statement(
    "worker_sessions.prune",
    f"""
WITH old AS (
  DELETE FROM worker_sessions s USING servers v
  WHERE v.id = s.server_id
    AND coalesce(s.disconnected_at, v.seen_at) < now() - make_interval(secs => $1)
    AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.session_id = s.id AND r.state IN {IN_FLIGHT})
  RETURNING s.id
), dead AS (
  DELETE FROM servers v WHERE v.seen_at < now() - make_interval(secs => $1)
    AND NOT EXISTS (SELECT 1 FROM worker_sessions s WHERE s.server_id = v.id)
)
SELECT id FROM old""",
    declared("servers", "worker_sessions"),
    deletes=True,
)


class Server(msgspec.Struct, frozen=True):
    """This process.

    Attributes:
        id: Made at its start.
        name: For people: host and process.
        version: Of the program.
    """

    id: UUID
    name: str
    version: str


class Session(msgspec.Struct):
    """One socket of a worker.

    Attributes:
        id: Of the socket.
        worker_id: The process of the worker; the id of the socket if its token names none.
        worker_name: What the worker calls itself when it claims.
        worker_version: As its connection says.
        api_version: As its connection says.
        capacity: Runs that it takes at once, as it says.
        closed: Whether the socket is gone.
        clean: Whether the worker itself closed it, for good.
    """

    id: UUID
    worker_id: str
    worker_name: str | None = None
    worker_version: str | None = None
    api_version: str | None = None
    capacity: int | None = None
    closed: bool = False
    clean: bool = False


async def beat(repo: Runner, server: Server, longest_gap_s: float) -> bool | Refused:
    """Say that the server lives.

    Args:
        repo: Where to.
        server: Who says so.
        longest_gap_s: Seconds between two heartbeats after which the server has not watched.

    Returns:
        Whether its row was new: what it had written before is gone then.
    """
    row = await repo.fetchrow(BEAT, server.id, server.name, server.version, longest_gap_s)
    return row if isinstance(row, Refused) else bool(row is not None and row["fresh"])


async def write(repo: Runner, server: Server, sessions: Sequence[Session]) -> Refused | None:
    """Store sockets as they are now, in one statement; writing the same again changes nothing.

    The moment of the disconnect is that of the first writing that says ``closed``.
    """
    columns = [[getattr(session, name) for session in sessions] for name in _COLUMNS]
    result = await repo.execute(WRITE, server.id, server.name, server.version, *columns)
    return result if isinstance(result, Refused) else None


_COLUMNS: Final = (
    "id",
    "worker_id",
    "worker_name",
    "worker_version",
    "api_version",
    "capacity",
    "closed",
    "clean",
)


async def release(repo: Runner, session_id: UUID, gone_after_s: float) -> list[Event] | Refused:
    """Give back what the worker of a closed socket has claimed and not started.

    Args:
        repo: Where to.
        session_id: The socket, which was written as closed.
        gone_after_s: Seconds after which a server that is not seen has no sockets.

    Returns:
        One event for each run that was released; none if the worker has another open socket.
    """
    rows = await repo.fetch(RELEASE_CLEAN, session_id, gone_after_s)
    return rows if isinstance(rows, Refused) else [told(row) for row in rows]


async def prune(repo: Runner, kept_for_s: float) -> int | Refused:
    """Forget sockets and servers that are gone for this many seconds and hold no run.

    Returns:
        How many sockets were forgotten.
    """
    return await repo.execute(PRUNE, kept_for_s)
