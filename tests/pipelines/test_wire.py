"""One serialiser: names for enumerations, ISO timestamps, one shape everywhere (W9, P9)."""

import re
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from toy_pipelines import Lab

from pipelines import JobResult, NewJob, Outcome, PipelineStatus, enums, snapshot_to_wire
from pipelines.meta import clean_meta, clean_text, merge_meta
from pipelines.model import job_to_wire
from pipelines.outcome import failure, outcome_of
from schema.tables.pipelines import (
    ENTITY_TYPES,
    INGESTION_METHODS,
    JOB_RESULTS,
    JOB_STATES,
    PIPELINE_STATUSES,
    TARGET_TYPES,
    USER_PROVIDERS,
)

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

JOB_KEYS = [
    *("job_id", "pipeline_id", "parent_id", "job_type", "tenant_id", "entity_type", "entity_id"),
    *("module_type_id", "data_entry_type_id", "year", "scope_key", "target_type"),
    *("ingestion_method", "provider", "state", "result", "status_message", "meta", "is_current"),
    *("locked_by", "locked_at", "claimed_at", "started_at", "finished_at", "attempts"),
    *("max_attempts", "run_after", "created_at"),
]


async def test_the_shape_of_a_job_on_the_wire(lab: Lab) -> None:
    engine = await lab.started()
    submitted = await engine.submit(NewJob(job_type="idle", tenant_id="U-1"))
    await lab.quiet(engine)
    snapshot = await engine.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    wire: dict[str, Any] = snapshot_to_wire(snapshot)
    (job,) = wire["jobs"]
    assert list(job) == JOB_KEYS
    assert job["job_id"] == submitted.job_id
    assert (job["state"], job["result"], wire["status"]) == ("FINISHED", "SUCCESS", "SUCCESS")
    assert (job["entity_type"], job["ingestion_method"]) == ("MODULE_PER_YEAR", "api")
    for name in ("locked_at", "claimed_at", "started_at", "finished_at", "created_at"):
        assert ISO.fullmatch(job[name]), name
    assert wire["pipeline_id"] == str(submitted.pipeline_id) == job["pipeline_id"]
    assert wire["progress"]["done"] is True
    assert msgspec.json.decode(msgspec.json.encode(wire)) == wire
    assert job == job_to_wire(snapshot.jobs[0]), "one shape"
    stored = replace(snapshot.pipeline, status=PipelineStatus.RUNNING, finished_at=None)
    early = snapshot_to_wire(replace(snapshot, pipeline=stored))
    assert (early["status"], early["finished_at"]) == ("SUCCESS", job["finished_at"])


@pytest.mark.parametrize(
    ("enum", "stored"),
    [
        (enums.JobState, JOB_STATES),
        (enums.JobResult, JOB_RESULTS),
        (enums.PipelineStatus, PIPELINE_STATUSES),
        (enums.TargetType, TARGET_TYPES),
        (enums.IngestionMethod, INGESTION_METHODS),
        (enums.EntityType, ENTITY_TYPES),
        (enums.UserProvider, USER_PROVIDERS),
    ],
)
def test_w9_p9_enumerations_are_their_names_and_the_database_allows_exactly_those(
    enum: type[StrEnum], stored: tuple[str, ...]
) -> None:
    assert [member.value for member in enum] == list(enum.__members__)
    assert set(enum.__members__) == set(stored)


def test_meta_drops_underscored_keys_at_any_depth_and_names_enumerations() -> None:
    meta = {"a": {"_b": 1, "c": [{"_d": 2, "e": JobResult.ERROR}]}, "__kg__": 3, "f": {1, 2}}
    assert clean_meta(meta) == {"a": {"c": [{"e": "ERROR"}]}, "f": [1, 2]}


def test_meta_is_always_json_that_the_database_takes() -> None:
    meta = {"nan": float("nan"), "inf": float("inf"), "ok": 0.5, "x\x00": "\ud800", "u": object}
    cleaned = clean_meta(meta)
    assert (cleaned["nan"], cleaned["inf"], cleaned["ok"]) == (None, None, 0.5)
    assert cleaned["x\ufffd"] == "\ufffd"
    assert isinstance(cleaned["u"], str)


def test_meta_is_merged_shallow_new_over_old() -> None:
    assert merge_meta({"a": {"b": 1}, "c": 1}, {"a": {"d": 2}, "_e": 1}) == {"a": {"d": 2}, "c": 1}


def test_text_is_cut_at_its_limit() -> None:
    assert clean_text("abcdef", 3) == "abc"
    assert clean_text("é" * 5, 3) == "ééé"


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(), "Success"),
        (Outcome(JobResult.ERROR, "Success"), "Failed"),
        (Outcome(JobResult.WARNING, " success "), "Finished with warnings"),
        (Outcome(JobResult.ERROR, ""), "Failed"),
        (Outcome(JobResult.WARNING, "3 skipped"), "3 skipped"),
        (failure(ValueError("bad")), "bad"),
        (failure(ValueError()), "ValueError"),
    ],
)
def test_w14_a_message_tells_the_truth_about_the_result(outcome: Outcome, message: str) -> None:
    assert outcome.status_message == message


def test_an_unknown_result_in_a_mapping_is_refused() -> None:
    with pytest.raises(ValueError, match="FINE"):
        outcome_of({"result": "FINE"})
    assert outcome_of(None) == Outcome()
