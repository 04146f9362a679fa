"""Every event of the gateway with payloads of the wrong type: always answered, nothing breaks."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channel_server.testing.client import ANY, ChannelClient
from tests.attack.target import Target

EVENTS: dict[str, list[str]] = {
    "fetch:plan": ["id"],
    "fetch:credential": ["id"],
    "fetch:dataclip": ["id"],
    "run:start": ["timestamp"],
    "step:start": ["step_id", "job_id", "credential_id", "input_dataclip_id", "timestamp"],
    "step:complete": [
        "step_id",
        "reason",
        "output_dataclip",
        "output_dataclip_id",
        "error_type",
        "error_message",
        "timestamp",
        "webhook_response",
    ],
    "run:log": ["id", "message", "level", "source", "step_id", "timestamp"],
    "run:batch_logs": ["logs"],
    "run:complete": [
        "reason",
        "error_type",
        "error_message",
        "timestamp",
        "final_state",
        "final_dataclip_id",
    ],
}
PAIRS = [(event, field) for event, fields in EVENTS.items() for field in fields]
FIELDS = sorted({field for _, field in PAIRS} | {"token", "__proto__"})
VALID = {"reason": "success", "message": ["x"], "timestamp": "1795216548000000"}
"""Makes most events valid but for the field under attack."""

WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    -(2**63) - 1,
    10**40,
    1e308,
    5e-324,
    "",
    " ",
    "\0",
    "\ud800",
    "x" * 70_000,
    "1795216548000000",
    "9" * 18,
    "9" * 400,
    "-1",
    "NaN",
    "{",
    '{"a":' * 300 + "1" + "}" * 300,
    '{"a":1e999999}',
    '{"a":1e-999999}',
    '"\\ud800\\u0000"',
    "success",
    "__proto__",
    "00000000-0000-0000-0000-000000000000",
    "' OR 1=1 --",
    [],
    [None],
    [[]] * 50,
    ["x", 1, None, {"a": "\0"}],
    {},
    {"": {}},
    {"__proto__": {"constructor": 1}},
    {"message": ["x"]},
    [{"message": ["x"]}, 7],
    {"status": {}, "body": []},
]


async def answered(channel: ChannelClient, event: str, payload: Any) -> Any:
    """The response, ok or error, which must come; it may not be a bug of ours."""
    pushed = await channel.push(event, payload)
    answer = await channel.assert_reply(pushed, ANY, timeout=10)
    assert answer != {"reason": "internal_error"}, (event, payload)
    return answer


@pytest.mark.parametrize(("event", "field"), PAIRS)
async def test_a_field_of_the_wrong_type_is_answered(
    target: Target, event: str, field: str
) -> None:
    worker = await target.worker()
    run = await target.run(worker)
    for value in WRONG:
        valid = VALID | {"job_id": str(target.world.job), "step_id": str(uuid4())}
        if event == "run:complete":  # each on a run of its own, or only the first would be stored
            run = await target.run(worker)
        elif event == "step:complete":
            await run.call("step:start", valid)
        elif event.startswith("run:"):
            del valid["step_id"]
        await answered(run, event, valid | {field: value})


@pytest.mark.parametrize("event", [*EVENTS, "phx_reply", "nonsense", ""])
async def test_a_payload_that_is_no_object_is_answered(target: Target, event: str) -> None:
    run = await target.run()
    for value in (*WRONG, b"", b"\xff\xfe", b'{"reason":"success"}'):
        await answered(run, event, value)


async def test_a_claim_of_any_kind_is_answered_with_runs(target: Target) -> None:
    queue = await (await target.worker()).join("worker:queue")
    for value in (*WRONG, b"\xff"):
        pushed = await queue.push("claim", value)
        assert "runs" in await queue.assert_reply(pushed, "ok")
    for field in ("demand", "queues", "worker_name"):
        for value in WRONG:
            assert "runs" in await queue.call("claim", {field: value})


@pytest.mark.parametrize("event", ["fetch:run", "fetch:logs", "run:start", "nonsense"])
async def test_events_of_a_dashboard_are_answered(target: Target, event: str) -> None:
    created = await target.world.enqueue()
    run = await (await target.dashboard()).join(f"run:{created.run_id}")
    project = await (await target.dashboard()).join(f"project:{target.world.project.id}")
    for value in WRONG:
        if value != "x" * 70_000:
            await answered(run, event, value)
            assert await answered(project, event, value) == {"reason": "unknown event"}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(WRONG[10:14] + WRONG[15:29]),
    st.uuids().map(str),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=12,
)
payloads = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=8), values, st.binary(max_size=30)
)


@given(events=st.lists(st.tuples(st.sampled_from(list(EVENTS)), payloads), max_size=8))
@settings(
    max_examples=60,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_sequence_of_events_is_answered(
    target: Target, events: list[tuple[str, Any]]
) -> None:
    run = await target.run()
    for event, payload in events:
        await answered(run, event, payload)
