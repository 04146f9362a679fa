"""Seeds of fixtures: what is planted, what is bound, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from channel_server.testing.client import SocketClient
from channel_server.testing.inprocess import InProcess
from handlers.application import Application
from handlers.seeds import Seeder, SeedError

MakeSeeder = Callable[[Application], Seeder]


def seed(**more: Any) -> dict[str, Any]:
    graph = {
        "triggers": [{"id": "t", "type": "webhook"}],
        "jobs": [{"id": "a", "name": "A", "adaptor": "x@1", "body": "fn", "credential_id": "c"}],
        "edges": [
            {"id": "e", "source_trigger_id": "t", "target_job_id": "a", "condition": "always"}
        ],
    }
    return {
        "workflows": {"1": graph, "2": graph},
        "credentials": {"c": {"user": "ana"}},
        "dataclips": {"clip": {"type": "saved_input", "body": {"n": 1}}},
        "runs": {
            "1": {"workflow": "1", "start": "t", "dataclip": "clip"},
            "2": {"workflow": "2", "start": "a", "dataclip": "clip", "queue": "fast_lane"},
        },
    } | more


async def test_ids_are_bound_by_kind_and_word(app: Application, seed_app: MakeSeeder) -> None:
    seeder = seed_app(app)
    bindings = await seeder.plant("a test", seed())
    assert set(bindings) == {
        "token:worker",
        "uuid:project",
        "uuid:credential.c",
        "uuid:workflow",
        "uuid:trigger.t",
        "uuid:job.a",
        "uuid:workflow.2",
        "uuid:trigger.2.t",
        "uuid:job.2.a",
    }
    assert set(await seeder.enqueue("1")) == {
        "uuid:run.1",
        "uuid:work_order.1",
        "uuid:dataclip.clip",
    }


async def test_a_dataclip_is_shared_by_the_runs_that_name_it(
    app: Application, seed_app: MakeSeeder
) -> None:
    seeder = seed_app(app)
    await seeder.plant("a test", seed())
    first = await seeder.enqueue("1")
    second = await seeder.enqueue("2")
    assert first["uuid:dataclip.clip"] == second["uuid:dataclip.clip"]
    assert first["uuid:run.1"] != second["uuid:run.2"]


async def test_a_run_can_be_claimed_from_its_queue_once_it_is_enqueued(
    app: Application, app_server: InProcess, seed_app: MakeSeeder
) -> None:
    seeder = seed_app(app)
    bindings = await seeder.plant("a test", seed())
    params = {"token": bindings["token:worker"]}
    worker = SocketClient(await app_server.connect("/worker", params))
    queue = await worker.join("worker:queue")
    claim = {"demand": 1, "queues": ["fast_lane"]}
    assert await queue.call("claim", claim) == {"runs": []}
    run = (await seeder.enqueue("2"))["uuid:run.2"]
    (claimed,) = (await queue.call("claim", claim))["runs"]
    assert claimed["id"] == run


async def test_without_a_seed_there_is_only_a_token(app: Application, seed_app: MakeSeeder) -> None:
    assert set(await seed_app(app).plant("a test", {})) == {"token:worker"}


async def test_a_seed_that_the_database_refuses_is_an_error(
    app: Application, seed_app: MakeSeeder
) -> None:
    with pytest.raises(SeedError, match=r"credentials\.c\.body"):
        await seed_app(app).plant("a test", seed(credentials={"c": None}))
