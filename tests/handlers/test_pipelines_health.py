"""Stale totals (unit 10) and the pipelines that modules show (unit 11)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from handlers.application import Application
from tests.handlers.bench import settings
from tests.handlers.pipelines_bench import QUIET, Bench

STALE = "/api/health/stale-stats"
ACTIVE = "/api/pipelines/active"


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[Bench]:
    """An application that runs no jobs: rows are as the test wrote them."""
    app = await Application(settings(database_url, **QUIET, pipelines="off")).start()
    yield Bench(app)
    await app.stop(drain=False)


async def modules(jobs: Bench, *ids: int, year: int = 2025) -> None:
    await jobs.run(
        """WITH unit AS (INSERT INTO units (institutional_id) VALUES ('U-100')
          ON CONFLICT (institutional_id) DO UPDATE SET name = '' RETURNING id),
        report AS (INSERT INTO carbon_reports (unit_id, year) SELECT id, $1 FROM unit RETURNING id)
        INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
        SELECT report.id, unnest($2::int[]) FROM report""",
        year,
        list(ids),
    )


async def finish(jobs: Bench, job_id: int, ago: str, result: str = "SUCCESS") -> None:
    await jobs.run(
        f"""UPDATE pipeline_jobs SET state = 'FINISHED', result = $2, attempts = 1,
        claimed_at = now() - interval '{ago}', finished_at = now() - interval '{ago}'
        WHERE id = $1""",
        job_id,
        result,
    )


async def aggregation(jobs: Bench, module: int, year: int = 2025) -> int:
    made = await jobs.submit("aggregation", module_type_id=module, year=year)
    return made.job_id


async def get(jobs: Bench, path: str, **query: Any) -> tuple[int, Any]:
    async with jobs.http("viewer") as client:
        answer = await client.get(path, params=query)
    return answer.status_code, answer.json()


async def test_u10_stale_stats_classifies_each_bucket(jobs: Bench) -> None:
    await modules(jobs, 1, 2, 3, 4, 5)
    failed, old, pending, fresh = [await aggregation(jobs, each) for each in (2, 3, 4, 5)]
    await finish(jobs, failed, "5 minutes", "ERROR")
    await finish(jobs, old, "2 days")
    await finish(jobs, fresh, "1 minute")
    status, entries = await get(jobs, STALE)
    assert status == 200
    assert [
        (each["module_type_id"], each["why_stale"], each["last_aggregation_job_id"])
        for each in entries
    ] == [
        (1, "no_aggregation_ever", None),
        (2, "last_aggregation_failed", failed),
        (3, "last_aggregation_too_old", old),
        (4, "pending_aggregation_stuck", pending),
    ]
    assert {frozenset(each) for each in entries} == {
        frozenset(
            {
                *("module_type_id", "year", "last_finished_aggregation_at", "why_stale"),
                *("last_aggregation_job_id", "age_minutes", "inputs_newer"),
            }
        )
    }
    none, error, too_old, stuck = entries
    assert (none["last_finished_aggregation_at"], stuck["last_finished_aggregation_at"]) == (
        *(None, None),
    )
    assert error["last_finished_aggregation_at"] is not None
    assert (round(too_old["age_minutes"]), none["age_minutes"]) == (2880, None)
    assert {each["year"] for each in entries} == {2025}


async def test_p10_a_recent_aggregation_that_missed_its_inputs_is_stale(jobs: Bench) -> None:
    await modules(jobs, 3)
    await finish(jobs, await aggregation(jobs, 3), "10 minutes")
    assert await get(jobs, STALE) == (200, [])
    recalc = await jobs.submit("emission_recalc", module_type_id=3, year=2025)
    await finish(jobs, recalc.job_id, "5 minutes", "ERROR")
    assert await get(jobs, STALE) == (200, [])
    await finish(jobs, recalc.job_id, "5 minutes", "WARNING")
    _, (entry,) = await get(jobs, STALE)
    assert (entry["why_stale"], entry["inputs_newer"]) == ("last_aggregation_too_old", True)


async def test_an_aggregation_without_a_module_of_a_report_is_invisible(jobs: Bench) -> None:
    await aggregation(jobs, 3)
    assert await get(jobs, STALE) == (200, [])


async def test_the_threshold_is_what_was_asked_for_and_at_least_a_minute(jobs: Bench) -> None:
    await modules(jobs, 3)
    await finish(jobs, await aggregation(jobs, 3), "10 minutes")
    assert len((await get(jobs, STALE, older_than_minutes=5))[1]) == 1
    assert (await get(jobs, STALE, older_than_minutes=20))[1] == []
    for wrong in (0, -1, "x"):
        status, body = await get(jobs, STALE, older_than_minutes=wrong)
        assert (status, body["error"]) == (422, "invalid")


async def test_u11_active_pipelines_are_a_map_of_the_modules_that_have_one(jobs: Bench) -> None:
    first = await jobs.submit("csv_ingest", module_type_id=3, year=2025)
    second = await jobs.submit("csv_ingest", module_type_id=5, year=2025)
    newer = await jobs.submit("csv_ingest", module_type_id=5, year=2025)
    await jobs.submit("csv_ingest", module_type_id=8, year=2024)
    status, found = await get(jobs, ACTIVE, year=2025, modules="3,5,8")
    assert (status, found) == (200, {"3": str(first.pipeline_id), "5": str(newer.pipeline_id)})
    await finish(jobs, first.job_id, "1 minute")
    await finish(jobs, newer.job_id, "1 minute")
    _, found = await get(jobs, ACTIVE, year=2025, modules="3,5,8")
    assert found == {"5": str(second.pipeline_id)}


async def test_the_last_failure_of_a_quiet_module_is_still_shown(jobs: Bench) -> None:
    bad = await jobs.submit("csv_ingest", module_type_id=3, year=2025)
    await finish(jobs, bad.job_id, "1 minute", "ERROR")
    await jobs.run("UPDATE pipelines SET status = 'FAILED'")
    assert (await get(jobs, ACTIVE, year=2025, modules="3"))[1] == {"3": str(bad.pipeline_id)}
    good = await jobs.submit("csv_ingest", module_type_id=3, year=2025)
    await finish(jobs, good.job_id, "1 minute")
    await jobs.run("UPDATE pipelines SET status = 'SUCCESS' WHERE id = $1", good.pipeline_id)
    assert (await get(jobs, ACTIVE, year=2025, modules="3"))[1] == {}


async def test_no_modules_are_an_empty_map_and_wrong_ones_are_400(jobs: Bench) -> None:
    assert await get(jobs, ACTIVE, year=2025, modules="") == (200, {})
    assert await get(jobs, ACTIVE, year=2025) == (200, {})
    assert (await get(jobs, ACTIVE, year=2025, modules="1,abc"))[0] == 400
    assert (await get(jobs, ACTIVE, year="x", modules="1"))[0] == 400
    assert (await get(jobs, ACTIVE, modules="1"))[0] == 400


async def test_no_answer_names_a_current_pipeline_any_more(jobs: Bench) -> None:
    made = await jobs.submit("csv_ingest", module_type_id=3, year=2025)
    async with jobs.http() as client:
        for path in ("/api/pipelines/", f"/api/pipelines/{made.pipeline_id}"):
            assert "current_pipeline_id" not in (await client.get(path)).text


async def test_factors_that_are_newer_than_emissions_are_told(jobs: Bench) -> None:
    path = "/api/pipelines/recalculation-status"
    made = await jobs.submit("factor_ingest", module_type_id=3, year=2025)
    await finish(jobs, made.job_id, "5 minutes")
    _, entries = await get(jobs, path, year=2025)
    needs = {each["data_entry_type_id"] for each in entries if each["needs_recalculation"]}
    assert needs == {31}
    assert (await get(jobs, path, year=99999))[0] == 422
