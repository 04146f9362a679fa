"""Two server processes claim from one database: no run ever has two live leases."""

import asyncio
import bisect
import contextlib
import itertools
import os
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from schema.repo import Repo, connection
from tests.races.race_child import Lease
from tests.schema.world import World

CLAIMS = int(os.environ.get("CLAIM_RACES", "10000"))
"""How many leases are raced for; `make races` takes a hundred thousand."""

RUNS = 600
"""Always more than all workers hold together: a claim that gets less has met rows of others."""

PROCESSES, WORKERS = 2, 4
CHILD = Path(__file__).parent / "race_child.py"

_COPY = """
INSERT INTO runs (project_id, workflow_id, work_order_id, snapshot_id, dataclip_id,
  starting_trigger_id, version, inserted_at)
SELECT project_id, workflow_id, work_order_id, snapshot_id, dataclip_id, starting_trigger_id, 1,
  inserted_at + n * interval '1 millisecond' FROM runs, generate_series(2, $1) n"""


@contextlib.asynccontextmanager
async def children(url: str) -> AsyncGenerator[list[asyncio.subprocess.Process]]:
    """Two server processes that wait for the start."""
    made = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(CHILD), url, str(CLAIMS // PROCESSES), str(WORKERS)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        for _ in range(PROCESSES)
    ]
    try:
        for child in made:
            assert child.stdout is not None
            assert await asyncio.wait_for(child.stdout.readline(), 60) == b"ready\n"
        yield made
    finally:
        for child in made:
            if child.returncode is None:
                child.kill()
            await child.wait()


async def vacuum(url: str) -> None:
    """Keep the queue's index as small as a server in production does."""
    async with connection(url) as admin:
        while True:
            await admin.execute("VACUUM runs")
            await asyncio.sleep(1)


async def race(url: str) -> tuple[list[list[Lease]], int]:
    """Let both processes race; the history of each, and how many claims met rows of others."""
    cleaner = asyncio.create_task(vacuum(url))
    try:
        async with children(url) as processes:
            said = await asyncio.gather(*(child.communicate(b"go\n") for child in processes))
            assert [child.returncode for child in processes] == [0] * PROCESSES
    finally:
        cleaner.cancel()
    short, histories = 0, list[list[Lease]]()
    for out, _ in said:
        head, *lines = out.splitlines()
        short += msgspec.json.decode(head)["short"]
        histories.append([msgspec.json.decode(line, type=Lease) for line in lines])
    return histories, short


def overlapping(ours: list[Lease], theirs: list[Lease]) -> int:
    """Claims of one process that were under way while the other one had a claim under way."""
    claims = [sorted({(x.claim_sent, x.claim_answered) for x in each}) for each in (ours, theirs)]
    ends = sorted(answered for _, answered in claims[1])
    starts = sorted(sent for sent, _ in claims[1])
    return sum(
        bisect.bisect_left(starts, answered) > bisect.bisect_right(ends, sent)
        for sent, answered in claims[0]
    )


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.chaos
@pytest.mark.timeout(60 + CLAIMS // 500)
async def test_no_run_has_two_live_leases_when_two_server_processes_race_for_claims(
    repo: Repo, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = await World.create(repo)
    await world.enqueue()
    await world.rows(_COPY, RUNS)
    histories, short = await race(database_url)
    leases = [lease for history in histories for lease in history]
    assert len(leases) >= CLAIMS
    assert len({(lease.run, lease.epoch) for lease in leases}) == len(leases)
    assert len({lease.lease for lease in leases}) == len(leases)
    by_run: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in sorted(leases, key=lambda lease: lease.epoch):
        by_run[lease.run].append(lease)
    for run, held in by_run.items():
        assert [lease.epoch for lease in held] == list(range(1, len(held) + 1)), run
        for earlier, later in itertools.pairwise(held):
            assert later.claim_answered > earlier.given_back, "two live leases on one run"
    stored = {str(row["id"]): row["lease_epoch"] for row in await world.rows("SELECT * FROM runs")}
    assert {run: len(by_run[run]) for run in stored} == stored
    events = await world.value("SELECT count(*) FROM run_events WHERE event = 'run:updated'")
    assert events == len(leases), "each lease was recorded once"
    crossed = overlapping(histories[0], histories[1])
    first = {lease.lease for lease in histories[0]}
    handed_over = sum(
        (earlier.lease in first) != (later.lease in first)
        for held in by_run.values()
        for earlier, later in itertools.pairwise(held)
    )
    assert crossed > 0
    assert short > 0
    assert handed_over > CLAIMS / 100, "both processes wanted the same runs"
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(leases)} leases, {handed_over} taken over from the other process; {crossed}"
            " claims of the first process ran beside one of the second, and"
            f" {short} got less than they asked for because rows were locked\n"
        )
