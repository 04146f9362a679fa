"""What the API shows: projects, workflows, work orders, workers, the overview, health."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

import migrations
from handlers.application import Application
from handlers.http.api import shapes, shapes_activity
from handlers.http.api.health import ServerHealth
from schema.reading import run_list, work_order_list
from schema.repo import Statement, connection
from tests.handlers.bench import SECRET, Bench, settings
from tests.handlers.conftest import MakeBench
from tests.handlers.http_bench import Web, get, problem, worked
from tests.schema.world import World, project, workflow


async def ended(web: Web, state: str = "success", at: int = 0, **values: Any) -> UUID:
    owner = await web.bench.world.started(at=at)
    await web.bench.world.complete(owner, state, **values)
    return owner.run_id


async def test_me_says_who_what_and_until_when(web: Web, reader: httpx.AsyncClient) -> None:
    me = await get(reader, "/api/me", shapes.Me)
    assert (me["subject"], me["role"], me["tenants"]) == ("ana", "viewer", None)
    assert me["projects"] == [{"id": str(web.bench.world.project.id), "name": "shop"}]
    assert me["expires_at"].endswith("+00:00")
    async with web.client("admin", [uuid4()], tenants=["U-2", "U-1"]) as admin:
        me = await get(admin, "/api/me", shapes.Me)
    assert (me["role"], me["projects"], me["tenants"]) == ("admin", [], ["U-1", "U-2"])


async def test_projects_say_what_goes_on_in_them(web: Web, reader: httpx.AsyncClient) -> None:
    await web.bench.started()
    await web.bench.enqueue()
    (shown,) = (await get(reader, "/api/projects", shapes.ProjectList))["projects"]
    assert shown["runs"] == {"available": 1, "claimed": 0, "started": 1}
    assert (shown["name"], shown["retention_policy"]) == ("shop", "retain_all")


async def test_workflows_have_their_runs_by_state_their_graph_and_their_snapshots(
    web: Web, reader: httpx.AsyncClient
) -> None:
    await ended(web, "failed")
    last = await web.bench.enqueue()
    (shown,) = (await get(reader, "/api/workflows", shapes.WorkflowList))["workflows"]
    assert shown["runs"] == {"failed": 1, "available": 1}
    run = await get(reader, f"/api/runs/{last.run_id}", shapes.RunDetail)
    assert shown["last_run_at"] == run["run"]["inserted_at"]
    one = await get(reader, f"/api/workflows/{shown['id']}", shapes.WorkflowDetail)
    assert one["workflow"] == shown
    assert [job["name"] for job in one["graph"]["jobs"]] == ["First", "Second"]
    start, then = sorted(one["graph"]["edges"], key=lambda edge: edge["condition_type"])
    first, second = (job["id"] for job in one["graph"]["jobs"])
    (trigger,) = one["graph"]["triggers"]
    assert (trigger["type"], trigger["enabled"]) == ("webhook", True)
    assert (start["source_trigger_id"], start["target_job_id"]) == (trigger["id"], first)
    assert (then["source_job_id"], then["target_job_id"]) == (first, second)
    assert (start["condition_type"], then["condition_type"]) == ("always", "on_job_success")
    assert [each["lock_version"] for each in one["snapshots"]] == [1]
    assert "body" not in str(one["graph"])


async def test_work_orders_come_with_their_attempts_and_filters(
    web: Web, reader: httpx.AsyncClient
) -> None:
    await ended(web)
    failed = await ended(web, "failed")
    async with web.client() as operator:
        await operator.post(f"/api/runs/{failed}/retry")
    page = await get(reader, "/api/work-orders", shapes.WorkOrderList)
    assert [each["state"] for each in page["work_orders"]] == ["pending", "success"]
    attempts = [run["state"] for run in page["work_orders"][0]["runs"]]
    assert attempts == ["failed", "available"]
    flow = page["work_orders"][0]["workflow_id"]
    for query, expected in (
        ({"state": "pending"}, 1),
        ({"state": "success,pending"}, 2),
        ({"state": "lost"}, 0),
        ({"workflow": flow}, 2),
        ({"workflow": flow, "state": "success"}, 1),
        ({"workflow": str(uuid4())}, 0),
        ({"to": "2020-01-01T00:00:00Z"}, 0),
        ({"from": "2020-01-01T00:00:00Z", "project": str(web.bench.world.project.id)}, 2),
    ):
        found = await get(reader, "/api/work-orders", shapes.WorkOrderList, **query)
        assert len(found["work_orders"]) == expected, query


async def test_pages_of_work_orders_join_up_also_where_few_have_the_state(
    web: Web, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_order_list, "MOST_LOOKED_AT", 3)
    work_order_list.page_statement.cache_clear()
    made = [await web.bench.enqueue() for _ in range(7)]
    async with web.client() as operator:
        for each in (made[0], made[6]):
            await operator.post(f"/api/runs/{each.run_id}/cancel")
    for query, expected in (({}, made[::-1]), ({"state": "cancelled"}, [made[6], made[0]])):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = await get(
                reader, "/api/work-orders", shapes.WorkOrderList, limit=2, **query, **more
            )
            seen += [each["id"] for each in page["work_orders"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == [str(each.work_order_id) for each in expected], query
    work_order_list.page_statement.cache_clear()


async def test_the_overview_counts_what_is_and_what_was_in_the_last_hour(
    web: Web, reader: httpx.AsyncClient
) -> None:
    await ended(web)
    failed = await ended(web, "crashed", error_type="Oops")
    old = await ended(web, "failed")
    await web.bench.world.rows(
        "UPDATE runs SET finished_at = now() - interval '2 hours' WHERE id = $1 RETURNING id", old
    )
    stuck = await web.bench.started()
    await web.bench.world.rows(
        "UPDATE runs SET claimed_at = now() - interval '5 minutes 30 s' WHERE id = $1 RETURNING id",
        stuck.id,
    )
    await web.bench.enqueue()
    shown = await get(reader, "/api/overview", shapes_activity.Overview)
    counted = {state: n for state, n in shown["runs"].items() if n}
    assert counted == {"available": 1, "started": 1, "success": 1, "crashed": 1}
    assert shown["queue"]["depth"] == 1
    assert 0 <= shown["queue"]["oldest_age_s"] < 3600
    assert len(shown["last_hour"]) == 60
    assert sum(minute["finished"] for minute in shown["last_hour"]) == 2
    assert sum(minute["failed"] for minute in shown["last_hour"]) == 1
    found = [(item["kind"], item["run_id"]) for item in shown["attention"]]
    assert found == [("stuck", str(stuck.id)), ("failed", str(failed))]
    assert shown["attention"][1]["message"] == "Workflow orders failed: Oops"


async def test_statistics_that_are_behind_need_attention(make_bench: MakeBench) -> None:
    web = Web(await make_bench())
    await ended(web)
    await web.bench.world.rows(
        "UPDATE runs SET finished_at = now() - interval '20 minutes' RETURNING id"
    )
    async with web.client("viewer") as reader:
        shown = await get(reader, "/api/overview", shapes_activity.Overview)
    assert [item["kind"] for item in shown["attention"]] == ["stale"]


async def test_workers_are_listed_with_the_runs_that_may_be_seen(
    database_url: str, make_bench: MakeBench
) -> None:
    app = await Application(settings(database_url, pipelines="off")).start()
    web = Web(Bench(app, (await make_bench()).world))
    try:
        run = await web.bench.started()
        async with web.client("viewer") as reader:
            (worker,) = (await get(reader, "/api/workers", shapes_activity.WorkerList))["workers"]
            overview = await get(reader, "/api/overview", shapes_activity.Overview)
            shown = await get(reader, f"/api/runs/{run.id}", shapes.RunDetail)
        assert (worker["id"], worker["online"]) == ("worker-1", True)
        assert (worker["runs"], worker["runs_held"]) == ([str(run.id)], 1)
        assert [each["id"] for each in overview["workers"]] == ["worker-1"]
        assert shown["lease"]["online"] is True
        async with web.client("viewer", [uuid4()]) as stranger:
            (worker,) = (await get(stranger, "/api/workers", shapes_activity.WorkerList))["workers"]
        assert (worker["runs"], worker["runs_held"]) == ([], 0)
        await web.bench.close()
    finally:
        await app.stop(drain=False)


async def test_health_tells_the_signed_in_what_is_checked_and_which_limits_hold(
    database_url: str, make_bench: MakeBench
) -> None:
    app = await Application(settings(database_url, cancel_grace=7)).start()
    web = Web(Bench(app, (await make_bench()).world))
    try:
        await web.bench.enqueue()
        async with web.client("viewer") as reader:
            shown = await get(reader, "/api/health", ServerHealth)
            assert shown["ready"], shown
            assert shown["database"] == {"ok": True, "detail": None}
            assert (shown["queue"]["depth"], shown["stale_stats"]) == (1, 0)
            assert shown["versions"]["postgresql"]
            assert shown["versions"]["migration"] == migrations.revisions()[-1]
            assert (shown["limits"]["cancel_grace"], shown["limits"]["api.bulk"]) == (7, 10_000)
            assert shown["limits"]["socket.worker.max_frame_bytes"] == 32 * 1024 * 1024
            text = str(shown)
            for secret in (SECRET, database_url, app.settings.credentials_key):
                assert secret not in text
            await app.repo.close()
            shown = await get(reader, "/api/health", ServerHealth)
        assert (shown["ready"], shown["database"]["ok"], shown["queue"]) == (False, False, None)
    finally:
        await app.stop(drain=False)


async def test_somebody_elses_is_not_there(web: Web) -> None:
    run, _ = await worked(web)
    created = await web.bench.enqueue()
    other = await World.create(web.bench.app.repo, project("other", workflows=[workflow("x")]))
    paths = (
        f"/api/runs/{run.id}",
        f"/api/runs/{run.id}/logs",
        f"/api/runs/{run.id}/logs.ndjson",
        f"/api/dataclips/{created.dataclip_id}",
        f"/api/workflows/{created.workflow_id}",
        *(
            f"/api/{name}?project={web.bench.world.project.id}"
            for name in ("runs", "work-orders", "workflows", "workers", "overview", "stats")
        ),
    )
    async with web.client("admin", [other.project.id]) as stranger:
        for path in paths:
            assert problem(await stranger.get(path)) == (404, "not_found"), path
        for name in ("runs", "work-orders"):
            query = {"workflow": str(created.workflow_id)}
            listed = (await stranger.get(f"/api/{name}", params=query)).json()
            assert listed[name.replace("-", "_")] == [], name
        assert (await stranger.get("/api/runs")).json()["counts"]["started"] == 0
        assert (await stranger.get("/api/runs?q=run")).json()["runs"] == []
        workers = (await stranger.get("/api/workers")).json()["workers"]
        assert str(run.id) not in str(workers)
        shown = (await stranger.get("/api/overview")).json()
        assert (shown["queue"]["depth"], shown["attention"]) == (0, [])
        flows = (await stranger.get("/api/workflows")).json()["workflows"]
        assert [flow["key"] for flow in flows] == ["x"]


READS = (
    "me", "projects", "overview", "health", "workers", "workflows", "work-orders", "runs", "stats",
    f"runs/{uuid4()}", f"runs/{uuid4()}/logs", f"workflows/{uuid4()}", f"dataclips/{uuid4()}",
)  # fmt: skip


async def test_without_a_token_nothing_is_shown_and_with_any_role_everything(web: Web) -> None:
    async with web.nobody() as nobody:
        for path in READS:
            answer = await nobody.get(f"/api/{path}")
            assert problem(answer) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"] == "Bearer"
    for role in ("viewer", "operator", "admin"):
        async with web.client(role) as client:
            for path in READS:
                answer = await client.get(f"/api/{path}")
                assert answer.status_code == (404 if "/" in path else 200), path


async def test_what_cannot_be_read_names_the_parameter(web: Web, reader: httpx.AsyncClient) -> None:
    run = await web.bench.enqueue()
    logs = f"runs/{run.run_id}/logs"
    for path, field in (
        ("runs?limit=0", "limit"), ("runs?limit=501", "limit"), ("runs?limit=x", "limit"),
        ("runs?project=x", "project"), ("runs?workflow=1", "workflow"), ("runs?state=no", "state"),
        ("runs?from=yesterday", "from"), ("runs?to=2026-01-01T00:00:00", "to"),
        ("runs?cursor=x", "cursor"), ("runs?cursor=2026-01-01T00:00:00~x", "cursor"),
        ("runs?q=" + "x" * 201, "q"), ("runs?sate=failed", "sate"), ("me?x=1", "x"),
        ("work-orders?state=available", "state"), ("work-orders?cursor=1", "cursor"),
        (f"{logs}?after=-1", "after"), (f"{logs}?after=9223372036854775808", "after"),
        (f"{logs}?level=loud", "level"), (f"{logs}?step=1", "step"),
        (f"{logs}?limit=5001", "limit"), (f"{logs}?after=1&before=2", "before"),
        ("stats?from=1", "from"), ("stats?from=2026-02-01&to=2026-01-01", "from"),
        ("workflows?project=", "project"),
    ):  # fmt: skip
        answer = await reader.get(f"/api/{path}")
        assert answer.status_code == 422, (path, answer.text)
        assert [each["field"] for each in answer.json()["errors"]] == [field], path
    for path in ("runs/x", "runs/1/logs", "dataclips/x", "nothing"):
        assert problem(await reader.get(f"/api/{path}")) == (404, "not_found"), path
    assert problem(await reader.post("/api/runs")) == (405, "method_not_allowed")


async def test_while_the_database_is_away_everything_is_503_with_retry_after(
    web: Web, reader: httpx.AsyncClient
) -> None:
    await web.bench.app.repo.close()
    for path in READS:
        if path == "health":
            continue
        answer = await reader.get(f"/api/{path}")
        assert problem(answer) == (503, "unavailable"), path
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["retry_after"] == 2


async def test_a_search_that_takes_too_long_asks_to_be_narrowed(
    web: Web, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    await web.bench.enqueue()
    limited = Statement("test", "SET LOCAL statement_timeout = '200ms'")
    monkeypatch.setattr(run_list, "_LIMIT_TIME", limited)
    async with connection(database_url) as other, other.transaction():
        await other.execute("LOCK TABLE log_lines IN ACCESS EXCLUSIVE MODE")
        answer = await reader.get("/api/runs", params={"q": "x"})
    assert problem(answer) == (503, "busy")
    assert "narrow" in answer.json()["detail"]
