"""The deploy drill: the server is replaced under load, and no run is lost by it.

Real processes on one port: a server, workers with runs in hand, SIGTERM, another server.
"""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from schema.lifecycle import FINAL_STATES
from tests.handlers.bench import Bench
from tests.handlers.cli_bench import variables, worker
from tests.handlers.conftest import MakeBench
from tests.handlers.process import PATIENCE, command
from tests.ports import lasting_port
from tests.schema.world import project, workflow

RUNS = 24
WORKERS = 3


async def until(bench: Bench, condition: str) -> None:
    """Wait until the runs are as they should be; each look is a query, none is a guess."""
    async with asyncio.timeout(PATIENCE):
        while not await bench.world.value(f"SELECT {condition} FROM runs"):
            # The database waits, so that looking does not slow down what is looked at.
            await bench.world.rows("SELECT pg_sleep(0.05)")


@pytest.mark.long
@pytest.mark.thorough
async def test_a_deploy_under_load_loses_no_run(make_bench: MakeBench, tmp_path: Path) -> None:
    flow = workflow()
    for job in flow.jobs:
        job.body = "fn(state => { console.log('working'); return state; });"
    bench = await make_bench(project(workflows=[flow]))
    for _ in range(RUNS):
        await bench.world.enqueue()
    port = lasting_port()
    env = variables(bench.app.settings, port) | {"CHANNEL_SERVER_DRAIN_WINDOW": "0.3"}
    url = f"ws://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        async with command("serve", folder=tmp_path, env=env) as old:
            await old.line_with("listening at")
            for _ in range(WORKERS):
                await stack.enter_async_context(
                    worker(bench.app.settings, url, "--pace=0.4", "--capacity=2")
                )
            await until(bench, f"count(*) FILTER (WHERE state IN {FINAL_STATES}) >= 4")
            assert await old.end(signal.SIGTERM) == 0, old.text
        open_runs = "SELECT count(*) FROM runs WHERE state IN ('claimed', 'started')"
        assert await bench.world.value(open_runs) > 0, "nothing was under way"
        async with command("serve", folder=tmp_path, env=env) as new:
            await new.line_with("listening at")
            await until(bench, f"bool_and(state IN {FINAL_STATES})")
            # The workers leave before the server does.
            await stack.aclose()
            assert await new.end(signal.SIGTERM) == 0, new.text
    rows = await bench.world.rows("SELECT state, count(*) FROM runs GROUP BY state")
    assert {row[0]: row[1] for row in rows} == {"success": RUNS}
    assert await bench.world.value("SELECT count(*) FROM runs WHERE recovered_at IS NOT NULL") == 0
    assert await bench.world.value("SELECT count(*) FROM steps WHERE exit_reason <> 'success'") == 0
    assert await bench.world.value("SELECT count(*) FROM steps") == 2 * RUNS
    servers = await bench.world.value("SELECT count(DISTINCT server_id) FROM worker_sessions")
    assert servers == 2
