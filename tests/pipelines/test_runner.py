"""The runner: every way out of a run has finished the row, released it, or lost it for certain."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from toy_faults import AnswerLost
from toy_pipelines import Gate, Lab, fast, soon
from toy_runner import WRITE, effects, runner, submit, write, write_and_chain

from pipelines import (
    AGGREGATION_DEDUP,
    Job,
    JobContext,
    JobResult,
    JobState,
    Outcome,
    Registry,
    Transaction,
    open_pool,
)
from pipelines.run import RunEnd, RunResult
from pipelines.runner import Runner
from pipelines.storage.finishing import cancel_job
from pipelines.storage.recovery import recover_job


async def test_success_commits_and_finishes(lab: Lab) -> None:
    job_id = await submit(lab)
    result = await runner(lab, write).run_job(job_id)
    assert result == RunResult(RunEnd.FINISHED, JobResult.SUCCESS)
    job = await lab.job(job_id)
    assert (job.state, job.result, job.status_message) == ("FINISHED", "SUCCESS", "Success")
    assert job.meta["rows"] == 1
    assert await effects(lab) == 1


async def test_a_handler_that_raises_is_rolled_back_and_recorded(lab: Lab) -> None:
    async def body(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
        await write_and_chain(job, context, transaction)
        raise ValueError("row 7 is bad")

    job_id = await submit(lab)
    result = await runner(lab, body).run_job(job_id)
    assert result == RunResult(RunEnd.FINISHED, JobResult.ERROR)
    job = await lab.job(job_id)
    assert (job.result, job.status_message) == (JobResult.ERROR, "row 7 is bad")
    assert await effects(lab) == 0
    assert len(await lab.jobs()) == 1


async def test_an_error_outcome_is_rolled_back_and_chains_nothing(lab: Lab) -> None:
    async def body(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
        await write_and_chain(job, context, transaction)
        return Outcome(JobResult.ERROR, "Success", {"processed": 0})

    job_id = await submit(lab)
    await runner(lab, body).run_job(job_id)
    job = await lab.job(job_id)
    assert (job.result, job.status_message) == (JobResult.ERROR, "Failed")
    assert job.meta["processed"] == 0
    assert await effects(lab) == 0
    assert len(await lab.jobs()) == 1


@pytest.mark.parametrize("result", [JobResult.SUCCESS, JobResult.WARNING])
async def test_u2_follow_up_work_is_chained_unless_error(lab: Lab, result: JobResult) -> None:
    async def body(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
        await write_and_chain(job, context, transaction)
        return Outcome(result, meta={"ok": 9999, "errors": 1})

    job_id = await submit(lab, data_entry_type_id=31)
    ended = await runner(lab, body).run_job(job_id)
    job, child = await lab.jobs()
    assert job.result is result
    assert (child.job_type, child.pipeline_id) == ("aggregation", job.pipeline_id)
    assert (child.module_type_id, child.year, child.data_entry_type_id) == (3, 2025, None)
    assert [each["job_id"] for each in job.meta["chained"]] == [child.id]
    assert ended.created == (child.id,)


async def test_w3_p4_a_child_is_not_seen_before_its_parents_commit(lab: Lab) -> None:
    gate = Gate("committing")
    job_id = await submit(lab)
    run = asyncio.create_task(runner(lab, write_and_chain, step=gate).run_job(job_id))
    await soon(gate.reached)
    assert len(await lab.jobs()) == 1
    assert await effects(lab) == 0
    gate.open.set()
    await soon(run)
    assert len(await lab.jobs()) == 2
    assert await effects(lab) == 1


async def test_preempted_before_its_finish_it_leaves_no_trace(lab: Lab) -> None:
    gate = Gate("handled")
    job_id = await submit(lab)
    run = asyncio.create_task(runner(lab, write_and_chain, step=gate).run_job(job_id))
    await soon(gate.reached)
    await lab.backdate(job_id)
    async with lab.pool.acquire() as connection:
        assert await recover_job(connection, job_id, timedelta(hours=1))
    before = await lab.job(job_id)
    gate.open.set()
    assert (await soon(run)).end is RunEnd.LOST
    assert await lab.job(job_id) == before
    assert await effects(lab) == 0
    assert len(await lab.jobs()) == 1


async def test_p2_w11_preempted_by_a_run_on_the_same_pod_it_leaves_the_new_run_alone(
    lab: Lab,
) -> None:
    async def body(_job: Job, context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, int(context.owner.rsplit(":", 1)[1], 16))
        return Outcome()

    gate = Gate("handled")
    job_id = await submit(lab)
    first = asyncio.create_task(runner(lab, body, step=gate).run_job(job_id))
    await soon(gate.reached)
    await lab.backdate(job_id)
    async with lab.pool.acquire() as connection:
        await recover_job(connection, job_id, timedelta(hours=1))
    second = await runner(lab, body).run_job(job_id)
    assert second.end is RunEnd.FINISHED
    after = await lab.job(job_id)
    gate.open.set()
    assert (await soon(first)).end is RunEnd.LOST
    assert await lab.job(job_id) == after
    assert await effects(lab) == 1


async def test_a_row_that_vanished_ends_the_run_quietly(lab: Lab) -> None:
    gate = Gate("handled")
    job_id = await submit(lab)
    run = asyncio.create_task(runner(lab, write, step=gate).run_job(job_id))
    await soon(gate.reached)
    await lab.pool.execute("DELETE FROM pipeline_jobs WHERE id = $1", job_id)
    gate.open.set()
    assert (await soon(run)).end is RunEnd.LOST
    assert await effects(lab) == 0


async def test_a_preempted_handler_that_raises_writes_nothing(lab: Lab) -> None:
    async def body(_job: Job, _context: JobContext, _transaction: Transaction) -> Outcome:
        await lab.pool.execute("UPDATE pipeline_jobs SET locked_by = 'other'")
        raise ValueError("too late")

    job_id = await submit(lab)
    assert (await runner(lab, body).run_job(job_id)).end is RunEnd.LOST
    job = await lab.job(job_id)
    assert (job.state, job.locked_by, job.status_message) == ("RUNNING", "other", None)


async def test_what_cannot_be_claimed_is_left_silently(lab: Lab) -> None:
    job_id = await submit(lab)
    await lab.finish(job_id)
    with capture_logs() as logs:
        assert (await runner(lab, write).run_job(job_id)).end is RunEnd.NOT_CLAIMED
        assert (await runner(lab, write).run_job(job_id + 1)).end is RunEnd.NOT_CLAIMED
    assert {line["log_level"] for line in logs} <= {"debug"}


async def test_w18_an_unknown_job_type_is_recorded_as_an_error(lab: Lab) -> None:
    job_id = (await lab.submit("forgotten")).job_id
    await runner(lab, write).run_job(job_id)
    job = await lab.job(job_id)
    assert job.result is JobResult.ERROR
    assert "no handler registered" in (job.status_message or "")


async def test_w1_p1_a_poisoned_transaction_still_ends_in_an_error(lab: Lab) -> None:
    async def body(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        try:
            await transaction.execute(WRITE, job.id)
        except Exception:  # noqa: S110
            pass  # the handler goes on with a transaction that refuses everything
        return Outcome()

    job_id = await submit(lab)
    await runner(lab, body).run_job(job_id)
    job = await lab.job(job_id)
    assert (job.state, job.result) == (JobState.FINISHED, JobResult.ERROR)
    assert await effects(lab) == 0


async def test_w12_p8_a_commit_that_fails_ends_in_an_error(lab: Lab) -> None:
    await lab.pool.execute(
        "CREATE TABLE IF NOT EXISTS toy_deferred (id bigint REFERENCES toy_effects"
        " DEFERRABLE INITIALLY DEFERRED)"
    )

    async def body(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
        context.chain("aggregation", dedup=AGGREGATION_DEDUP)
        await transaction.execute("INSERT INTO toy_deferred VALUES ($1)", job.id)
        return Outcome()

    job_id = await submit(lab)
    try:
        assert (await runner(lab, body).run_job(job_id)).end is RunEnd.FINISHED
    finally:
        await lab.pool.execute("DROP TABLE toy_deferred")
    job = await lab.job(job_id)
    assert (job.state, job.result) == (JobState.FINISHED, JobResult.ERROR)
    assert "toy_deferred" in (job.status_message or "")
    assert len(await lab.jobs()) == 1


async def cut(lab: Lab, *, but: str = "") -> None:
    """Terminate the backend of every open transaction on this database."""
    await lab.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database() AND state LIKE 'idle in transaction%' AND query <> $1",
        but,
    )


@pytest.mark.parametrize("step", ["handled", "finished", "chained", "committing"])
async def test_a_lost_connection_puts_the_job_back_and_the_next_run_does_it(
    lab: Lab, step: str
) -> None:
    gate = Gate(step)
    job_id = await submit(lab)
    run = asyncio.create_task(runner(lab, write_and_chain, step=gate).run_job(job_id))
    await soon(gate.reached)
    await cut(lab)
    gate.open.set()
    assert (await soon(run)).end is RunEnd.RELEASED
    job = await lab.job(job_id)
    assert (job.state, job.attempts, job.locked_by) == (JobState.NOT_STARTED, 1, None)
    assert await effects(lab) == 0
    assert (await runner(lab, write_and_chain).run_job(job_id)).end is RunEnd.FINISHED
    assert await effects(lab) == 1
    assert len(await lab.jobs()) == 2


async def test_a_lost_connection_at_the_last_attempt_is_an_error(lab: Lab) -> None:
    gate = Gate("handled")
    job_id = await submit(lab, max_attempts=1)
    run = asyncio.create_task(runner(lab, write, step=gate).run_job(job_id))
    await soon(gate.reached)
    await cut(lab)
    gate.open.set()
    assert await soon(run) == RunResult(RunEnd.FINISHED, JobResult.ERROR)


async def test_an_answer_to_the_commit_that_is_lost_is_looked_up(lab: Lab) -> None:
    async with AnswerLost(lab.url, b"COMMIT;") as proxy:
        pool = await open_pool(proxy.url, concurrency=2)
        job_id = await submit(lab)
        registry = Registry()
        registry.job_handler("work")(write_and_chain)
        made = Runner(pool, registry, fast(), step=proxy.arm_at("committing"))
        result = await soon(made.run_job(job_id))
        await pool.close()
    assert proxy.lost == 1
    assert (result.end, result.result) == (RunEnd.FINISHED, JobResult.SUCCESS)
    assert len(result.created) == 1
    assert (await lab.job(job_id)).result is JobResult.SUCCESS
    assert await effects(lab) == 1


async def test_u6_an_abort_cancels_the_handler_and_rolls_back(lab: Lab) -> None:
    cancelled = asyncio.Event()
    waiting = asyncio.Event()

    async def body(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Outcome()

    job_id = await submit(lab)
    run = asyncio.create_task(
        runner(lab, body, stale_window=timedelta(seconds=0.8)).run_job(job_id)
    )
    await soon(waiting)
    async with lab.pool.acquire() as blocker, blocker.transaction():
        # Heartbeats wait for this lock, and so fail.
        await blocker.execute("SELECT 1 FROM pipeline_jobs WHERE id = $1 FOR UPDATE", job_id)
        assert (await soon(run, 5)).end is RunEnd.STALLED
    assert cancelled.is_set()
    assert await effects(lab) == 0
    job = await lab.job(job_id)
    assert (job.state, job.result) == (JobState.RUNNING, None)


async def test_w10_p3_a_cancelled_job_commits_nothing_and_keeps_what_the_cancel_wrote(
    lab: Lab,
) -> None:
    waiting = asyncio.Event()

    async def body(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        waiting.set()
        await asyncio.Event().wait()
        return Outcome()

    job_id = await submit(lab)
    made = runner(lab, body)
    run = asyncio.create_task(made.run_job(job_id))
    await soon(waiting)
    async with lab.pool.acquire() as connection:
        await cancel_job(connection, job_id)
    made.kick(job_id)
    assert (await soon(run)).end is RunEnd.LOST
    job = await lab.job(job_id)
    assert (job.result, job.meta["cancelled"]) == (JobResult.ERROR, True)
    assert await effects(lab) == 0


async def test_w10_p11_progress_after_a_cancel_overwrites_nothing_and_says_stop(lab: Lab) -> None:
    answers: list[bool] = []

    async def body(job: Job, context: JobContext, _transaction: Transaction) -> Outcome:
        answers.append(await context.progress("one", rows=1))
        async with lab.pool.acquire() as connection:
            await cancel_job(connection, job.id)
        answers.append(await context.progress("two", rows=2))
        await asyncio.Event().wait()
        return Outcome()

    job_id = await submit(lab)
    assert (await soon(runner(lab, body).run_job(job_id))).end is RunEnd.LOST
    assert answers == [True, False]
    job = await lab.job(job_id)
    assert (job.status_message, job.meta["rows"]) == ("Cancelled by user", 1)
    assert job.meta["cancelled"] is True


async def test_cancelling_a_run_cancels_its_handler_and_releases_the_job(lab: Lab) -> None:
    waiting = asyncio.Event()

    async def body(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        waiting.set()
        await asyncio.Event().wait()
        return Outcome()

    job_id = await submit(lab)
    run = asyncio.create_task(runner(lab, body).run_job(job_id))
    await soon(waiting)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(run)
    job = await lab.job(job_id)
    assert (job.state, job.locked_by, job.attempts) == (JobState.NOT_STARTED, None, 0)
    assert await effects(lab) == 0


async def test_a_handler_that_swallows_its_cancellation_can_write_nothing_more(lab: Lab) -> None:
    waiting, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    errors: list[Exception] = []

    async def body(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
        await transaction.execute(WRITE, job.id)
        waiting.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                pass
        try:
            await transaction.execute(WRITE, job.id + 1)
        except Exception as error:
            errors.append(error)
        ended.set()
        return Outcome()

    job_id = await submit(lab)
    made = runner(lab, body, grace=timedelta(milliseconds=50))
    run = asyncio.create_task(made.run_job(job_id))
    await soon(waiting)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(run)
    go_on.set()
    await soon(ended)
    assert errors
    assert await effects(lab) == 0
