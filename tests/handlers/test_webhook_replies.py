"""Section 6: what an HTTP caller gets that waits for its run."""

import asyncio
from typing import Any

import msgspec
import pytest

from handlers.webhook_replies import (
    Outcome,
    ResponseConfig,
    WebhookReplies,
    WebhookReply,
    build_reply,
)

RUN = {
    "id": "r-1",
    "work_order_id": "w-1",
    "state": "success",
    "error_type": None,
    "inserted_at": "2026-01-01T00:00:00.000001Z",
    "claimed_at": "2026-01-01T00:00:01Z",
    "started_at": "2026-01-01T00:00:02Z",
    "finished_at": "2026-01-01T00:00:03Z",
    "priority": 1,
}
SUCCESS = Outcome(RUN, msgspec.Raw(b'{"answer":42}'))
FAILURE = Outcome(RUN | {"state": "failed", "error_type": "JobError"}, msgspec.Raw(b'{"a":1}'))
NO_CODES = ResponseConfig()


def read(reply: WebhookReply) -> tuple[int, Any]:
    return reply.status, msgspec.json.decode(reply.body)["data"]


async def nothing() -> None:
    return None


def test_success_answers_the_final_state_with_201() -> None:
    assert read(build_reply(NO_CODES, SUCCESS)) == (201, {"answer": 42})


def test_the_meta_names_exactly_these_fields() -> None:
    body = msgspec.json.decode(build_reply(NO_CODES, SUCCESS).body)
    meta = {name: value for name, value in RUN.items() if name not in ("id", "priority")}
    assert body["meta"] == meta | {"run_id": "r-1"}


def test_a_failure_withholds_the_state_and_names_its_kind() -> None:
    status, data = read(build_reply(NO_CODES, FAILURE))
    assert status == 201
    assert "failed" in data
    assert "security policy" in data


def test_the_trigger_may_set_both_codes() -> None:
    codes = ResponseConfig(success_code=200, error_code=422)
    assert build_reply(codes, SUCCESS).status == 200
    assert build_reply(codes, FAILURE).status == 422


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"status": 202, "body": {"x": 1}}, (202, {"x": 1})),
        ({"status": 202.9, "body": {"x": 1}}, (202, {"x": 1})),
        ({"status": 404}, (404, {"answer": 42})),
        ({"body": {"x": 1}}, (201, {"x": 1})),
        ({"status": None, "body": None}, (201, {"answer": 42})),
        ({}, (201, {"answer": 42})),
    ],
)
def test_a_step_may_choose_status_and_body(response: Any, expected: tuple[int, Any]) -> None:
    assert read(build_reply(NO_CODES, SUCCESS, response)) == expected


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ({"status": "200"}, "status is not a number"),
        ({"status": True}, "status is not a number"),
        ({"status": 42}, "status must be from 100 to 599"),
        ({"status": 1e300}, "status must be from 100 to 599"),
        ({"status": 200, "body": "text"}, "body is not an object"),
        ({"status": 200, "body": [1]}, "body is not an object"),
        ("created", "it is not an object"),
    ],
)
def test_a_malformed_response_falls_back_and_says_why(response: Any, why: str) -> None:
    status, data = read(build_reply(ResponseConfig(success_code=209), SUCCESS, response))
    assert status == 209
    assert "malformed" in data
    assert why in data


async def test_the_last_response_wins_and_a_later_step_without_one_clears_nothing() -> None:
    replies = WebhookReplies()
    replies.expect("r-1", NO_CODES)
    replies.step_responded("r-1", {"status": 200})
    replies.step_responded("r-1", {"status": 202})
    replies.step_responded("r-1", None)
    replies.run_ended("r-1", SUCCESS)
    reply = await replies.wait("r-1", 1, nothing)
    assert reply is not None
    assert reply.status == 202


async def test_a_caller_is_answered_once() -> None:
    replies = WebhookReplies()
    replies.expect("r-1", NO_CODES)
    replies.run_ended("r-1", SUCCESS)
    replies.run_ended("r-1", FAILURE)
    reply = await replies.wait("r-1", 1, nothing)
    assert reply == build_reply(NO_CODES, SUCCESS)
    assert not replies.waits_for("r-1")
    replies.run_ended("r-1", FAILURE)


async def test_a_caller_of_a_run_that_does_not_end_is_told_nothing() -> None:
    replies = WebhookReplies()
    replies.expect("r-1", NO_CODES)
    assert await replies.wait("r-1", 0.01, nothing) is None
    assert not replies.waits_for("r-1")


async def test_a_caller_that_hangs_up_leaves_nothing_behind() -> None:
    replies = WebhookReplies()
    replies.expect("r-1", NO_CODES)
    call = asyncio.create_task(replies.wait("r-1", 10, nothing))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert not replies.waits_for("r-1")


def test_runs_that_nobody_waits_for_answer_nobody() -> None:
    replies = WebhookReplies()
    replies.step_responded("r-1", {"status": 200})
    replies.run_ended("r-1", SUCCESS)
    assert not replies.waits_for("r-1")
