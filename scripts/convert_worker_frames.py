"""Turn recordings of a real worker into fixtures that replay against our server.

    python scripts/convert_worker_frames.py RECORDINGS [tests/fixtures/worker]

A recording has one line per frame: `{"t", "dir": "in" | "out", "conn", "frame"}`, `in` being the
worker's, and lines with `ev` for connection events. The server in it was a mock. So the worker's
frames are kept and the mock's are used only to learn what to seed and when it answered; the
answers written are those that a gateway must give.

What changes on the way:

* ids and tokens become placeholders, timestamps of the worker stay;
* a connection that was opened before the recording gets its first join back;
* runs are enqueued right after the last claim that found nothing;
* a heartbeat, a leave and whatever the mock left unanswered is answered;
* three recordings were about refusals that the mock invented: `worker_refusals` makes our
  server refuse the same message for a reason of its own;
* more than five claims in a row that find nothing, and more than twenty log lines in a row that
  only count, are shortened.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, cast

from worker_recording import UUID, Names, Recording
from worker_refusals import provoke

from channel_server.testing.fixture import (
    Action,
    Close,
    Connect,
    Expect,
    ExpectClose,
    Fixture,
    Header,
    Send,
    Step,
    render,
)

QUEUE = "worker:queue"
IDLE_CLAIMS = 5
COUNTED_LOGS = 20
_ANY = "{{any}}"
_REST = {"{{rest}}": _ANY}
_SOME_PLAN: dict[str, Any] = {
    "triggers": [{"id": "t", "type": "webhook"}],
    "jobs": [
        {"id": "a", "name": "A", "adaptor": "@openfn/language-common@3.2.3", "body": "fn(s => s)"}
    ],
    "edges": [{"id": "e0", "source_trigger_id": "t", "target_job_id": "a", "condition": "always"}],
    "starting_node_id": "t",
}
_OPEN = {"capacity": 2, "queues": {"manual>*": 2}}


class Converter:
    """Makes the steps of one fixture."""

    def __init__(self, name: str, recording: Recording) -> None:
        self.name = name
        self.recording = recording
        self.names = Names()
        self.steps: list[Step] = []
        self.seed: dict[str, Any] = {"workflows": {}, "credentials": {}, "dataclips": {}}
        self.runs: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self._joined: dict[tuple[int, str], str] = {}
        self._waiting: dict[tuple[int, str], list[Any]] = {}
        self._open: set[int] = set()
        self._idle_claims = 0
        self._counted_logs = 0
        self._enqueue_at = 0

    def convert(self, description: str) -> Fixture:
        """All of it."""
        self._collect()
        for line in self.recording.lines:
            if "ev" in line:
                self._event(line)
            elif line["dir"] == "in":
                self._client(line["conn"], line["frame"])
            else:
                self._server(line["conn"], line["frame"])
        for key in list(self._waiting):
            self._answer(*key)
        provoke(self.name, self.steps)
        runs = {
            number: {key: value for key, value in run.items() if key != "id"}
            for number, run in self.runs.items()
        }
        seed = self.seed | {"runs": runs}
        return Fixture(
            Header(
                name=self.name,
                description=description,
                mount="/worker",
                params={
                    "token": "{{token:worker}}",
                    "api_version": "1.2",
                    "worker_version": "1.25.0",
                },
                seed=seed if self.runs else {},
                ignore=[(QUEUE, "work-available")],
            ),
            self.steps,
        )

    # What to seed.

    def _collect(self) -> None:
        for line in self.recording.lines:
            if line.get("dir") != "in":
                continue
            conn, (_, ref, topic, event, payload) = line["conn"], line["frame"]
            if event == "claim":
                for run in self.recording.runs_of(conn, ref):
                    self._collect_run(run, payload["queues"])
            elif event == "fetch:plan":
                plan = self.recording.answers[conn, ref]["response"]
                self._collect_plan(topic.removeprefix("run:"), plan)
            elif event == "fetch:credential":
                body = self.recording.answers[conn, ref]["response"]
                self.seed["credentials"][payload["id"]] = body
            elif event == "fetch:dataclip":
                self._collect_dataclip(payload["id"], self.recording.answers[conn, ref])
            self._collect_ids(payload)
        for run in self.runs.values():
            if "workflow" not in run:  # it was claimed and never joined
                self._collect_plan(run["id"], _SOME_PLAN)

    def _collect_run(self, run: dict[str, str], queues: list[str]) -> None:
        number = str(len(self.runs) + 1)
        self.runs[number] = {"id": run["id"]}
        if "*" not in queues:
            self.runs[number]["queue"] = queues[0]
        self.names.add(run["id"], f"{{{{uuid:run.{number}}}}}")
        self.names.add(run["token"], f"{{{{token:run.{number}}}}}")

    def _collect_plan(self, run_id: str, plan: dict[str, Any]) -> None:
        self.plans[run_id] = plan
        workflow = {key: plan[key] for key in ("triggers", "jobs", "edges")}
        workflows = self.seed["workflows"]
        number = next((key for key, known in workflows.items() if known == workflow), None)
        if number is None:
            number = str(len(workflows) + 1)
            workflows[number] = workflow
        run = next(run for run in self.runs.values() if run["id"] == run_id)
        run |= {"workflow": number, "dataclip": plan.get("dataclip_id")}
        run |= {"start": plan["starting_node_id"], "options": plan.get("options") or {}}

    def _collect_dataclip(self, clip: str, answer: dict[str, Any]) -> None:
        body = json.loads(bytes(answer["response"])) if answer["status"] == "ok" else None
        self.seed["dataclips"][clip] = {"type": "saved_input", "body": body}

    def _collect_ids(self, payload: dict[str, Any]) -> None:
        for key, kind in (
            ("step_id", "step"),
            ("output_dataclip_id", "output"),
            ("final_dataclip_id", "output"),
        ):
            value = payload.get(key)
            if isinstance(value, str) and UUID.fullmatch(value):
                self.names.number(value, kind)

    # Connections.

    def _event(self, line: dict[str, Any]) -> None:
        conn = line.get("conn", 0)
        match line["ev"]:
            case "upgrade":
                rejected = self._status_of(conn)
                self._open.add(conn)
                self.steps.append(Connect(0, conn, None, rejected))
            case "upgrade-rejected":
                self._open.discard(conn)
                if not self._status_after(conn):
                    self.steps.append(Action(0, "server", {"state": "ready"}))
            case "close-by-worker-side" if line.get("code") == 1012:
                self._first_join(conn, "1")
                self._restart(conn)
            case "close-by-worker-side" if conn in self._open:
                self._closed(conn, line.get("code"))
            case _:
                pass

    def _status_of(self, conn: int) -> int | None:
        for line in self.recording.lines:
            if line.get("ev") == "upgrade-rejected" and line["conn"] == conn:
                return int(line["status"])
        return None

    def _status_after(self, conn: int) -> bool:
        return any(
            line.get("ev") == "upgrade-rejected" and line["conn"] > conn
            for line in self.recording.lines
        )

    def _restart(self, conn: int) -> None:
        self.steps.append(Action(0, "server", {"state": "draining"}))
        self.steps.append(ExpectClose(0, conn, 1012))
        self._open.discard(conn)
        if not self._status_after(conn):
            self.steps.append(Action(0, "server", {"state": "ready"}))

    def _closed(self, conn: int, code: int | None) -> None:
        for key in [key for key in self._waiting if key[0] == conn]:
            self._answer(*key)
        self._open.discard(conn)
        # 1005 is a close without a status, 1006 none at all: both just drop.
        self.steps.append(Close(0, conn, code if code == 1000 else None))

    def _first_join(self, conn: int, join_ref: str) -> None:
        if conn not in self._open:
            self._open.add(conn)
            self._joined[conn, QUEUE] = join_ref
            self._send(conn, [join_ref, join_ref, QUEUE, "phx_join", _OPEN])
            self._answer(conn, join_ref)

    # Frames.

    def _client(self, conn: int, frame: list[Any]) -> None:
        join_ref, ref, topic, event, payload = frame
        if topic == QUEUE and event != "phx_join":
            self._first_join(conn, join_ref)
        if self._skip(conn, ref, event, payload):
            return
        if event == "claim":
            self._claim(conn, ref)
        if event == "phx_join":
            self._joined[conn, topic] = join_ref
        self._send(conn, frame)
        if (conn, ref) not in self.recording.answered or event in ("phx_leave", "fetch:plan"):
            self._answer(conn, ref)

    def _server(self, conn: int, frame: list[Any]) -> None:
        if (conn, frame[1]) in self._waiting and "reply" in frame[3]:
            self._answer(conn, frame[1])

    def _skip(self, conn: int, ref: str, event: str, payload: dict[str, Any]) -> bool:
        idle = event == "claim" and not self.recording.runs_of(conn, ref)
        self._idle_claims = self._idle_claims + 1 if idle else 0
        if event == "run:batch_logs":
            return _counting(*payload["logs"]) and self._too_many_logs(len(payload["logs"]))
        if event == "run:log":
            return _counting(payload) and self._too_many_logs(1)
        return self._idle_claims > IDLE_CLAIMS

    def _too_many_logs(self, lines: int) -> bool:
        self._counted_logs += lines
        return self._counted_logs > max(COUNTED_LOGS, 2 * lines)

    def _claim(self, conn: int, ref: str) -> None:
        runs = self.recording.runs_of(conn, ref)
        if not runs:
            return
        # A claim that shall find nothing must be answered before there is something to find.
        for key, (_, _, _, event, _) in list(self._waiting.items()):
            if event == "claim":
                self._answer(*key)
        for run in runs:
            number = next(key for key, known in self.runs.items() if known.get("id") == run["id"])
            self.steps.insert(self._enqueue_at, Action(0, "enqueue", {"run": number}))
            self._enqueue_at += 1

    def _send(self, conn: int, frame: list[Any]) -> None:
        self._waiting[conn, frame[1]] = frame
        self._open.add(conn)
        self.steps.append(Send(0, conn, self._templated(frame)))

    def _templated(self, frame: list[Any]) -> list[Any]:
        join_ref, ref, topic, event, payload = frame
        keyed = self._keyed(topic, payload)
        return [join_ref, ref, self.names.replace(topic), event, self.names.replace(keyed)]

    def _keyed(self, topic: str, payload: Any) -> Any:
        """Ids of jobs, dataclips and credentials are short words, replaced only where they are."""
        if not isinstance(payload, dict):
            return payload
        values = cast("dict[str, Any]", payload)
        kinds = {"job_id": "job", "id": "credential", "input_dataclip_id": "dataclip"}
        if values.get("id") in self.seed["dataclips"]:
            kinds["id"] = "dataclip"
        named: dict[str, Any] = {}
        for key, kind in kinds.items():
            value = values.get(key)
            if isinstance(value, str) and not UUID.fullmatch(value):
                named[key] = self._id(topic, kind, value)
        return values | named

    def _id(self, topic: str, kind: str, key: str) -> str:
        run_id = topic.removeprefix("run:")
        workflow = next(run["workflow"] for run in self.runs.values() if run["id"] == run_id)
        shared = kind in ("credential", "dataclip") or workflow == "1"
        return f"{{{{uuid:{kind}.{key}}}}}" if shared else f"{{{{uuid:{kind}.{workflow}.{key}}}}}"

    # Answers.

    def _answer(self, conn: int, ref: str) -> None:
        frame = self._waiting.pop((conn, ref), None)
        if frame is None:
            return
        join_ref, ref, topic, event, payload = frame
        named = self.names.replace(topic)
        response = self._response(conn, ref, topic, event, payload)
        reply = {"status": "ok", "response": response}
        answered = None if topic == "phoenix" else join_ref
        self.steps.append(Expect(0, conn, [answered, ref, named, "phx_reply", reply]))
        if event == "phx_leave":
            self.steps.append(Expect(0, conn, [join_ref, join_ref, named, "phx_close", {}]))
        if event == "claim":
            self._enqueue_at = len(self.steps)

    def _response(self, conn: int, ref: str, topic: str, event: str, payload: Any) -> Any:
        match event:
            case "claim":
                return {"runs": [self._claimed(run) for run in self.recording.runs_of(conn, ref)]}
            case "fetch:plan":
                return self._plan(topic)
            case "fetch:dataclip":
                return {"{{json}}": self.seed["dataclips"][payload["id"]]["body"]}
            case "fetch:credential":
                return self.seed["credentials"][payload["id"]]
            case "step:start" | "step:complete":
                return {"step_id": self.names.replace(payload["step_id"])}
            case "run:log":
                return {"log_line_id": "{{uuid}}"}
            case "run:start" | "run:complete":
                return None
            case "run:batch_logs":
                return _ANY
            case _:
                return {}

    def _claimed(self, run: dict[str, str]) -> dict[str, str]:
        return {"id": self.names.known[run["id"]], "token": self.names.known[run["token"]]}

    def _plan(self, topic: str) -> dict[str, Any]:
        run_id = topic.removeprefix("run:")
        plan = self.plans[run_id]
        number = self.names.known[run_id].removeprefix("{{uuid:run.").removesuffix("}}")

        def name(kind: str, key: str | None) -> str | None:
            return None if key is None else self._id(topic, kind, key)

        workflow = self.runs[number]["workflow"]
        suffix = "" if workflow == "1" else f".{workflow}"
        start = plan["starting_node_id"]
        is_trigger = any(trigger["id"] == start for trigger in plan["triggers"])
        return {
            "id": f"{{{{uuid:run.{number}}}}}",
            "project_id": "{{uuid:project}}",
            "triggers": [{"id": name("trigger", item["id"])} for item in plan["triggers"]],
            "jobs": [
                {
                    "id": name("job", job["id"]),
                    "name": job["name"],
                    "adaptor": job["adaptor"],
                    "body": job["body"],
                    "credential_id": name("credential", job.get("credential_id")),
                }
                for job in plan["jobs"]
            ],
            "edges": [
                {
                    "id": "{{uuid}}",
                    "target_job_id": name("job", edge["target_job_id"]),
                    "condition": edge.get("condition", "always"),
                    "enabled": True,
                }
                | _REST
                for edge in plan["edges"]
            ],
            "starting_node_id": name("trigger" if is_trigger else "job", start),
            "dataclip_id": name("dataclip", plan.get("dataclip_id")),
            "options": _options(plan) | _REST,
            "meta": {
                "work_order_id": f"{{{{uuid:work_order.{number}}}}}",
                "workflow_id": f"{{{{uuid:workflow{suffix}}}}}",
                "project_id": "{{uuid:project}}",
            },
        }


def _options(plan: dict[str, Any]) -> dict[str, Any]:
    recorded: dict[str, Any] = plan.get("options") or {}
    options: dict[str, Any] = {"output_dataclips": recorded.get("output_dataclips", True)}
    if "run_timeout_ms" in recorded:
        options["run_timeout_ms"] = recorded["run_timeout_ms"]
    return options


def _counting(*logs: dict[str, Any]) -> bool:
    return all(log["message"][:1] == ["line"] for log in logs)


def descriptions(folder: Path) -> dict[str, str]:
    """What `INDEX.md` says about each recording."""
    index = folder / "INDEX.md"
    text = index.read_text() if index.exists() else ""
    return dict(re.findall(r"^- `(.+?)\.jsonl` \(\d+ lines\): (.+)$", text, re.MULTILINE))


def main(arguments: list[str]) -> int:
    """Convert a folder of recordings."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    source = Path(arguments[0])
    target = Path(arguments[1] if len(arguments) == 2 else "tests/fixtures/worker")
    target.mkdir(parents=True, exist_ok=True)
    known = descriptions(source)
    for path in sorted(source.glob("*.jsonl")):
        fixture = Converter(path.stem, Recording(path)).convert(known.get(path.stem, ""))
        (target / path.name).write_text(render(fixture))
        print(f"{path.stem}: {len(fixture.steps)} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
