"""What filters of the API refuse, and how much they count."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from schema.reading import run_list
from tests.handlers.bench import Bench
from tests.handlers.http_bench import Web, problem


async def test_a_parameter_that_is_given_twice_is_refused(bench: Bench) -> None:
    async with Web(bench).client("viewer") as reader:
        for path, query in (
            ("runs", "state=failed&state=lost"),
            ("work-orders", "limit=1&limit=2"),
        ):
            answer = await reader.get(f"/api/{path}?{query}")
            assert problem(answer) == (422, "invalid")
            assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_of_a_worker_the_latest_runs_are_counted_in_each_state(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for state in ("failed", "success", "success"):
        await bench.world.complete(await bench.world.started(), state)
    await bench.world.rows("UPDATE runs SET worker_name = 'ada' RETURNING id")
    query = {"worker": "ada", "workflow": str(bench.world.workflow().id)}

    async def counts(reader: httpx.AsyncClient, **more: Any) -> dict[str, int]:
        page = (await reader.get("/api/runs", params={**query, **more})).json()
        return {state: runs for state, runs in page["counts"].items() if runs}

    run_list.counts_statement.cache_clear()
    async with Web(bench).client("viewer") as reader:
        assert await counts(reader) == {"failed": 1, "success": 2}
        assert await counts(reader, state="lost") == {"failed": 1, "success": 2}
        assert await counts(reader, worker="nobody") == {}
        assert await counts(reader, workflow=str(uuid4())) == {}
        monkeypatch.setattr(run_list, "COUNTED_OF_WORKER", 2)
        run_list.counts_statement.cache_clear()
        try:
            assert await counts(reader) == {"success": 2}
        finally:
            run_list.counts_statement.cache_clear()
