"""One SQL statement per event of a worker in the success path, and none where none is needed."""

from typing import Any
from uuid import uuid4

from tests.handlers.bench import Bench, stamp


async def test_each_event_of_a_run_is_one_statement(bench: Bench) -> None:
    worker = await bench.worker()
    queue = await worker.join("worker:queue")
    created = await bench.enqueue()
    repo = bench.app.repo
    counted: dict[str, int] = {}

    async def count(name: str, call: Any) -> Any:
        before = repo.statements_run
        result = await call
        counted[name] = repo.statements_run - before
        return result

    (offer,) = await count("claim", bench.claim(queue))
    run = await count("phx_join", bench.join(created.run_id, offer["token"], worker))
    plan = await count("fetch:plan", run.call("fetch:plan"))
    (credential,) = {job["credential_id"] for job in plan["jobs"]} - {None}
    step_id = str(uuid4())
    log = {"message": ["x"], "timestamp": stamp(1)}
    events: list[tuple[str, Any]] = [
        ("fetch:dataclip", {"id": plan["dataclip_id"]}),
        ("fetch:credential", {"id": credential}),
        ("run:start", {"timestamp": stamp()}),
        ("step:start", {"step_id": step_id, "job_id": plan["jobs"][0]["id"]}),
        ("run:log", {**log, "step_id": step_id}),
        ("run:batch_logs", {"logs": [{**log, "message": [str(n)]} for n in range(50)]}),
        (
            "step:complete",
            {
                "step_id": step_id,
                "reason": "success",
                "output_dataclip": "{}",
                "output_dataclip_id": str(uuid4()),
                "webhook_response": {"status": 200},
            },
        ),
        ("run:complete", {"reason": "success", "final_state": {"a": 1}}),
    ]
    for event, payload in events:
        await count(event, run.call(event, payload))
    assert counted.pop("fetch:plan") == 0
    assert counted == dict.fromkeys(("claim", "phx_join", *(event for event, _ in events)), 1)
