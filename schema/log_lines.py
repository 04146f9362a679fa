"""Log lines: any number of them in one statement, of one run or of many.

A line is accepted whatever the state of its run: a worker whose last line is refused never reports
the end of the run. Only the lease counts, and that a step belongs to the run. Each line gets the
next version of its run, so that versions are the order of arrival.

A line sent again is known by its id: the one that the worker gave, or the one derived from run,
step, timestamp, source and message.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.fragments import log_line_json
from schema.outcomes import Owner
from schema.refusals import RACED, ask
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import Declared, declared

EVENT: Final = "logs"

TAKEN: Final = Refused(errors={"id": ["has already been taken"]}, code="duplicate")

_CONSTRAINTS: Final = {
    **declared("log_lines"),
    "log_lines_run_id_version_key": Declared("version", "has already been taken"),
}

_PAYLOAD: Final = (
    f"jsonb_build_object('logs', jsonb_build_array({log_line_json('l')}), 'version', l.version)"
    "::text AS payload"
)

INSERT: Final = Statement(
    "log_lines.insert",
    f"""
WITH owned AS (
  UPDATE runs SET version = version + $3 WHERE id = $1 AND lease = $2
  RETURNING id, version - $3 AS base
), line AS (
  INSERT INTO log_lines (id, run_id, step_id, level, source, message, "timestamp", version)
  SELECT n.id, o.id, n.step_id, n.level, n.source, n.message, n.at, o.base + n.nth
  FROM owned o, unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[]) WITH ORDINALITY AS n (id, step_id, level, source, message, at, nth)
  RETURNING *
)
SELECT l.run_id, l.id, l.version, {_PAYLOAD}
FROM line l ORDER BY l.version""",
    _CONSTRAINTS,
)

# Runs are locked in the order of their ids: two statements that share runs take turns.
INSERT_MANY_RUNS: Final = Statement(
    "log_lines.insert_many_runs",
    f"""
WITH wanted AS (
  SELECT w.run_id, w.lease, w.size
  FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS w (run_id, lease, size)
), held AS MATERIALIZED (
  SELECT r.id, w.size FROM runs r JOIN wanted w ON r.id = w.run_id AND r.lease = w.lease
  ORDER BY r.id FOR NO KEY UPDATE OF r
), owned AS (
  UPDATE runs r SET version = r.version + h.size FROM held h WHERE r.id = h.id
  RETURNING r.id, r.version - h.size AS base
), line AS (
  INSERT INTO log_lines (id, run_id, step_id, level, source, message, "timestamp", version)
  SELECT n.id, o.id, n.step_id, n.level, n.source, n.message, n.at, o.base + n.nth
  FROM owned o JOIN unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::uuid[], $11::int[])
    AS n (id, step_id, level, source, message, at, run_id, nth) ON n.run_id = o.id
  RETURNING *
)
SELECT l.run_id, l.id, l.version, {_PAYLOAD}
FROM line l ORDER BY l.run_id, l.version""",
    _CONSTRAINTS,
)

KNOWN: Final = Statement(
    "log_lines.known",
    """
SELECT id, run_id, step_id, level, source, message, "timestamp" FROM log_lines
WHERE id = ANY($1::uuid[])""",
    {},
)


class LogLine(msgspec.Struct, frozen=True):
    """A line to be stored.

    Attributes:
        message: The text, as it is to be shown.
        timestamp: The worker's clock, to the microsecond.
        level: One of ``schema.tables.LOG_LEVELS``.
        source: Where in the worker it came from.
        step_id: The step that was active, which must be one of the run.
        id: The id that the worker gave; None derives one from the content.
    """

    message: str
    timestamp: datetime
    level: str = "info"
    source: str | None = None
    step_id: UUID | None = None
    id: UUID | None = None


class LoggedLine(msgspec.Struct, frozen=True):
    """A line that is committed now.

    Attributes:
        id: Its id.
        version: The run's version of this line.
        payload_json: JSON text of the payload of its ``logs`` event.
    """

    id: UUID
    version: int
    payload_json: str


class Logged(msgspec.Struct, frozen=True):
    """All lines of one message are stored.

    Attributes:
        ids: The id of each line of the message, in order, those sent again included.
        lines: What is new, in order: one event each.
    """

    ids: list[UUID]
    lines: list[LoggedLine]


class Batch(msgspec.Struct, frozen=True):
    """The lines of one message of one run."""

    owner: Owner
    lines: Sequence[LogLine]


def derive_id(run_id: UUID, line: LogLine) -> UUID:
    """Return the id of a line that came without one: the same line has the same id."""
    parts = (str(line.step_id or ""), line.timestamp.isoformat(), line.source or "", line.message)
    digest = blake2b(run_id.bytes, digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "big") + data)
    # Version 8, which UUID() of Python 3.11 does not know: whatever the application puts in.
    value = int.from_bytes(digest.digest()) & ~(0xC000 << 48) & ~(0xF000 << 64)
    return UUID(int=value | (0x8 << 76) | (0x8000 << 48))


async def insert(repo: Runner, owner: Owner, lines: Sequence[LogLine]) -> Logged | Refused:
    """Store the lines of one message: all or none, in order.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
        lines: Any number of lines; none asks the database nothing.

    Returns:
        What was stored, lines sent again not counted as new; else why not, and none is stored.
        ``lease_lost`` is for the caller to acknowledge and drop.
    """
    return (await insert_many_runs(repo, [Batch(owner, lines)]))[0]


async def insert_many_runs(repo: Runner, batches: Sequence[Batch]) -> list[Logged | Refused]:
    """Store the lines of several messages in one statement, so that they share a commit.

    Each batch is judged for itself: a stale lease or a violated constraint in one refuses that
    one only, at the price of one statement each for the others. Batches of the same run are
    stored one after the other, in order.

    Args:
        repo: Where to.
        batches: The lines of one message each.

    Returns:
        The result of each batch, in the order of the batches.
    """
    results: list[Logged | Refused | None] = [None] * len(batches)
    pending = [(at, _Prepared.of(batch)) for at, batch in enumerate(batches)]
    while pending:
        turn, pending = _one_per_run(pending)
        shared = await _store(repo, [prepared for _, prepared in turn])
        if not isinstance(shared, Refused):
            for at, prepared in turn:
                results[at] = await _result(repo, prepared, shared)
        elif len(turn) == 1 or shared.kind != "invalid":
            for at, prepared in turn:
                results[at] = await _refused(repo, prepared, shared)
        else:
            for at, prepared in turn:
                results[at] = await _alone(repo, prepared)
    return [result for result in results if result is not None]


class _Prepared:
    """A batch whose lines have ids, each id once."""

    def __init__(self, owner: Owner, ids: list[UUID], new: dict[UUID, LogLine]) -> None:
        self.owner = owner
        self.ids = ids
        self.new = new
        self.clash = False

    @classmethod
    def of(cls, batch: Batch) -> "_Prepared":
        prepared = cls(batch.owner, [], {})
        for line in batch.lines:
            line_id = line.id or derive_id(batch.owner.run_id, line)
            same = prepared.new.setdefault(line_id, line)
            prepared.clash |= line.id is not None and same != line
            prepared.ids.append(line_id)
        return prepared


_Turn = list[tuple[int, _Prepared]]


def _one_per_run(pending: _Turn) -> tuple[_Turn, _Turn]:
    turn: _Turn = []
    later: _Turn = []
    seen: set[UUID] = set()
    for item in pending:
        run_id = item[1].owner.run_id
        (later if run_id in seen else turn).append(item)
        seen.add(run_id)
    return turn, later


async def _store(
    repo: Runner, batches: Sequence[_Prepared]
) -> dict[UUID, list[LoggedLine]] | Refused:
    """Return the stored lines by run; runs whose lease is stale are missing."""
    wanted = [batch for batch in batches if batch.new and not batch.clash]
    if not wanted:
        return {}
    if len(wanted) == 1:
        owner, new = wanted[0].owner, wanted[0].new
        rows = await repo.fetch(INSERT, owner.run_id, owner.lease, len(new), *_columns(new.items()))
    else:
        rows = await _store_shared(repo, wanted)
    if isinstance(rows, Refused):
        return rows
    stored: dict[UUID, list[LoggedLine]] = {}
    for row in rows:
        line = LoggedLine(row["id"], row["version"], row["payload"])
        stored.setdefault(row["run_id"], []).append(line)
    return stored


async def _store_shared(repo: Runner, batches: Sequence[_Prepared]) -> list[Any] | Refused:
    lines = [item for batch in batches for item in batch.new.items()]
    return await repo.fetch(
        INSERT_MANY_RUNS,
        [batch.owner.run_id for batch in batches],
        [batch.owner.lease for batch in batches],
        [len(batch.new) for batch in batches],
        *_columns(lines),
        [batch.owner.run_id for batch in batches for _ in batch.new],
        [nth for batch in batches for nth in range(1, len(batch.new) + 1)],
    )


def _columns(lines: Iterable[tuple[UUID, LogLine]]) -> list[list[Any]]:
    """Return the lines as columns: one array for each."""
    rows = [(i, n.step_id, n.level, n.source, n.message, n.timestamp) for i, n in lines]
    return [list(column) for column in zip(*rows, strict=True)]


async def _result(
    repo: Runner, batch: _Prepared, stored: dict[UUID, list[LoggedLine]]
) -> Logged | Refused:
    lines = stored.get(batch.owner.run_id)
    if lines is not None:
        return Logged(batch.ids, lines)
    if batch.clash:
        return TAKEN
    if not batch.ids:
        return Logged([], [])
    row = await ask(repo, batch.owner)
    return row if isinstance(row, Refused) else RACED


async def _alone(repo: Runner, batch: _Prepared) -> Logged | Refused:
    stored = await _store(repo, [batch])
    if isinstance(stored, Refused):
        return await _refused(repo, batch, stored)
    return await _result(repo, batch, stored)


async def _refused(repo: Runner, batch: _Prepared, refused: Refused) -> Logged | Refused:
    """Tell lines sent again from those whose id belongs to something else."""
    if refused.constraint != "log_lines_pkey":
        return refused
    row = await ask(repo, batch.owner)
    if isinstance(row, Refused):
        return row
    known = await repo.fetch(KNOWN, list(batch.new))
    if isinstance(known, Refused):
        return known
    if not all(_same(batch, row) for row in known):
        return TAKEN
    there = {row["id"] for row in known}
    missing = {line_id: line for line_id, line in batch.new.items() if line_id not in there}
    if not missing:
        return Logged(batch.ids, [])
    rest = _Prepared(batch.owner, batch.ids, missing)
    return await _alone(repo, rest)


def _same(batch: _Prepared, row: Any) -> bool:
    if row["run_id"] != batch.owner.run_id:
        return False
    line = batch.new[row["id"]]
    if line.id is None:
        return True  # the id is the content
    there = (row["step_id"], row["level"], row["source"], row["message"], row["timestamp"])
    return there == (line.step_id, line.level, line.source, line.message, line.timestamp)
