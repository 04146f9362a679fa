"""Statistics by day: what they say, and that a late end corrects the day that it was counted on."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from handlers.http.api import shapes_activity
from schema import janitor, run_statistics
from schema.outcomes import Applied, Owner
from tests.handlers.conftest import MakeBench
from tests.handlers.http_bench import Web
from tests.schema.world import World

TODAY = datetime.now(UTC).date()
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
async def web(make_bench: MakeBench) -> Web:
    return Web(await make_bench())


async def ended(world: World, state: str, seconds: float, day: date, **more: Any) -> UUID:
    """A run that took so long and ended at noon of a day."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    owner = await world.claimed()
    await world.start(owner, started_at=noon - timedelta(seconds=seconds))
    await world.complete(owner, state, finished_at=noon, **more)
    return owner.run_id


async def count(web: Web) -> set[date]:
    """Do what the sweep and its jobs do; the days that were counted."""
    repo = web.bench.app.repo
    scopes = await run_statistics.scopes_since(repo, LONG_AGO)
    assert isinstance(scopes, list)
    for workflow, day in scopes:
        assert isinstance(await run_statistics.compute(repo, workflow, day), int)
    return {day for _, day in scopes}


async def days(web: Web, **query: Any) -> list[dict[str, Any]]:
    async with web.client("viewer") as client:
        answer = await client.get("/api/stats", params=query)
    assert answer.status_code == 200, answer.text
    msgspec.json.decode(answer.content, type=shapes_activity.Statistics)
    return answer.json()["days"]


async def test_a_day_has_its_throughput_durations_and_failures_by_what_failed(web: Web) -> None:
    world = web.bench.world
    for seconds in range(1, 20):
        await ended(world, "success", seconds, TODAY)
    await ended(world, "failed", 100, TODAY, error_type="Oops")
    await ended(world, "crashed", 50, TODAY)
    assert await count(web) == {TODAY}
    (day,) = await days(web)
    assert (day["day"], day["total"]) == (str(TODAY), 21)
    assert day["states"] == {"success": 19, "failed": 1, "crashed": 1}
    assert day["error_types"] == {"Oops": 1, "crashed": 1}
    assert (day["p50_s"], day["p95_s"]) == (11, 50)
    assert day["seconds"] == 190 + 150
    assert day["workflow_name"] == "Workflow orders"


async def test_what_no_worker_had_counts_and_has_no_duration(web: Web) -> None:
    created = await web.bench.enqueue()
    async with web.client() as operator:
        await operator.post(f"/api/runs/{created.run_id}/cancel")
    await count(web)
    (day,) = await days(web)
    assert (day["states"], day["p50_s"], day["p95_s"]) == ({"cancelled": 1}, None, None)
    assert day["error_types"] == {"Cancelled": 1}


async def test_a_late_end_is_taken_from_the_day_of_the_loss_and_counted_at_its_own(
    web: Web,
) -> None:
    world, earlier = web.bench.world, TODAY - timedelta(days=9)
    owner = await world.started()
    await lost(world, owner)
    assert await count(web) == {TODAY}
    assert [(day["day"], day["states"]) for day in await days(web)] == [(str(TODAY), {"lost": 1})]
    noon = datetime(earlier.year, earlier.month, earlier.day, 12, tzinfo=UTC)
    assert isinstance(await world.complete(owner, "success", finished_at=noon), Applied)
    assert await count(web) == {TODAY, earlier}
    shown = [(day["day"], day["total"], day["states"]) for day in await days(web)]
    assert shown == [(str(earlier), 1, {"success": 1}), (str(TODAY), 0, {})]


async def lost(world: World, owner: Owner) -> None:
    """Have the janitor give up a run today."""
    await world.rows("UPDATE runs SET claimed_at = now() - interval '1 day' RETURNING id")
    swept = await janitor.mark_lost(world.repo)
    assert isinstance(swept, list)
    assert [each.run_id for each in swept] == [owner.run_id]


async def test_an_end_that_a_worker_tells_late_counts_on_the_day_it_says(web: Web) -> None:
    before = TODAY - timedelta(days=3)
    await ended(web.bench.world, "success", 5, before)
    assert await count(web) == {before}


async def test_days_and_workflows_can_be_chosen(web: Web) -> None:
    world = web.bench.world
    for back in (0, 1, 40):
        await ended(world, "success", 1, TODAY - timedelta(days=back))
    await count(web)
    yesterday, old = str(TODAY - timedelta(days=1)), str(TODAY - timedelta(days=40))
    flow = str(world.workflow().id)
    assert [day["day"] for day in await days(web)] == [yesterday, str(TODAY)]
    assert [day["day"] for day in await days(web, **{"from": old})] == [old, yesterday, str(TODAY)]
    assert [day["day"] for day in await days(web, to=yesterday)] == [yesterday]
    moment = {"from": f"{yesterday}T10:00:00+00:00", "workflow": flow}
    assert [day["day"] for day in await days(web, **moment)] == [yesterday, str(TODAY)]
    assert await days(web, workflow=str(world.project.id)) == []
    assert await days(web, **{"from": "1999-01-01", "to": "1999-12-31"}) == []
    assert await days(web, to="0001-01-05") == []
