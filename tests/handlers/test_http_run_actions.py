"""Retry and cancel over HTTP, one run or many: what becomes of the runs, and who may."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from handlers.application import Application
from handlers.http.api import run_bulk
from handlers.http.api.run_bulk import BulkProgress
from handlers.janitor import Janitor
from handlers.leases import LeaseWatch
from schema.reading import run_list
from tests.handlers.bench import Bench, Run, settings, stamp
from tests.handlers.http_bench import Web, problem
from tests.schema.world import World, project, workflow


@pytest.fixture
def web(bench: Bench) -> Web:
    return Web(bench)


async def finished(bench: Bench, reason: str = "fail") -> Run:
    """A run of two steps, the second of which had the output of the first as its input."""
    run = await bench.started()
    clips = [uuid4(), uuid4()]
    jobs = bench.world.workflow().jobs
    given = (await bench.world.run(run.id))["dataclip_id"]
    for key, clip in zip(("first", "second"), clips, strict=True):
        step = {"step_id": str(uuid4()), "job_id": str(jobs[key])}
        await run.call("step:start", {**step, "input_dataclip_id": str(given)})
        output = {"output_dataclip_id": str(clip), "output_dataclip": f'{{"from": "{key}"}}'}
        await run.call("step:complete", {"step_id": step["step_id"], "reason": "success", **output})
        given = clip
    await run.call("run:complete", {"reason": reason, "error_type": "Oops"})
    return run


async def steps(world: World, run: Run) -> dict[str, Any]:
    sql = """SELECT s.* FROM steps s JOIN run_steps rs ON rs.step_id = s.id
      WHERE rs.run_id = $1 ORDER BY rs.inserted_at"""
    first, second = await world.rows(sql, run.id)
    return {"first": first, "second": second}


async def test_a_retry_is_a_new_run_of_the_same_work_order_with_the_same_input(web: Web) -> None:
    run = await finished(web.bench)
    async with web.client() as client:
        answer = await client.post(f"/api/runs/{run.id}/retry")
    made = answer.json()
    old, new = await web.bench.world.run(run.id), await web.bench.world.run(UUID(made["run_id"]))
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/runs/{new['id']}")
    assert made["work_order_id"] == str(old["work_order_id"]) == str(new["work_order_id"])
    for column in ("snapshot_id", "dataclip_id", "starting_trigger_id", "starting_job_id"):
        assert new[column] == old[column], column
    assert (new["state"], new["created_by"], new["priority"]) == ("available", "ana", 0)


async def test_a_retry_from_a_step_starts_at_its_job_with_the_input_it_had(web: Web) -> None:
    run = await finished(web.bench)
    second = (await steps(web.bench.world, run))["second"]
    async with web.client() as client:
        for wish in ({"step_id": str(second["id"])}, {"job_id": str(second["job_id"])}):
            answer = await client.post(f"/api/runs/{run.id}/retry", json=wish)
            new = await web.bench.world.run(UUID(answer.json()["run_id"]))
            assert answer.status_code == 201
            assert (new["starting_job_id"], new["starting_trigger_id"]) == (second["job_id"], None)
            assert new["dataclip_id"] == second["input_dataclip_id"]


async def test_the_worker_of_such_a_retry_is_given_the_output_of_the_step_before(web: Web) -> None:
    bench = web.bench
    run = await finished(bench)
    second = (await steps(bench.world, run))["second"]
    async with web.client() as client:
        answer = await client.post(f"/api/runs/{run.id}/retry", json={"step_id": str(second["id"])})
    worker = await bench.worker("worker-2")
    (offer,) = await bench.claim(await worker.join("worker:queue"))
    assert offer["id"] == answer.json()["run_id"]
    again = await bench.join(UUID(offer["id"]), offer["token"], worker)
    plan = await again.call("fetch:plan")
    assert plan["starting_node_id"] == str(second["job_id"])
    assert msgspec.json.decode(await again.call("fetch:dataclip")) == {"from": "first"}


async def test_what_cannot_be_retried_says_why(web: Web) -> None:
    bench = web.bench
    run, open_run = await finished(bench), await bench.started()
    second = (await steps(bench.world, run))["second"]
    path = f"/api/runs/{run.id}/retry"
    async with web.client() as client:
        for where, body, expected in (
            (f"/api/runs/{uuid4()}/retry", {}, (404, "not_found")),
            (f"/api/runs/{open_run.id}/retry", {}, (409, "wrong_state")),
            (path, {"step_id": str(uuid4())}, (404, "not_found")),
            (path, {"step_id": "x"}, (422, "invalid_type")),
            (path, {"stepid": str(uuid4())}, (422, "invalid_type")),
            (path, {"step_id": str(uuid4()), "job_id": str(uuid4())}, (422, "invalid")),
        ):
            assert problem(await client.post(where, json=body)) == expected, body
        assert problem(await client.post(path, content=b"{")) == (415, "not_json")
        await bench.world.rows(
            "UPDATE steps SET input_dataclip_id = NULL WHERE id = $1 RETURNING id", second["id"]
        )
        unknown = await client.post(path, json={"step_id": str(second["id"])})
        assert problem(unknown) == (422, "unrunnable")
        await bench.world.wipe()
        assert problem(await client.post(path)) == (410, "wiped")


async def test_an_available_run_is_cancelled_at_once(web: Web) -> None:
    created = await web.bench.enqueue()
    async with web.client() as client:
        answer = await client.post(f"/api/runs/{created.run_id}/cancel")
        again = await client.post(f"/api/runs/{created.run_id}/cancel")
    run = await web.bench.world.run(created.run_id)
    assert (answer.status_code, answer.json()) == (200, {"state": "cancelled"})
    assert (run["state"], run["error_message"]) == ("cancelled", "cancelled by ana")
    assert problem(again) == (409, "wrong_state")


async def test_a_held_run_is_asked_for_and_stays_with_its_worker_meanwhile(web: Web) -> None:
    run = await web.bench.started()
    async with web.client() as client:
        answers = [await client.post(f"/api/runs/{run.id}/cancel") for _ in range(2)]
        shown = (await client.get(f"/api/runs/{run.id}")).json()
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].json() == {"state": "cancelling"}
    assert (shown["run"]["state"], shown["run"]["cancel_requested_by"]) == ("started", "ana")
    assert shown["history"][-1]["summary"] == "asked to cancel by ana"
    assert [each["version"] for each in shown["history"]] == [1, 2, 3, 4]
    await run.call("run:complete", {"reason": "cancel", "timestamp": stamp()})
    assert await web.bench.state(run) == "cancelled"


async def test_the_worker_is_asked_through_its_channel_and_again_when_it_joins_again(
    web: Web,
) -> None:
    bench = web.bench
    run = await bench.started()
    async with web.client() as client:
        assert (await client.post(f"/api/runs/{run.id}/cancel")).status_code == 202
    bench.app.gateway.cancel_asked(run.id)  # as the notice of the statement has it done
    assert await run.channel.assert_push("run:cancel") == {"reason": "cancelled"}
    again = await bench.join(run.id, run.token)
    assert await again.channel.assert_push("run:cancel") == {"reason": "cancelled"}


async def test_a_worker_that_does_not_know_the_question_goes_on_and_may_finish(web: Web) -> None:
    run = await web.bench.started()
    async with web.client() as client:
        await client.post(f"/api/runs/{run.id}/cancel")
    web.bench.app.gateway.cancel_asked(run.id)
    await run.call("run:log", {"message": ["still here"], "timestamp": stamp(1)})
    await run.call("run:complete", {"reason": "success", "timestamp": stamp(2)})
    assert await web.bench.state(run) == "success"


async def test_what_the_worker_does_not_end_in_time_the_janitor_ends_and_closes(web: Web) -> None:
    bench = web.bench
    run = await bench.started()
    step = str(uuid4())
    await run.call("step:start", {"step_id": step, "job_id": str(bench.world.job)})
    watcher = await bench.watch(run)
    async with web.client() as client:
        await client.post(f"/api/runs/{run.id}/cancel")
        janitor = Janitor(bench.app.gateway)
        await janitor.sweep()
        assert await bench.state(run) == "started"
        await overdue(bench.world, run.id)
        await janitor.sweep()
        shown = (await client.get(f"/api/runs/{run.id}")).json()
    assert (shown["run"]["state"], shown["run"]["error_message"]) == (
        "cancelled",
        "cancelled by ana",
    )
    assert [each["exit_reason"] for each in shown["steps"]] == ["cancel"]
    asked = {"run": {"state": "started", "cancel_requested_by": "ana"}}
    await watcher.assert_broadcast("run:updated", asked, timeout=5)
    assert (await watcher.assert_broadcast("step:completed"))["step"]["id"] == step
    ended = await watcher.assert_broadcast("run:updated", {"run": {"state": "cancelled"}})
    assert ended["version"] == shown["cursor"]
    refused = await run.refused("run:complete", {"reason": "success"})
    assert refused == {"state": ["already in completed state"]}
    assert await run.call("run:log", {"message": ["late"], "timestamp": stamp(3)})


async def test_a_worker_of_another_process_is_asked_too(web: Web, database_url: str) -> None:
    app = await Application(settings(database_url, pipelines="off")).start()
    try:
        other = Bench(app, web.bench.world)
        run = await other.started()
        async with web.client() as client:
            assert (await client.post(f"/api/runs/{run.id}/cancel")).status_code == 202
        assert await run.channel.assert_push("run:cancel", timeout=10) == {"reason": "cancelled"}
        await other.close()
    finally:
        await app.stop(drain=False)


async def overdue(world: World, run_id: UUID) -> None:
    sql = """UPDATE runs SET cancel_requested_at = cancel_requested_at - interval '1 hour'
      WHERE id = $1 RETURNING id"""
    await world.rows(sql, run_id)


async def test_a_claim_that_nobody_joined_is_cancelled_instead_of_offered_again(web: Web) -> None:
    bench = web.bench
    run_id, _ = await bench.claimed()
    async with web.client() as client:
        assert (await client.post(f"/api/runs/{run_id}/cancel")).status_code == 202
    await bench.world.rows("UPDATE runs SET claimed_at = now() - interval '1 hour' RETURNING id")
    assert await LeaseWatch(bench.app.gateway).check() == 1
    run = await bench.world.run(run_id)
    assert (run["state"], run["error_message"]) == ("cancelled", "cancelled by ana")
    queue = await (await bench.worker("other")).join("worker:queue")
    assert await bench.claim(queue, 10) == []


async def test_viewers_do_not_act_and_strangers_find_nothing(web: Web) -> None:
    run = await finished(web.bench)
    other = await World.create(web.bench.app.repo, project("other", workflows=[workflow("x")]))
    ways = (f"/api/runs/{run.id}/retry", f"/api/runs/{run.id}/cancel")
    async with web.client("viewer") as viewer, web.nobody() as nobody:
        for path in (*ways, "/api/runs/bulk"):
            assert problem(await viewer.post(path, json={})) == (403, "forbidden"), path
            assert problem(await nobody.post(path, json={})) == (401, "unauthorized"), path
    async with web.client("admin", [other.project.id]) as stranger:
        for path in ways:
            assert problem(await stranger.post(path)) == (404, "not_found"), path
        answer = await stranger.post("/api/runs/bulk", json={"action": "retry", "filter": {}})
        assert lines(answer)[-1].total == 0
        answer = await stranger.post(
            "/api/runs/bulk", json={"action": "cancel", "ids": [str(run.id)]}
        )
        assert lines(answer)[-1].codes == {"not_found": 1}
    assert await web.bench.world.value("SELECT count(*) FROM runs") == 1


def lines(answer: Any) -> list[BulkProgress]:
    """The progress that a stream told."""
    text = answer.text.replace("data: ", "").replace("\n\n", "\n")
    return [msgspec.json.decode(line, type=BulkProgress) for line in text.splitlines()]


async def test_bulk_retries_what_the_filter_shows_once(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_bulk, "TOLD_EACH", 2)
    world = web.bench.world
    for _ in range(5):
        owner = await world.started()
        await world.complete(owner, "failed", error_type="Oops")
    keep = await world.started()
    await world.complete(keep, "success")
    async with web.client() as client:
        wish = {"action": "retry", "filter": {"state": "failed,available", "q": "oops"}}
        dry = await client.post("/api/runs/bulk", json={**wish, "dry_run": True})
        assert [each.total for each in lines(dry)] == [5]
        answer = await client.post("/api/runs/bulk", json=wish)
    told = lines(answer)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [each.done for each in told] == [0, 2, 4, 5, 5]
    assert (told[-1].finished, told[-1].failed, told[-1].truncated) == (True, 0, False)
    states = await world.rows("SELECT state, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in states] == [("available", 5), ("failed", 5), ("success", 1)]


async def test_bulk_goes_on_where_a_run_is_refused_and_says_which_and_why(web: Web) -> None:
    run = await finished(web.bench)
    waiting = await web.bench.enqueue()
    unknown = uuid4()
    ids = [str(each) for each in (waiting.run_id, run.id, unknown)]
    async with web.client() as client:
        answer = await client.post(
            "/api/runs/bulk",
            json={"action": "cancel", "ids": ids},
            headers={"Accept": "text/event-stream"},
        )
    told = lines(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    refused = {each.run_id: each.code for each in told[1].refusals or []}
    assert refused == {run.id: "wrong_state", unknown: "not_found"}
    assert (told[-1].done, told[-1].failed) == (3, 2)
    assert told[-1].codes == {"wrong_state": 1, "not_found": 1}
    assert await web.bench.state(waiting.run_id) == "cancelled"


async def test_bulk_says_when_there_is_more_than_one_request_takes(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_bulk, "MOST", 3)
    for _ in range(5):
        await web.bench.enqueue()
    async with web.client() as client:
        wish = {"action": "cancel", "filter": {"state": "available"}}
        totals = [lines(await client.post("/api/runs/bulk", json=wish))[-1] for _ in range(3)]
    assert [(each.total, each.truncated) for each in totals] == [(3, True), (2, False), (0, False)]


async def test_bulk_goes_on_at_its_cursor_and_retries_no_run_twice(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_bulk, "MOST", 2)
    for _ in range(5):
        await web.bench.world.complete(await web.bench.world.started(), "failed")
    wish: dict[str, Any] = {"action": "retry", "filter": {"state": "failed"}}
    told: list[tuple[int, bool]] = []
    async with web.client() as client:
        while wish.get("cursor", "") is not None:
            last = lines(await client.post("/api/runs/bulk", json=wish))[-1]
            told.append((last.total, last.truncated))
            wish["cursor"] = last.next
    assert told == [(2, True), (2, True), (1, False)]
    rows = await web.bench.world.rows(
        "SELECT count(*) AS n FROM runs WHERE state = 'available' GROUP BY work_order_id"
    )
    assert [row["n"] for row in rows] == [1] * 5


async def test_bulk_by_a_search_that_finds_nothing_stops_looking_and_says_where(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_bulk, "MOST_PAGES", 2)
    monkeypatch.setattr(run_list, "MOST_SEARCHED", 2)
    run_list.page_statement.cache_clear()
    for _ in range(5):
        await web.bench.enqueue()
    wish: dict[str, Any] = {"action": "cancel", "filter": {"q": "oops"}}
    try:
        async with web.client() as client:
            first = lines(await client.post("/api/runs/bulk", json=wish))[-1]
            wish["cursor"] = first.next
            second = lines(await client.post("/api/runs/bulk", json=wish))[-1]
    finally:
        run_list.page_statement.cache_clear()
    assert (first.total, first.truncated, second.total, second.next) == (0, True, 0, None)


async def test_bulk_refuses_what_makes_no_sense(web: Web) -> None:
    async with web.client() as client:
        wishes: list[dict[str, Any]] = [
            {},
            {"action": "retry"},
            {"action": "wipe", "filter": {}},
            {"action": "retry", "filter": {"state": "done"}},
            {"action": "retry", "filter": {"from": "yesterday"}},
            {"action": "retry", "filter": {"stat": "failed"}},
            {"action": "retry", "filter": {}, "ids": [str(uuid4())]},
            {"action": "retry", "ids": []},
            {"action": "retry", "ids": ["x"]},
            {"action": "retry", "ids": [str(uuid4())], "cursor": "x"},
            {"action": "retry", "filter": {}, "cursor": "x"},
        ]
        for body in wishes:
            answer = await client.post("/api/runs/bulk", json=body)
            assert answer.status_code == 422, body
            assert answer.json()["errors"][0]["field"], body


async def test_two_who_cancel_at_once_agree(web: Web) -> None:
    created = [await web.bench.enqueue() for _ in range(5)]
    async with web.client() as client:
        for each in created:
            path = f"/api/runs/{each.run_id}/cancel"
            answers = await asyncio.gather(*(client.post(path) for _ in range(3)))
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_a_retry_is_offered_to_workers_at_once(web: Web) -> None:
    run = await finished(web.bench)
    queue = await (await web.bench.worker("idle")).join("worker:queue")
    assert await web.bench.claim(queue) == []
    async with web.client() as client:
        made = (await client.post(f"/api/runs/{run.id}/retry")).json()
    (offer,) = await web.bench.claim(queue)
    assert offer["id"] == made["run_id"]
