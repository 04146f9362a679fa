"""Section 12.6: a worker that asks for it gets every refusal in one shape, with stable codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from jsonschema import Draft202012Validator

from channel_server.client_errors import JoinRefused
from channel_server.testing.client import SocketClient, connect
from handlers import wire_errors
from handlers.application import WORKER_MOUNT
from handlers.cli.schema import schema_text
from schema.codes import MEANINGS, codes_table
from schema.outcomes import Owner
from schema.refused import Refused
from tests.handlers.bench import TIMEOUT, Bench, Run, stamp
from tests.handlers.cli_bench import call

DOCS = Path(__file__).parents[2] / "docs"
ASK = {"errors": "structured"}
VALIDATOR = Draft202012Validator(wire_errors.schema())

Expected = list[tuple[str, str | None, str | None]]
"""Code, field and constraint of each problem."""


def problems(response: Any) -> Expected:
    """What a structured reply says, after it was checked against the published schema."""
    VALIDATOR.validate(response)  # pyright: ignore[reportUnknownMemberType]
    for problem in response["errors"]:
        assert problem["message"]
        assert list(problem) == ["code", "field", "message", "constraint", "retryable"]
    return [(p["code"], p["field"], p["constraint"]) for p in response["errors"]]


async def refused_join(socket: SocketClient, topic: str, payload: Any) -> Any:
    with pytest.raises(JoinRefused) as caught:
        await socket.join(topic, payload, timeout=TIMEOUT)
    return caught.value.response


async def joined(bench: Bench, worker: SocketClient | None = None) -> Run:
    """A run whose worker asked for structured errors."""
    socket = worker or await bench.worker()
    run_id, token = await bench.claimed(socket)
    channel = await socket.join(f"run:{run_id}", {"token": token, **ASK}, timeout=TIMEOUT)
    return Run(run_id, token, channel)


async def step(bench: Bench, run: Run) -> str:
    step_id = str(uuid4())
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    return step_id


REFUSALS: list[tuple[str, Callable[[str, str], Any], Expected]] = [
    ("run:nonsense", lambda _step, _job: {}, [("unknown_event", None, None)]),
    ("fetch:credential", lambda _step, _job: {}, [("required", "id", None)]),
    ("fetch:credential", lambda _step, _job: {"id": "x"}, [("not_found", "id", None)]),
    ("fetch:credential", lambda _step, _job: {"id": str(uuid4())}, [("not_found", "id", None)]),
    ("run:start", lambda _step, _job: {"timestamp": "now"}, [("invalid_type", "timestamp", None)]),
    ("run:start", lambda _step, _job: [], [("invalid_type", "base", None)]),
    ("run:start", lambda _step, _job: {"timestamp": stamp(9)}, [("wrong_state", "state", None)]),
    ("run:log", lambda _step, _job: {}, [("required", "message", None)]),
    (
        "run:log",
        lambda _step, _job: {"message": 1, "level": "loud", "id": "x"},
        [
            ("invalid_type", "id", None),
            ("invalid_type", "message", None),
            ("invalid", "level", None),
        ],
    ),
    (
        "run:log",
        lambda _step, _job: {"message": "x", "step_id": str(uuid4())},
        [("not_found", "step_id", "log_lines_step_id_fkey")],
    ),
    ("run:batch_logs", lambda _step, _job: {}, [("required", "logs", None)]),
    ("run:batch_logs", lambda _step, _job: {"logs": {}}, [("invalid_type", "logs", None)]),
    ("run:batch_logs", lambda _step, _job: {"logs": [None]}, [("required", "message", None)]),
    ("step:start", lambda _step, _job: {}, [("required", "job_id", None)]),
    ("step:start", lambda _step, _job: {"job_id": None}, [("not_found", "job_id", None)]),
    ("step:start", lambda _step, job: {"job_id": job}, [("required", "step_id", None)]),
    (
        "step:start",
        lambda _step, job: {"job_id": job, "step_id": str(uuid4()), "credential_id": str(uuid4())},
        [("not_found", "credential_id", "steps_credential_id_fkey")],
    ),
    (
        "step:start",
        lambda step, job: {"job_id": job, "step_id": step, "timestamp": stamp(9)},
        [("duplicate", "step_id", None)],
    ),
    (
        "step:complete",
        lambda _step, _job: {},
        [("required", "step_id", None), ("required", "reason", None)],
    ),
    (
        "step:complete",
        lambda _step, _job: {"step_id": str(uuid4()), "reason": "success"},
        [("not_found", "step_id", None)],
    ),
    (
        "step:complete",
        lambda step, _job: {"step_id": step, "reason": "success", "output_dataclip": "{}"},
        [("required", "output_dataclip_id", None)],
    ),
    ("run:complete", lambda _step, _job: {}, [("required", "reason", None)]),
    ("run:complete", lambda _step, _job: {"reason": "bored"}, [("invalid", "state", None)]),
    (
        "run:complete",
        lambda _step, _job: {"reason": "success", "final_dataclip_id": str(uuid4())},
        [("not_found", "final_dataclip_id", "runs_final_dataclip_id_fkey")],
    ),
]


async def test_every_refusal_of_an_event_names_its_code_field_and_constraint(
    bench: Bench,
) -> None:
    run = await joined(bench)
    await run.call("run:start", {"timestamp": stamp()})
    mine, job = await step(bench, run), str(bench.world.job)
    for event, payload, expected in REFUSALS:
        found = problems(await run.refused(event, payload(mine, job)))
        assert found == expected, (event, expected)
    await run.call("run:complete", {"reason": "success", "timestamp": stamp()})
    late = {"reason": "fail", "timestamp": stamp(1)}
    assert problems(await run.refused("run:complete", late)) == [("wrong_state", "state", None)]


async def test_who_does_not_ask_gets_the_plain_shapes(bench: Bench) -> None:
    run = await bench.run()
    assert await run.refused("run:nonsense") == {"reason": "unknown event"}
    assert await run.refused("run:log", {}) == {"message": ["This field can't be blank."]}
    assert await run.refused("fetch:credential", {}) == {
        "errors": {"id": ["This field can't be blank."]}
    }


@pytest.mark.parametrize("asked", ["plain", "Structured", True, None, ["structured"], {}])
async def test_only_the_exact_word_asks_for_it(bench: Bench, asked: Any) -> None:
    worker = await bench.worker()
    refused = await refused_join(worker, f"run:{uuid4()}", {"errors": asked})
    assert refused == {"reason": "unauthorized"}


async def test_a_refused_join_is_structured_when_it_asked_for_it(bench: Bench) -> None:
    worker, owner = await bench.worker(), Owner(uuid4(), uuid4())
    topic = f"run:{owner.run_id}"
    token = bench.app.gateway.run_tokens.issue(owner, 60)
    assert problems(await refused_join(worker, topic, ASK)) == [("unauthorized", None, None)]
    missing = await refused_join(worker, topic, {"token": token, **ASK})
    assert problems(missing) == [("not_found", None, None)]


async def test_a_join_that_the_server_refuses_by_itself_is_structured_too(
    bench: Bench,
) -> None:
    worker = await bench.worker()
    run_id, token = await bench.claimed(worker)
    topic = f"run:{run_id}"
    await bench.world.rows("ALTER TABLE runs RENAME TO away")
    try:
        response = await refused_join(worker, topic, {"token": token, **ASK})
        plain = await refused_join(worker, topic, {"token": token})
    finally:
        await bench.world.rows("ALTER TABLE away RENAME TO runs")
    assert problems(response) == [("join_crashed", None, None)]
    assert plain == {"reason": "join crashed"}


async def test_a_join_beyond_the_limit_is_refused_in_the_shape_that_it_asks_for(
    bench: Bench,
) -> None:
    sockets = bench.app.sockets
    sockets[WORKER_MOUNT].limits = msgspec.structs.replace(
        sockets[WORKER_MOUNT].limits, max_topics=1
    )
    token = bench.app.gateway.worker_tokens.issue("worker-1")
    worker = await connect(sockets[WORKER_MOUNT], {"token": token}, pubsub=bench.app.pubsub)
    bench.sockets.append(worker)
    await worker.join("worker:queue", {}, timeout=TIMEOUT)
    response = await refused_join(worker, f"run:{uuid4()}", ASK)
    assert problems(response) == [("too_many_channels", None, None)]
    assert response["errors"][0]["retryable"] is True
    plain = await refused_join(worker, f"run:{uuid4()}", {})
    assert plain == {"reason": "too many channels joined"}


@pytest.mark.parametrize("reason", ["join crashed", "join timeout", "duplicate join", "draining"])
def test_every_reason_of_the_server_for_a_refused_join_has_a_code(reason: str) -> None:
    reply = wire_errors.refused_join(reason)
    assert reply.response == {"reason": reason}
    (problem,) = msgspec.to_builtins(wire_errors.structured(reply).response)["errors"]
    assert problem["code"] == reason.replace(" ", "_")


async def test_who_lost_the_lease_is_told_in_one_shape(bench: Bench) -> None:
    run = await joined(bench)
    await bench.world.rows("UPDATE runs SET lease = gen_random_uuid() RETURNING id")
    response = await run.refused("run:start", {"timestamp": stamp()})
    assert problems(response) == [("lease_lost", None, None)]


async def test_a_bug_of_ours_says_nothing_but_that(bench: Bench) -> None:
    run = await joined(bench)
    await bench.world.rows(
        "ALTER TABLE steps ADD CONSTRAINT surprise CHECK (error_type <> 'Surprise') NOT VALID"
    )
    payload = {"step_id": await step(bench, run), "reason": "fail", "error_type": "Surprise"}
    response = await run.refused("step:complete", payload)
    assert problems(response) == [("internal_error", None, None)]
    assert "urprise" not in str(response)


@pytest.mark.parametrize(
    ("refused", "expected", "again"),
    [
        (Refused({}, "busy", code="busy", retryable=True), [("busy", None, None)], True),
        (
            Refused({}, "unavailable", code="unavailable", retryable=True),
            [("unavailable", None, None)],
            True,
        ),
        (Refused({}, "internal"), [("internal_error", None, None)], False),
        (Refused({}, "not_found"), [("not_found", None, None)], False),
        (
            Refused({"a": ["x", "y"], "b": ["z"]}, code="invalid", constraint="c"),
            [("invalid", "a", "c"), ("invalid", "a", "c"), ("invalid", "b", "c")],
            False,
        ),
    ],
)
def test_what_may_be_sent_again_says_so(refused: Refused, expected: Expected, again: bool) -> None:
    reply = wire_errors.structured(wire_errors.refusal(refused))
    response = msgspec.to_builtins(reply.response)
    assert problems(response) == expected
    assert {problem["retryable"] for problem in response["errors"]} == {again}


def test_the_documented_codes_are_those_of_the_program() -> None:
    assert codes_table() in (DOCS / "errors.md").read_text()


def test_the_documented_schema_is_the_one_that_is_printed() -> None:
    text = (DOCS / "errors.schema.json").read_text()
    assert text == schema_text("errors")
    assert call("schema", "errors").out == text
    schema = msgspec.json.decode(text)
    Draft202012Validator.check_schema(schema)
    assert call("schema", "errors", "--json").data == schema
    codes = [one["const"] for one in schema["$defs"]["Problem"]["properties"]["code"]["oneOf"]]
    assert codes == list(MEANINGS)
