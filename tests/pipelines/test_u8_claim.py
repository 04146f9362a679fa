"""Unit 8: one current job per scope, and what a claim says when it fails."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from toy_pipelines import Lab

from pipelines import EntityType, IngestionMethod, Job, JobState
from pipelines.storage.claims import claim_job

SCOPE: dict[str, Any] = {
    "module_type_id": 3,
    "year": 2025,
    "ingestion_method": IngestionMethod.csv,
}


async def claim(lab: Lab, job_id: int, owner: str = "a") -> Job | None:
    async with lab.pool.acquire() as connection:
        return await claim_job(connection, job_id, owner, blocked_delay=timedelta(seconds=10))


async def scoped(lab: Lab, job_type: str = "csv_ingest", **values: Any) -> int:
    return (await lab.submit(job_type, **{**SCOPE, **values})).job_id


async def test_claim_sets_what_it_must(lab: Lab) -> None:
    job_id = await scoped(lab)
    job = await claim(lab, job_id, "me")
    assert job is not None
    assert (job.state, job.locked_by, job.attempts) == (JobState.RUNNING, "me", 1)
    assert job.is_current
    assert job.locked_at is not None
    assert job.started_at is not None


async def test_a_running_sibling_blocks_the_claim_with_one_warning_that_names_the_job(
    lab: Lab,
) -> None:
    first, second = await scoped(lab), await scoped(lab)
    await claim(lab, first)
    before = await lab.job(first)
    with capture_logs() as logs:
        assert await claim(lab, second) is None
    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert [line["job_id"] for line in warnings] == [second]
    assert warnings[0]["exc_info"]
    assert await lab.job(first) == before
    blocked = await lab.job(second)
    assert (blocked.state, blocked.attempts, blocked.is_current) == ("NOT_STARTED", 0, False)


async def test_p7_a_blocked_job_is_pushed_back_so_that_it_starves_nobody(lab: Lab) -> None:
    first, second = await scoped(lab), await scoped(lab)
    await claim(lab, first)
    await claim(lab, second)
    pushed = (await lab.job(second)).run_after
    assert pushed is not None
    assert timedelta(seconds=5) < pushed - datetime.now(UTC) < timedelta(seconds=11)
    assert await claim(lab, second) is None


async def test_a_finished_sibling_is_demoted(lab: Lab) -> None:
    first, second = await scoped(lab), await scoped(lab)
    await claim(lab, first)
    await lab.finish(first)
    assert await claim(lab, second) is not None
    assert not (await lab.job(first)).is_current
    assert (await lab.job(second)).is_current


async def test_a_claim_that_fails_demotes_nobody(lab: Lab) -> None:
    first, second = await scoped(lab), await scoped(lab)
    await claim(lab, first)
    await lab.finish(first)
    await lab.pool.execute("UPDATE pipeline_jobs SET locked_by = 'x' WHERE id = $1", second)
    assert await claim(lab, second) is None
    assert (await lab.job(first)).is_current


@pytest.mark.parametrize(
    "change",
    [
        "attempts = max_attempts",
        "run_after = now() + interval '1 hour'",
        "locked_by = 'x'",
        "state = 'FINISHED', result = 'SUCCESS', finished_at = now()",
        "state = 'RUNNING'",
    ],
)
async def test_other_reasons_not_to_claim_are_said_at_debug_only(lab: Lab, change: str) -> None:
    job_id = await scoped(lab)
    await lab.pool.execute(f"UPDATE pipeline_jobs SET {change} WHERE id = $1", job_id)
    with capture_logs() as logs:
        assert await claim(lab, job_id) is None
    assert {line["log_level"] for line in logs} <= {"debug"}


async def test_a_job_is_claimed_once_it_is_due_and_when_queued(lab: Lab) -> None:
    job_id = await scoped(lab)
    await lab.pool.execute(
        "UPDATE pipeline_jobs SET run_after = now() - interval '1 s', state = 'QUEUED'"
        " WHERE id = $1",
        job_id,
    )
    assert await claim(lab, job_id) is not None


async def test_two_concurrent_claims_of_one_job_have_one_winner(lab: Lab) -> None:
    for _ in range(20):
        job_id = await scoped(lab)
        claims = await asyncio.gather(claim(lab, job_id, "a"), claim(lab, job_id, "b"))
        assert sum(job is not None for job in claims) == 1
        await lab.finish(job_id)


async def test_two_concurrent_claims_of_one_scope_have_one_winner(lab: Lab) -> None:
    for _ in range(20):
        first, second = await scoped(lab), await scoped(lab)
        claims = await asyncio.gather(claim(lab, first, "a"), claim(lab, second, "b"))
        assert sum(job is not None for job in claims) == 1
        await lab.finish(first)
        await lab.finish(second)


async def test_w6_p6_two_uploads_without_entry_type_share_a_scope(lab: Lab) -> None:
    first = await scoped(lab, data_entry_type_id=None)
    second = await scoped(lab, data_entry_type_id=None)
    assert await claim(lab, first) is not None
    assert await claim(lab, second) is None


async def test_w6_p6b_job_types_of_one_scope_do_not_demote_each_other(lab: Lab) -> None:
    done = await scoped(lab, "aggregation", ingestion_method=IngestionMethod.computed)
    await claim(lab, done)
    await lab.finish(done)
    other = await scoped(lab, "module_emission_recalc", ingestion_method=IngestionMethod.computed)
    assert await claim(lab, other) is not None
    assert (await lab.job(done)).is_current


async def test_w6_p6c_job_types_of_one_scope_do_not_block_each_other(lab: Lab) -> None:
    first = await scoped(lab, "api_ingest", ingestion_method=IngestionMethod.computed)
    second = await scoped(lab, "emission_recalc", ingestion_method=IngestionMethod.computed)
    assert await claim(lab, first) is not None
    assert await claim(lab, second) is not None


async def test_unit_specific_jobs_neither_take_the_slot_nor_demote(lab: Lab) -> None:
    current = await scoped(lab)
    await claim(lab, current)
    await lab.finish(current)
    unit = EntityType.MODULE_UNIT_SPECIFIC
    first = await scoped(lab, entity_type=unit, entity_id=1)
    second = await scoped(lab, entity_type=unit, entity_id=2)
    assert await claim(lab, first) is not None
    assert await claim(lab, second) is not None
    assert (await lab.job(current)).is_current
    assert not (await lab.job(first)).is_current


async def test_started_at_survives_a_second_claim(lab: Lab) -> None:
    job_id = await scoped(lab)
    first = await claim(lab, job_id)
    await lab.pool.execute(
        "UPDATE pipeline_jobs SET state = 'NOT_STARTED', locked_by = NULL WHERE id = $1", job_id
    )
    second = await claim(lab, job_id)
    assert first is not None
    assert second is not None
    assert second.started_at == first.started_at
    assert second.claimed_at is not None
    assert first.claimed_at is not None
    assert second.claimed_at > first.claimed_at
    assert second.attempts == 2
