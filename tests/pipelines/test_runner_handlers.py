"""What handlers may do, and what the runner makes of what they return."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from toy_pipelines import Lab, fast, soon
from toy_runner import WRITE, effects, runner, submit

from pipelines import (
    Job,
    JobContext,
    JobResult,
    JobState,
    Outcome,
    RetryJob,
    Transaction,
)
from pipelines.run import RunEnd
from pipelines.transaction import TransactionEndedError
from tests.waiting import until


async def test_a_handler_may_ask_to_be_run_again(lab: Lab) -> None:
    async def body(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        raise RetryJob("the directory is busy", timedelta(hours=1))

    job_id = await submit(lab)
    assert (await runner(lab, body).run_job(job_id)).end is RunEnd.RELEASED
    job = await lab.job(job_id)
    assert (job.state, job.status_message) == (JobState.NOT_STARTED, "the directory is busy")
    assert job.run_after is not None
    assert await effects(lab) == 0


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("53100", RunEnd.RELEASED),  # the disk is full
        ("53200", RunEnd.RELEASED),  # out of memory
        ("25006", RunEnd.RELEASED),  # read-only, after a fail-over
        ("40P01", RunEnd.RELEASED),  # a deadlock
        ("22012", RunEnd.FINISHED),  # a division by zero, which is the handler's own
    ],
)
async def test_what_is_wrong_with_the_database_for_now_does_not_fail_a_job(
    lab: Lab, code: str, end: RunEnd
) -> None:
    async def body(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        await transaction.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$")
        return Outcome()

    assert (await runner(lab, body).run_job(await submit(lab))).end is end
    assert await effects(lab) == 0


async def test_w16_heavy_work_in_a_thread_does_not_keep_the_heartbeat_from_beating(
    lab: Lab,
) -> None:
    async def body(job: Job, context: JobContext, _transaction: Transaction) -> Outcome:
        beaten = asyncio.Event()

        def compute() -> int:
            number = 0
            while not beaten.is_set():
                number += sum(range(1_000))
                context.check()
            return number

        first = (await lab.job(job.id)).locked_at

        async def again() -> bool:
            return (await lab.job(job.id)).locked_at != first

        async def watch() -> None:
            await until(again)
            beaten.set()

        watching = asyncio.create_task(watch())
        await context.run_in_thread(compute)
        await watching
        return Outcome()

    job_id = await submit(lab)
    made = runner(lab, body, stale_window=timedelta(seconds=1))
    assert (await soon(made.run_job(job_id))).end is RunEnd.FINISHED


async def test_a_mapping_is_an_outcome_too_and_other_values_are_errors(lab: Lab) -> None:
    answers: list[Any] = [{"result": "WARNING", "status_message": "1 skipped", "n": 1}, 42]

    async def body(_job: Job, _context: JobContext, _transaction: Transaction) -> Any:
        return answers.pop(0)

    made = runner(lab, body)
    first, second = await submit(lab), await submit(lab)
    await made.run_job(first)
    await made.run_job(second)
    job = await lab.job(first)
    assert (job.result, job.status_message, job.meta["n"]) == ("WARNING", "1 skipped", 1)
    assert (await lab.job(second)).status_message == "a job handler returned int"


async def test_the_transaction_offers_what_a_handler_needs(lab: Lab) -> None:
    kept: list[Transaction] = []

    async def body(_job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        kept.append(transaction)
        await transaction.lock("toy", 3, 2025)
        await transaction.copy("toy_effects", ("job_id", "job_type"), [(1, "a"), (2, "b")])
        await transaction.executemany(WRITE, [(3,), (4,)])
        row = await transaction.fetchrow("SELECT count(*) AS rows FROM toy_effects")
        assert row is not None
        assert row["rows"] == await transaction.fetchval("SELECT 4") == 4
        assert len(await transaction.fetch("SELECT * FROM toy_effects")) == 4
        return Outcome()

    job_id = await submit(lab)
    assert (await runner(lab, body).run_job(job_id)).result is JobResult.SUCCESS
    with pytest.raises(TransactionEndedError, match="has ended"):
        await kept[0].execute("SELECT 1")
    assert await effects(lab) == 4


async def test_a_mutex_keeps_two_jobs_of_one_scope_apart(lab: Lab) -> None:
    inside, most = 0, 0

    async def body(_job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        nonlocal inside, most
        await transaction.lock("toy", 3, 2025)
        inside += 1
        most = max(most, inside)
        await transaction.execute("SELECT pg_sleep(0.02)")
        inside -= 1
        return Outcome()

    made = runner(lab, body)
    ids = [await submit(lab, entity_id=n, year=n) for n in range(4)]
    await asyncio.gather(*(made.run_job(job_id) for job_id in ids))
    assert most == 1


@pytest.mark.parametrize("bad", [{"concurrency": 0}, {"stale_window": timedelta(0)}])
def test_settings_that_cannot_work_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        fast(**bad)
