"""What a watcher makes of the events of a run: each is told once, in words."""

from typing import Any

from handlers.cli.picture import MOST_LINES, RunPicture

RUN = "11111111-1111-4111-8111-111111111111"


def run_event(state: str, version: int, **more: Any) -> dict[str, Any]:
    return {"run": {"id": RUN, "state": state, **more}, "version": version}


def step_event(step: str, reason: str | None, version: int) -> dict[str, Any]:
    body = {"id": step, "job_id": "job-1", "exit_reason": reason, "error_message": None}
    return {"step": body, "version": version}


def log_event(line: str, version: int, **more: Any) -> dict[str, Any]:
    body = {"id": line, "level": "info", "source": "JOB", "message": line, **more}
    return {"logs": [body], "version": version}


def told(picture: RunPicture, event: str, payload: Any) -> list[str]:
    return [line.plain for line in picture.apply(event, payload)]


def test_a_run_is_told_from_claim_to_end() -> None:
    picture = RunPicture(RUN)
    picture.jobs["job-1"] = "Check"
    assert told(picture, "run:updated", run_event("claimed", 2)) == ["run claimed"]
    assert told(picture, "step:started", step_event("s", None, 3)) == ["step Check started"]
    assert told(picture, "logs", log_event("hello", 4)) == ["JOB hello"]
    assert told(picture, "step:completed", step_event("s", "fail", 5)) == ["step Check fail"]
    assert not picture.finished
    error = {"error_type": "JobError", "error_message": "no"}
    assert told(picture, "run:updated", run_event("failed", 6, **error)) == [
        "run failed (JobError: no)"
    ]
    assert (picture.finished, picture.succeeded) == (True, False)


def test_an_event_that_was_seen_is_not_told_again() -> None:
    picture = RunPicture(RUN)
    assert told(picture, "run:updated", run_event("started", 3)) == ["run started"]
    assert told(picture, "run:updated", run_event("started", 3)) == []
    assert told(picture, "run:updated", run_event("claimed", 2)) == []
    assert told(picture, "run:updated", run_event("started", 4)) == []
    assert (picture.state, picture.version) == ("started", 4)


def test_a_whole_run_brings_the_picture_up_to_date_once() -> None:
    picture = RunPicture(RUN)
    step = {"id": "s", "job_id": "job-1", "exit_reason": "success", "job": {"name": "Check"}}
    run = {"id": RUN, "state": "success", "version": 7, "steps": [step]}
    assert [line.plain for line in picture.load(run)] == ["step Check success", "run success"]
    assert picture.load(run) == []
    assert told(picture, "step:completed", step_event("s", "success", 7)) == []


def test_log_lines_fetched_and_pushed_are_told_once() -> None:
    picture = RunPicture(RUN)
    lines = [{"id": "a", "level": "warn", "source": None, "message": "one"}]
    assert [line.plain for line in picture.load_lines(lines)] == ["-   one"]
    assert told(picture, "logs", log_event("a", 2)) == []
    assert told(picture, "logs", log_event("b", 3)) == ["JOB b"]


def test_an_unknown_job_is_named_by_its_id_and_an_unknown_event_says_nothing() -> None:
    picture = RunPicture(RUN)
    assert told(picture, "step:started", step_event("s", None, 1)) == ["step job-1 started"]
    assert told(picture, "dataclip:updated", {"dataclip": {}, "version": 2}) == []
    assert told(picture, "run:updated", None) == []


def test_only_the_last_log_lines_are_kept() -> None:
    picture = RunPicture(RUN)
    for number in range(MOST_LINES + 10):
        picture.apply("logs", log_event(f"line {number}", number + 1))
    assert len(picture.lines) == MOST_LINES
    assert picture.lines[0].plain == "JOB line 10"
