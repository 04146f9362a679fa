"""The converter of worker recordings, on a small recording made by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from channel_server.testing.fixture import Action, Connect, Expect, ExpectClose, Send, load

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "convert_worker_frames.py"
RUN = "0c36f2ae-f485-49c1-b6dd-277343091b52"
STEP = "363453e5-036f-42c4-80e7-0f8a550e6761"
QUEUE = "worker:queue"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.x"
PLAN = {
    "id": RUN,
    "triggers": [{"id": "t", "type": "webhook"}],
    "starting_node_id": "t",
    "jobs": [{"id": "a", "name": "A", "adaptor": "x@1", "body": "fn"}],
    "edges": [{"id": "e0", "source_trigger_id": "t", "target_job_id": "a"}],
    "dataclip_id": "clip-1",
}


def frame(direction: str, *parts: Any) -> dict[str, Any]:
    return {"t": 1, "dir": direction, "conn": 3, "frame": json.dumps(parts)}


def asked(ref: str, topic: str, event: str, payload: Any, answer: Any) -> list[dict[str, Any]]:
    """A request and what the mock answered."""
    reply = {"status": "ok", "response": answer}
    return [
        frame("in", "1", ref, topic, event, payload),
        frame("out", "1", ref, topic, f"chan_reply_{ref}", reply),
    ]


CLAIM = {"demand": 1, "worker_name": None, "queues": ["manual", "*"]}
LINES = [
    {"t": 1, "ev": "file", "note": ""},
    *(line for n in range(9) for line in asked(f"c{n}", QUEUE, "claim", CLAIM, {"runs": []})),
    *asked("9", QUEUE, "claim", CLAIM, {"runs": [{"id": RUN, "token": TOKEN}]}),
    *asked("10", f"run:{RUN}", "phx_join", {"token": TOKEN}, "ok"),
    *asked("11", f"run:{RUN}", "fetch:plan", {}, PLAN),
    *asked("12", f"run:{RUN}", "fetch:dataclip", {"id": "clip-1"}, list(b'{"n":1}')),
    *asked("13", f"run:{RUN}", "step:start", {"step_id": STEP, "job_id": "a"}, None),
    *(
        line
        for n in range(30)
        for line in asked(f"l{n}", f"run:{RUN}", "run:log", {"message": ["line", n]}, None)
    ),
    frame("in", "10", "14", f"run:{RUN}", "phx_leave", {}),
    frame("in", None, "15", "phoenix", "heartbeat", {}),
    {"t": 2, "ev": "close-by-worker-side", "conn": 3, "code": 1012},
    {"t": 3, "ev": "upgrade", "conn": 4},
    {"t": 3, "ev": "upgrade-rejected", "conn": 4, "status": 503},
    {"t": 4, "ev": "upgrade", "conn": 5},
]  # fmt: skip


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    source = tmp_path_factory.mktemp("recordings")
    target = tmp_path_factory.mktemp("fixtures")
    text = "\n".join(json.dumps(line) for line in LINES)
    (source / "10-small.jsonl").write_text(text + "\n")
    (source / "INDEX.md").write_text("- `10-small.jsonl` (9 lines): a small one\n")
    done = subprocess.run([sys.executable, SCRIPT, source, target], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return load(target / "10-small.jsonl")


def test_the_header_says_what_to_seed(converted: Any) -> None:
    header = converted.header
    assert (header.name, header.description, header.mount) == ("10-small", "a small one", "/worker")
    assert header.seed["runs"]["1"]["dataclip"] == "clip-1"
    assert header.seed["dataclips"] == {"clip-1": {"type": "saved_input", "body": {"n": 1}}}


def test_ids_and_tokens_are_placeholders(converted: Any) -> None:
    text = str(converted.steps)
    assert RUN not in text
    assert STEP not in text
    assert TOKEN not in text
    (start,) = [s for s in converted.steps if isinstance(s, Send) and s.frame[3] == "step:start"]
    assert start.frame[4] == {"step_id": "{{uuid:step.1}}", "job_id": "{{uuid:job.a}}"}


def test_a_connection_from_before_the_recording_gets_its_join_back(converted: Any) -> None:
    assert converted.steps[0].frame[1:4] == ["1", "worker:queue", "phx_join"]


def test_a_run_is_enqueued_after_the_last_empty_claim(converted: Any) -> None:
    index = next(i for i, step in enumerate(converted.steps) if isinstance(step, Action))
    assert converted.steps[index].name == "enqueue"
    assert converted.steps[index - 1].frame[4]["response"] == {"runs": []}
    assert converted.steps[index + 1].frame[3] == "claim"


def test_long_rows_of_idle_claims_and_counting_logs_are_shortened(converted: Any) -> None:
    events = [step.frame[3] for step in converted.steps if isinstance(step, Send)]
    assert events.count("claim") == 6
    assert events.count("run:log") == 20


def test_what_the_mock_answered_otherwise_is_answered_as_a_gateway_must(converted: Any) -> None:
    answers = {
        (step.frame[1], step.frame[3]): step.frame[4]
        for step in converted.steps
        if isinstance(step, Expect)
    }
    clip = {"status": "ok", "response": {"{{json}}": {"n": 1}}}
    assert answers["12", "phx_reply"] == clip
    assert answers["15", "phx_reply"] == {"status": "ok", "response": {}}
    assert answers["14", "phx_reply"] == {"status": "ok", "response": {}}
    assert answers["10", "phx_close"] == {}


def test_closes_and_refusals_become_steps(converted: Any) -> None:
    tail: list[Any] = [step for step in converted.steps if not isinstance(step, Send | Expect)][-5:]
    assert [type(step) for step in tail] == [Action, ExpectClose, Connect, Action, Connect]
    assert (tail[0].arguments, tail[1].code) == ({"state": "draining"}, 1012)
    assert (tail[2].expect, tail[3].arguments) == (503, {"state": "ready"})


def test_without_arguments_it_explains_itself() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert done.returncode == 2
    assert "RECORDINGS" in done.stdout
