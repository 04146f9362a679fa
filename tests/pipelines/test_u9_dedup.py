"""Unit 9 and 12.3: one active job per scope, and no request is ever forgotten."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from toy_pipelines import Lab

from pipelines import (
    AGGREGATION_DEDUP,
    EMISSION_RECALC_DEDUP,
    DedupConfig,
    IngestionMethod,
    Job,
    JobResult,
    JobState,
    chain_job,
    scope_key_dedup,
)
from pipelines.storage.claims import claim_job
from pipelines.storage.connection import UniqueViolation
from pipelines.storage.finishing import finish
from pipelines.storage.recovery import sweep_stuck_running_jobs
from schema.tables.pipelines import dedup_predicate

SCOPE: dict[str, Any] = {"module_type_id": 3, "year": 2025}


async def parent(lab: Lab, **values: Any) -> Job:
    return await lab.job((await lab.submit(**(SCOPE | values))).job_id)


async def aggregate(lab: Lab, requester: Job, **values: Any) -> int | None:
    async with lab.pool.acquire() as connection, connection.transaction():
        return await chain_job(
            connection,
            requester,
            job_type="aggregation",
            dedup_config=AGGREGATION_DEDUP,
            **values,
        )


async def joins(lab: Lab, requester: Job) -> list[tuple[int, bool]]:
    rows = await lab.fetch(
        "SELECT job_id, waits_for_rerun FROM pipeline_joins WHERE requester_id = $1 ORDER BY 1",
        requester.id,
    )
    return [(row["job_id"], row["waits_for_rerun"]) for row in rows]


async def end(
    lab: Lab, job_id: int, owner: str, result: JobResult = JobResult.SUCCESS
) -> int | None:
    async with lab.pool.acquire() as connection, connection.transaction():
        done = await finish(connection, job_id, owner, result)
    assert done is not None
    return done.successor


async def run(lab: Lab, job_id: int, owner: str = "a") -> None:
    async with lab.pool.acquire() as connection:
        assert await claim_job(connection, job_id, owner)


async def test_two_requests_in_a_row_make_one_job_and_the_second_joins_it(lab: Lab) -> None:
    first, second = await parent(lab), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    assert await aggregate(lab, second) is None
    assert await joins(lab, first) == []
    assert await joins(lab, second) == [(job_id, False)]
    child = await lab.job(job_id)
    assert (child.pipeline_id, child.parent_id) == (first.pipeline_id, first.id)
    assert (child.state, child.is_current, child.run_after) == ("NOT_STARTED", False, None)


async def test_two_requests_at_once_make_one_job(lab: Lab) -> None:
    for year in range(2000, 2020):
        first, second = await parent(lab, year=year), await parent(lab, year=year)
        made = await asyncio.gather(aggregate(lab, first), aggregate(lab, second))
        assert sum(job_id is not None for job_id in made) == 1


async def test_a_finished_job_releases_its_scope(lab: Lab) -> None:
    job_id = await aggregate(lab, await parent(lab))
    assert job_id is not None
    await lab.finish(job_id)
    again = await aggregate(lab, await parent(lab))
    assert again not in {None, job_id}


async def test_other_entry_types_and_years_do_not_collide(lab: Lab) -> None:
    requester = await parent(lab)
    made: set[int | None] = set()
    async with lab.pool.acquire() as connection, connection.transaction():
        for det, year in ((31, 2025), (32, 2025), (31, 2026)):
            made.add(
                await chain_job(
                    connection,
                    requester,
                    job_type="emission_recalc",
                    dedup_config=EMISSION_RECALC_DEDUP,
                    data_entry_type_id=det,
                    year=year,
                )
            )
    assert None not in made
    assert len(made) == 3


async def test_a_null_in_the_scope_is_refused_and_named(lab: Lab) -> None:
    requester = await parent(lab, module_type_id=None, year=None)
    with pytest.raises(ValueError, match="scope keys must be set: module_type_id, year"):
        await aggregate(lab, requester)


async def test_the_entry_type_is_never_inherited(lab: Lab) -> None:
    requester = await parent(lab, data_entry_type_id=31)
    with pytest.raises(ValueError, match="data_entry_type_id"):
        async with lab.pool.acquire() as connection:
            await chain_job(
                connection,
                requester,
                job_type="emission_recalc",
                dedup_config=EMISSION_RECALC_DEDUP,
            )


async def test_another_job_type_than_the_config_is_for_is_refused(lab: Lab) -> None:
    async with lab.pool.acquire() as connection:
        with pytest.raises(ValueError, match="cannot be deduplicated"):
            await chain_job(
                connection, await parent(lab), job_type="idle", dedup_config=AGGREGATION_DEDUP
            )


async def test_an_unrelated_violation_is_raised(lab: Lab) -> None:
    await aggregate(lab, await parent(lab))
    other = DedupConfig(
        job_type="aggregation",
        scope_columns=("module_type_id", "data_entry_type_id", "year"),
        constraint_name="uq_emission_recalc_active",
        index_columns=("module_type_id", "data_entry_type_id", "year"),
        predicate=dedup_predicate("emission_recalc")
        + " AND module_type_id IS NOT NULL AND data_entry_type_id IS NOT NULL AND year IS NOT NULL",
    )
    async with lab.pool.acquire() as connection:
        with pytest.raises(UniqueViolation):
            await chain_job(
                connection,
                await parent(lab),
                job_type="aggregation",
                dedup_config=other,
                data_entry_type_id=1,
            )


async def test_dedup_active_is_deprecated_and_means_aggregation(lab: Lab) -> None:
    first, second = await parent(lab), await parent(lab)
    await aggregate(lab, first)
    async with lab.pool.acquire() as connection, connection.transaction():
        with pytest.warns(DeprecationWarning, match="AGGREGATION_DEDUP"):
            made = await chain_job(connection, second, job_type="aggregation", dedup_active=True)
    assert made is None


async def test_dedup_config_wins_over_dedup_active(lab: Lab) -> None:
    async with lab.pool.acquire() as connection:
        with (
            pytest.warns(DeprecationWarning, match="deprecated"),
            pytest.raises(ValueError, match="emission_recalc"),
        ):
            await chain_job(
                connection,
                await parent(lab),
                job_type="aggregation",
                dedup_config=EMISSION_RECALC_DEDUP,
                dedup_active=True,
            )


async def test_a_child_without_dedup_inherits_what_it_must(lab: Lab) -> None:
    requester = await parent(
        lab, tenant_id="U-1", data_entry_type_id=31, ingestion_method=IngestionMethod.csv
    )
    async with lab.pool.acquire() as connection, connection.transaction():
        job_id = await chain_job(connection, requester, job_type="idle", config={"a": 1})
    assert job_id is not None
    child = await lab.job(job_id)
    assert (child.tenant_id, child.module_type_id, child.year) == ("U-1", 3, 2025)
    assert (child.data_entry_type_id, child.ingestion_method) == (None, "computed")
    assert child.provider == requester.provider
    assert child.config == {"a": 1}


async def test_w2_p5_a_request_while_the_job_runs_makes_it_run_again(lab: Lab) -> None:
    first, second = await parent(lab), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    await run(lab, job_id)
    assert await aggregate(lab, second) is None
    assert await joins(lab, second) == [(job_id, True)]
    successor = await end(lab, job_id, "a")
    assert successor is not None
    job = await lab.job(successor)
    assert (job.pipeline_id, job.parent_id) == (second.pipeline_id, second.id)
    assert (job.state, job.module_type_id, job.year) == (JobState.NOT_STARTED, 3, 2025)
    assert await joins(lab, second) == [], "the successor is a child of its own now"
    await run(lab, successor, "b")
    assert await end(lab, successor, "b") is None, "no one asked again"


async def test_several_requests_while_the_job_runs_share_one_successor(lab: Lab) -> None:
    first, second, third = await parent(lab), await parent(lab), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    await run(lab, job_id)
    assert await aggregate(lab, second) is None
    assert await aggregate(lab, third) is None
    successor = await end(lab, job_id, "a")
    assert successor is not None
    assert (await lab.job(successor)).pipeline_id == second.pipeline_id
    assert await joins(lab, third) == [(successor, False)]


@pytest.mark.parametrize("result", [JobResult.ERROR, JobResult.WARNING])
async def test_the_successor_comes_whatever_the_result(lab: Lab, result: JobResult) -> None:
    first, second = await parent(lab), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    await run(lab, job_id)
    await aggregate(lab, second)
    assert await end(lab, job_id, "a", result) is not None


async def test_a_claim_serves_the_requests_before_it(lab: Lab) -> None:
    first, second = await parent(lab), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    await run(lab, job_id)
    await aggregate(lab, second)
    await lab.backdate(job_id)
    async with lab.pool.acquire() as connection:
        await sweep_stuck_running_jobs(connection, timedelta(hours=1))
    await run(lab, job_id, "b")
    job = await lab.job(job_id)
    assert not job.rerun_requested
    assert await joins(lab, second) == [(job_id, False)]
    assert await end(lab, job_id, "b") is None


async def test_an_abandoned_job_leaves_a_successor_for_those_who_asked(lab: Lab) -> None:
    first, second = await parent(lab, max_attempts=1), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    await run(lab, job_id)
    await aggregate(lab, second)
    await lab.backdate(job_id)
    async with lab.pool.acquire() as connection:
        swept = await sweep_stuck_running_jobs(connection, timedelta(hours=1))
    assert [job.id for job in swept.abandoned] == [job_id]
    waiting = [job for job in await lab.jobs(second.pipeline_id) if job.parent_id == second.id]
    assert [job.state for job in waiting] == [JobState.NOT_STARTED]


async def test_a_pending_job_that_was_joined_is_claimed_after_the_commit_of_who_joined(
    lab: Lab,
) -> None:
    first, second = await parent(lab), await parent(lab)
    job_id = await aggregate(lab, first)
    assert job_id is not None
    async with lab.pool.acquire() as connection:
        block = connection.transaction()
        await block.start()
        await connection.execute("INSERT INTO toy_totals VALUES (9, 9, 9)")
        await chain_job(connection, second, job_type="aggregation", dedup_config=AGGREGATION_DEDUP)
        claiming = asyncio.create_task(run(lab, job_id))
        await lab.blocked()
        assert not claiming.done()
        await block.commit()
        await claiming
    assert await lab.value("SELECT count(*) FROM toy_totals") == 1


async def test_a_scope_key_deduplicates_any_job_type(lab: Lab) -> None:
    dedup = scope_key_dedup("run_statistics")
    first = await lab.submit("run_statistics", scope_key="w:2025-11-21", dedup=dedup)
    second = await lab.submit("run_statistics", scope_key="w:2025-11-21", dedup=dedup)
    other = await lab.submit("run_statistics", scope_key="w:2025-11-22", dedup=dedup)
    assert second == msgspec.structs.replace(first, joined=True)
    assert other.pipeline_id != first.pipeline_id
    assert await lab.value("SELECT count(*) FROM pipelines") == 2


def test_names_that_become_sql_are_plain() -> None:
    with pytest.raises(ValueError, match="plain"):
        scope_key_dedup("x'; DROP TABLE pipelines --")
