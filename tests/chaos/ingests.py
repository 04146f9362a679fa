"""The load of pipelines: the same files are ingested again and again, on either server.

Each ingest replaces the rows of its module and chains what follows from them, so the totals at the
end are those of the sample, however often anything was tried, taken over or begun anew.
"""

import asyncio
from random import Random
from typing import Any, Final

import httpx

from handlers.emissions.model import MODULES
from handlers.emissions.seed import seed
from handlers.emissions.service import totals
from handlers.run_tokens import UserTokens
from pipelines import open_pool
from schema.repo import connection
from tests.chaos.cluster import Cluster, Server
from tests.chaos.history import History
from tests.chaos.load import ANSWER
from tests.handlers.pipelines_bench import SAMPLE
from tests.plain_http import PLAIN

YEAR: Final = 2025
INTERVAL: Final = 0.7
"""Seconds between two dispatches, on average."""

_DATA: Final = {module.id: f"data_{module.alias}.csv" for module in MODULES.values()}


async def provision(cluster: Cluster) -> None:
    """Bring the sample in, with its totals."""
    async with await open_pool(cluster.settings.database_url, concurrency=2) as pool:
        await seed(pool, SAMPLE)


async def read_totals(cluster: Cluster) -> list[Any]:
    """The totals of the year, without the moments at which they were computed."""
    async with connection(cluster.settings.database_url) as reader:
        found = await totals(reader, YEAR)
    return [
        {
            "unit": each.unit,
            "modules": {
                module: {key: value for key, value in (stats or {}).items() if key != "computed_at"}
                for module, stats in each.modules.items()
            },
        }
        for each in found
    ]


async def dispatch(cluster: Cluster, random: Random, history: History, seconds: float) -> None:
    """Dispatch for so many seconds; what was answered is in the history."""
    token = _token(cluster)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with asyncio.TaskGroup() as group:
        while loop.time() < end:
            server = random.choice(cluster.servers)
            module = random.choice(sorted(_DATA))
            recalculate = random.random() < 0.3
            group.create_task(_dispatch(server, token, module, recalculate, history))
            await asyncio.sleep(INTERVAL * random.uniform(0.5, 1.5))


async def repair(cluster: Cluster, history: History) -> None:
    """Ingest every file once more: what had failed for good is brought in by that."""
    token = _token(cluster)
    for module in sorted(_DATA):
        await _dispatch(cluster.servers[0], token, module, False, history)


def _token(cluster: Cluster) -> str:
    tokens = UserTokens(cluster.settings.user_key())
    return tokens.issue("ana", [], "operator", 86_400, tenants=("*",))


async def _dispatch(
    server: Server, token: str, module: int, recalculate: bool, history: History
) -> None:
    given: dict[str, Any] = {"json": {"module": module, "year": YEAR, "recalculate": True}}
    if not recalculate:
        file = (_DATA[module], (SAMPLE / _DATA[module]).read_bytes())
        fields = {"target": "data", "module": module, "year": YEAR}
        given = {"data": fields, "files": {"file": file}}
    url = f"http://127.0.0.1:{server.clients.port}/api/pipelines/dispatch"
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(
            trust_env=False, verify=PLAIN, timeout=ANSWER, headers=headers
        ) as client:
            response = await client.post(url, **given)
    except httpx.HTTPError:
        return
    if response.status_code in (200, 202):
        history.pipelines.append(response.json()["pipeline_id"])
    # 401: a token of today, for a server whose clock was put an hour back.
    elif response.status_code not in (401, 429, 503):
        history.surprises.append(f"pipelines: {response.status_code} {response.text}")
