"""`fetch:plan`, `fetch:credential`, `fetch:dataclip` (section 5) and scrubbing (section 9)."""

import base64
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.handlers.bench import Bench, stamp
from tests.handlers.conftest import MakeBench


async def test_the_plan_has_exactly_the_fields_of_the_contract(bench: Bench) -> None:
    run = await bench.run()
    plan = await run.call("fetch:plan", {})
    row = await bench.world.run(run.id)
    flow = bench.world.workflow()
    trigger, first, second = flow.triggers["webhook"], flow.jobs["first"], flow.jobs["second"]
    credential = await bench.world.value("SELECT id FROM credentials WHERE name = 'shop-login'")
    assert set(plan) == {
        "id",
        "project_id",
        "triggers",
        "jobs",
        "edges",
        "starting_node_id",
        "dataclip_id",
        "options",
        "meta",
    }
    assert plan["id"] == str(run.id)
    assert plan["triggers"] == [{"id": str(trigger)}]
    assert plan["starting_node_id"] == str(trigger)
    assert plan["dataclip_id"] == str(row["dataclip_id"])
    assert plan["options"] == {"output_dataclips": True}
    assert plan["meta"] == {
        "work_order_id": str(row["work_order_id"]),
        "workflow_id": str(flow.id),
        "project_id": str(bench.world.project.id),
    }
    jobs = {job["id"]: job for job in plan["jobs"]}
    assert jobs[str(first)] == {
        "id": str(first),
        "adaptor": "@openfn/language-common@latest",
        "credential_id": str(credential),
        "body": "fn(s => s)",
        "name": "First",
    }
    assert jobs[str(second)]["credential_id"] is None
    edges = {edge["target_job_id"]: edge for edge in plan["edges"]}
    assert edges[str(first)]["condition"] == "always"
    assert edges[str(first)]["source_trigger_id"] == str(trigger)
    assert edges[str(second)]["condition"] == "on_job_success"
    assert edges[str(second)]["source_job_id"] == str(first)


async def test_the_plan_is_answered_from_memory_as_often_as_asked(bench: Bench) -> None:
    run = await bench.run()
    before = bench.app.repo.statements_run
    first = await run.call("fetch:plan", {})
    assert await run.call("fetch:plan", None) == first
    assert bench.app.repo.statements_run == before


async def test_a_credential_is_its_body_without_empty_strings_and_uncast(bench: Bench) -> None:
    run = await bench.run()
    plan = await run.call("fetch:plan")
    (credential,) = {job["credential_id"] for job in plan["jobs"]} - {None}
    assert await run.call("fetch:credential", {"id": credential}) == {
        "username": "ana",
        "password": "s3cr3t-value",
        "retries": 3,
    }


async def test_a_credential_needs_an_id_and_must_be_one_of_this_run(bench: Bench) -> None:
    run = await bench.run()
    for payload in ({}, {"id": None}, {"id": ""}, None):
        assert await run.refused("fetch:credential", payload) == {
            "errors": {"id": ["This field can't be blank."]}
        }
    unused = await bench.world.value("SELECT id FROM credentials WHERE name = 'unused'")
    for unknown in (str(unused), str(uuid4()), "nope", 5):
        assert await run.refused("fetch:credential", {"id": unknown}) == {
            "errors": {"id": ["Credential not found!"]}
        }


def secret_lines() -> list[Any]:
    basic = base64.b64encode(b"ana:s3cr3t-value").decode()
    return ["the password is s3cr3t-value", {"header": f"Basic {basic}"}]


async def test_values_of_fetched_credentials_are_scrubbed_from_later_lines(bench: Bench) -> None:
    run = await bench.run()
    watcher = await bench.watch(run)
    plan = await run.call("fetch:plan")
    (credential,) = {job["credential_id"] for job in plan["jobs"]} - {None}
    await run.call("fetch:credential", {"id": credential})
    await run.call("run:log", {"message": secret_lines(), "timestamp": stamp()})
    await run.call("run:batch_logs", {"logs": [{"message": "again: s3cr3t-value"}]})
    expected = ['the password is *** {"header":"Basic ***"}', "again: ***"]
    rows = await bench.world.rows("SELECT message FROM log_lines ORDER BY version")
    assert [row["message"] for row in rows] == expected
    told = [(await watcher.assert_broadcast("logs"))["logs"][0]["message"] for _ in expected]
    assert told == expected


async def test_scrubbing_outlives_a_reconnect_and_a_restart(
    bench: Bench, make_bench: MakeBench
) -> None:
    run = await bench.run()
    plan = await run.call("fetch:plan")
    (credential,) = {job["credential_id"] for job in plan["jobs"]} - {None}
    await run.call("fetch:credential", {"id": credential})
    again = await bench.join(run.id, run.token)
    await again.call("run:log", {"message": "one s3cr3t-value", "timestamp": stamp()})
    elsewhere = await (await make_bench()).join(run.id, run.token)
    await elsewhere.call("run:log", {"message": "two s3cr3t-value", "timestamp": stamp()})
    await elsewhere.call("run:start", {})
    restarted = await make_bench()
    later = await restarted.join(run.id, run.token)
    await later.call("run:log", {"message": "three s3cr3t-value", "timestamp": stamp()})
    rows = await bench.world.rows("SELECT message FROM log_lines ORDER BY version")
    assert [row["message"] for row in rows] == ["one ***", "two ***", "three ***"]


async def test_an_input_is_a_binary_reply_with_data_and_request(bench: Bench) -> None:
    run = await bench.run()
    body = await run.call("fetch:dataclip", {"id": "whatever"})
    assert isinstance(body, bytes)
    assert msgspec.json.decode(body) == {"data": {"order": 1}, "request": {"method": "POST"}}


@pytest.mark.parametrize("kind", ["step_result", "saved_input", "global"])
async def test_other_types_are_their_body_alone(bench: Bench, kind: str) -> None:
    run = await bench.run(dataclip_type=kind, request=None, body='{"a":"é☃"}')
    assert msgspec.json.decode(await run.call("fetch:dataclip")) == {"a": "é☃"}


async def test_a_missing_or_wiped_input_is_null(bench: Bench) -> None:
    worker = await bench.worker()
    none = await bench.run(worker, dataclip_type=None)
    assert await none.call("fetch:dataclip") == b"null"
    wiped = await bench.run(worker)
    await bench.world.rows(
        "UPDATE dataclips SET body = NULL, request = NULL, wiped_at = now() RETURNING 1"
    )
    assert await wiped.call("fetch:dataclip") == b"null"


async def test_an_input_is_wiped_after_the_fetch_when_not_saved(bench: Bench) -> None:
    await bench.world.rows("UPDATE projects SET retention_policy = 'erase_all' RETURNING 1")
    run = await bench.run()
    watcher = await bench.watch(run)
    assert (await run.call("fetch:plan"))["options"]["output_dataclips"] is False
    assert msgspec.json.decode(await run.call("fetch:dataclip"))["data"] == {"order": 1}
    (row,) = await bench.world.rows("SELECT body, request, wiped_at FROM dataclips")
    assert (row["body"], row["request"]) == (None, None)
    assert row["wiped_at"] is not None
    await watcher.assert_broadcast("dataclip:updated", {"dataclip": {"type": "http_request"}})
    assert await run.call("fetch:dataclip") == b"null"
    await watcher.refute_broadcast("dataclip:updated")


async def test_a_global_input_is_never_wiped(bench: Bench) -> None:
    await bench.world.rows("UPDATE projects SET retention_policy = 'erase_all' RETURNING 1")
    run = await bench.run(dataclip_type="global", request=None)
    for _ in range(2):
        assert msgspec.json.decode(await run.call("fetch:dataclip")) == {"order": 1}


async def test_a_credential_that_cannot_be_read_refuses_no_rejoin(
    bench: Bench, make_bench: MakeBench
) -> None:
    run = await bench.started()
    restarted = await make_bench()
    await bench.world.rows("UPDATE credentials SET body = 'changed' RETURNING 1")
    later = await restarted.join(run.id, run.token)
    await later.call("run:log", {"message": "here", "timestamp": stamp()})
    plan = await later.call("fetch:plan")
    (credential,) = {job["credential_id"] for job in plan["jobs"]} - {None}
    assert await later.refused("fetch:credential", {"id": credential}) == {
        "reason": "internal_error"
    }
