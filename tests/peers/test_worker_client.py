"""The client library that OpenFn workers pin drives the gateway as they do, to run:complete."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from handlers.application import Application
from handlers.seeds import Seeder
from schema.refused import Refused
from schema.repo import Statement
from tests.peers.peer_process import PeerProcess, StartPeer

pytestmark = pytest.mark.peers

STATE = Statement("peers.state", "SELECT state, final_dataclip_id FROM runs WHERE id = $1")
STEPS = Statement(
    "peers.steps",
    "SELECT s.id, s.exit_reason FROM steps s JOIN run_steps r ON r.step_id = s.id"
    " WHERE r.run_id = $1 ORDER BY s.started_at",
)
QUEUE = "worker:queue"
START = 1_795_216_548_000_000


def seed(*jobs: str) -> dict[str, Any]:
    sources = [{"source_trigger_id": "t"}, *({"source_job_id": job} for job in jobs)]
    return {
        "workflows": {
            "1": {
                "triggers": [{"id": "t", "type": "webhook"}],
                "jobs": [
                    {
                        "id": job,
                        "name": job,
                        "adaptor": "@openfn/language-common@3.2.3",
                        "body": "f",
                    }
                    for job in jobs
                ],
                "edges": [
                    {"id": f"e{n}", "target_job_id": job, "condition": "always"} | source
                    for n, (job, source) in enumerate(zip(jobs, sources, strict=False))
                ],
            }
        },
        "credentials": {},
        "dataclips": {"clip": {"type": "saved_input", "body": {"data": {"n": "é☃😀"}}}},
        "runs": {"1": {"workflow": "1", "start": "t", "dataclip": "clip"}},
    }


class Worker:
    """What a worker does with one run, frame by frame."""

    def __init__(self, peer: PeerProcess, topic: str) -> None:
        self.peer = peer
        self.topic = topic
        self.clock = START

    async def push(self, event: str, payload: Any) -> Any:
        status, response = await self.peer.ask(
            "push", topic=self.topic, event=event, payload=payload
        )
        assert status == "ok", (event, response)
        return response

    def timestamp(self) -> str:
        self.clock += 1000
        return str(self.clock)

    async def log(self, *message: Any, **more: Any) -> None:
        line = {"message": list(message), "source": "R/T", "level": "info"}
        await self.push("run:log", line | {"timestamp": self.timestamp()} | more)

    async def step(self, job: str, input_id: str) -> str:
        """Run one job; returns the id of its output."""
        step, output = str(uuid4()), str(uuid4())
        start = {"step_id": step, "job_id": job, "input_dataclip_id": input_id}
        assert await self.push("step:start", start | {"timestamp": self.timestamp()}) == {
            "step_id": step
        }
        await self.log("inside", step_id=step)
        complete = {
            "step_id": step,
            "job_id": job,
            "output_dataclip_id": output,
            "output_dataclip": json.dumps({"data": job}),
            "reason": "success",
            "error_type": None,
            "error_message": None,
            "timestamp": self.timestamp(),
        }
        await self.push("step:complete", complete)
        return output


@pytest.mark.parametrize("jobs", [("a",), ("a", "b")], ids=["one step", "two steps"])
@pytest.mark.parametrize("library", ["phoenix-1.7", "phoenix"])
async def test_a_run_is_driven_to_its_end(
    library: str,
    jobs: tuple[str, ...],
    live_app: Application,
    seed_app: Callable[[Application], Seeder],
    start_peer: StartPeer,
) -> None:
    seeder = seed_app(live_app)
    bindings = await seeder.plant("a worker's client", seed(*jobs))
    params = {"token": bindings["token:worker"], "api_version": "1.2", "worker_version": "1.25.0"}
    peer = await start_peer(library, f"{live_app.endpoint.url}/worker", params)
    joined = await peer.ask("join", topic=QUEUE, payload={"capacity": 1}, listen=["work-available"])
    assert joined[0] == "ok"
    run_id = (await seeder.enqueue("1"))["uuid:run.1"]
    await peer.wait(event="message", topic=QUEUE, name="work-available")

    claim = {"demand": 1, "worker_name": None, "queues": ["manual", "*"]}
    status, claimed = await peer.ask("push", topic=QUEUE, event="claim", payload=claim)
    assert (status, [run["id"] for run in claimed["runs"]]) == ("ok", [run_id])
    topic = f"run:{run_id}"
    token = {"token": claimed["runs"][0]["token"]}
    assert (await peer.ask("join", topic=topic, payload=token))[0] == "ok"

    worker = Worker(peer, topic)
    plan = await worker.push("fetch:plan", {})
    assert [job["name"] for job in plan["jobs"]] == list(jobs)
    clip = await worker.push("fetch:dataclip", {"id": plan["dataclip_id"]})
    assert json.loads(bytes.fromhex(clip["binary"])) == {"data": {"n": "é☃😀"}}

    await worker.log("before the start")
    await worker.push("run:start", {"versions": {}, "timestamp": worker.timestamp()})
    output = plan["dataclip_id"]
    for job in plan["jobs"]:
        output = await worker.step(job["id"], output)
    await worker.log("Run complete with status: success")
    end = {"final_state": {"data": jobs[-1]}, "final_dataclip_id": output, "reason": "success"}
    await worker.push("run:complete", end | {"timestamp": worker.timestamp()})
    assert (await peer.ask("leave", topic=topic))[0] == "ok"

    row = await live_app.repo.fetchrow(STATE, UUID(run_id))
    assert row is not None
    assert not isinstance(row, Refused)
    assert (row["state"], row["final_dataclip_id"]) == ("success", UUID(output))
    steps = await live_app.repo.fetch(STEPS, UUID(run_id))
    assert not isinstance(steps, Refused)
    assert [step["exit_reason"] for step in steps] == ["success"] * len(jobs)
