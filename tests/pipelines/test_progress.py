"""Completion is derived from rows; a missing last stage is not success (H1)."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from toy_pipelines import TOY_CHAIN

from pipelines import Chain, Job, JobResult, JobState, PipelineStatus, Progress, compute_progress
from pipelines.enums import EntityType, IngestionMethod, UserProvider
from pipelines.model import Join
from pipelines.progress import progress_to_wire

NOW = datetime(2025, 11, 21, tzinfo=UTC)
OK, WARNING, ERROR = JobResult.SUCCESS, JobResult.WARNING, JobResult.ERROR


def job(job_id: int, job_type: str, result: JobResult | None = OK, **values: Any) -> Job:
    """A finished job, or with ``result=None`` a running one."""
    base = Job(
        id=job_id,
        pipeline_id=UUID(int=1),
        parent_id=None if job_id == 1 else 1,
        job_type=job_type,
        tenant_id=None,
        entity_type=EntityType.MODULE_PER_YEAR,
        entity_id=None,
        module_type_id=3,
        data_entry_type_id=None,
        year=2025,
        scope_key=None,
        target_type=None,
        ingestion_method=IngestionMethod.csv,
        provider=UserProvider.DEFAULT,
        state=JobState.RUNNING if result is None else JobState.FINISHED,
        result=result,
        status_message=None,
        meta={},
        is_current=False,
        locked_by=None,
        locked_at=None,
        claimed_at=NOW,
        started_at=NOW,
        finished_at=NOW,
        attempts=1,
        max_attempts=3,
        run_after=None,
        rerun_requested=False,
        waits_for_siblings=False,
        chained_count=0,
        created_at=NOW,
    )
    return msgspec.structs.replace(base, **values)


def join(requester: int, target: int, result: JobResult | None = OK, **values: Any) -> Join:
    base = Join(
        requester_id=requester,
        job_id=target,
        waits_for_rerun=False,
        job_type="aggregation",
        state=JobState.RUNNING if result is None else JobState.FINISHED,
        result=result,
    )
    return msgspec.structs.replace(base, **values)


def progress(*jobs: Job, joins: tuple[Join, ...] = ()) -> Progress:
    return compute_progress(TOY_CHAIN, jobs, joins)


def ingest(result: JobResult | None = OK, chained: int = 1) -> Job:
    return job(1, "csv_ingest", result, chained_count=chained)


def recalc(job_id: int = 2, result: JobResult | None = OK) -> Job:
    return job(job_id, "emission_recalc", result, chained_count=1 if result in {OK, WARNING} else 0)


def test_a_root_that_waits_is_not_started() -> None:
    seen = progress(job(1, "csv_ingest", None, state=JobState.NOT_STARTED, started_at=None))
    assert (seen.status, seen.done, seen.phase, seen.phase_label) == (
        PipelineStatus.NOT_STARTED,
        False,
        1,
        "data",
    )


def test_a_root_alone_that_owes_children_does_not_complete_prematurely() -> None:
    seen = progress(ingest(OK, chained=2))
    assert (seen.done, seen.status) == (False, PipelineStatus.RUNNING)
    assert seen.owed


def test_a_root_that_chained_nothing_on_purpose_is_done() -> None:
    seen = progress(ingest(OK, chained=0))
    assert (seen.done, seen.status, seen.phase) == (True, PipelineStatus.SUCCESS, 3)


def test_a_running_recalc_keeps_the_second_phase_open() -> None:
    seen = progress(ingest(), recalc(2, None))
    assert (seen.phase, seen.phase_label, seen.done) == (2, "emissions", False)


def test_a_zombie_recalc_keeps_the_pipeline_unfinished() -> None:
    aggregation = job(4, "aggregation", parent_id=3)
    seen = progress(ingest(chained=2), recalc(2, None), recalc(3), aggregation)
    assert not seen.done


def test_a_whole_chain_is_success() -> None:
    seen = progress(ingest(), recalc(), job(3, "aggregation", parent_id=2))
    assert (seen.done, seen.status, seen.has_error) == (True, PipelineStatus.SUCCESS, False)


@pytest.mark.parametrize("result", [OK, WARNING])
def test_h1_a_recalc_without_aggregation_is_not_success(result: JobResult) -> None:
    silent = job(2, "emission_recalc", result, chained_count=0)
    seen = progress(ingest(), silent)
    assert (seen.done, seen.status) == (False, PipelineStatus.RUNNING)
    assert [owed.job.id for owed in seen.owed] == [2]
    assert (seen.phase, seen.phase_label) == (3, "aggregation")


def test_h1_does_not_apply_where_the_scope_is_incomplete() -> None:
    silent = job(2, "emission_recalc", OK, chained_count=0, module_type_id=None)
    assert progress(ingest(), silent).done


def test_w7_a_recalc_that_failed_owes_nothing_and_does_not_stall_the_pipeline() -> None:
    aggregation = job(4, "aggregation", parent_id=3)
    seen = progress(ingest(chained=2), recalc(2, ERROR), recalc(3), aggregation)
    assert (seen.done, seen.status, seen.error_count) == (True, PipelineStatus.PARTIAL, 1)


def test_a_failed_root_is_failed() -> None:
    seen = progress(job(1, "csv_ingest", ERROR, status_message="empty file"))
    assert (seen.status, seen.done, seen.last_error) == (PipelineStatus.FAILED, True, "empty file")


def test_an_error_beside_running_jobs_is_not_the_end() -> None:
    seen = progress(ingest(chained=2), recalc(2, ERROR), recalc(3, None))
    assert (seen.done, seen.has_error, seen.status) == (False, True, PipelineStatus.RUNNING)


def test_a_joined_job_is_waited_for() -> None:
    joins = (join(2, 99, None),)
    seen = progress(ingest(), recalc(), joins=joins)
    assert (seen.done, seen.phase) == (False, 3)
    assert progress(ingest(), recalc(), joins=(join(2, 99),)).status is PipelineStatus.SUCCESS


def test_a_joined_job_that_must_run_again_is_waited_for_though_it_is_finished() -> None:
    assert not progress(ingest(), recalc(), joins=(join(2, 99, waits_for_rerun=True),)).done


def test_a_joined_job_that_failed_makes_the_pipeline_partial() -> None:
    seen = progress(ingest(), recalc(), joins=(join(2, 99, ERROR),))
    assert (seen.status, seen.error_count) == (PipelineStatus.PARTIAL, 1)


def test_w14_the_last_error_passes_over_a_job_that_says_success() -> None:
    seen = progress(
        ingest(chained=2),
        job(2, "emission_recalc", ERROR, status_message="boom"),
        job(3, "emission_recalc", ERROR, status_message="Success"),
    )
    assert seen.last_error == "boom"


def test_a_type_outside_of_the_phases_belongs_to_the_last_one() -> None:
    assert progress(ingest(), job(2, "other", None)).phase == 3


def test_a_kind_without_a_chain_has_one_phase() -> None:
    seen = compute_progress(Chain.single("idle"), [job(1, "idle")], [])
    assert (seen.phases_total, seen.done, seen.phase_label) == (1, True, "idle")


def test_no_jobs_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one job"):
        progress()


def test_progress_on_the_wire_has_names_only() -> None:
    wire = progress_to_wire(progress(ingest(), recalc(2, None)))
    assert wire["status"] == "RUNNING"
    assert wire["incomplete"] is False
    assert "owed" not in wire
    assert msgspec.json.decode(msgspec.json.encode(wire)) == wire
