"""What the API shows of one run: its graph, steps, history, log lines and dataclips."""

from typing import Any

import httpx
import msgspec
import pytest

from handlers.http.api import run_logs, shapes
from schema.refused import Refused
from tests.handlers.bench import stamp
from tests.handlers.http_bench import Web, get, worked
from tests.schema.world import World, project, workflow


async def test_a_run_shows_the_graph_that_it_executes_not_the_newest(
    web: Web, reader: httpx.AsyncClient
) -> None:
    run = await web.bench.enqueue()
    changed = workflow()
    changed.jobs[0].name = "Renamed"
    changed.edges[1].condition_type = "js_expression"
    changed.edges[1].condition_expression = "state.data.ok"
    await World.create(web.bench.app.repo, project(workflows=[changed]))
    shown = await get(reader, f"/api/runs/{run.run_id}", shapes.RunDetail)
    flow = await get(reader, f"/api/workflows/{run.workflow_id}", shapes.WorkflowDetail)
    assert [job["name"] for job in shown["graph"]["jobs"]] == ["First", "Second"]
    assert [job["name"] for job in flow["graph"]["jobs"]] == ["Renamed", "Second"]
    assert [each["lock_version"] for each in flow["snapshots"]] == [2, 1]
    edge = next(each for each in flow["graph"]["edges"] if each["source_job_id"])
    assert (edge["condition_type"], edge["condition"]) == ("js_expression", "state.data.ok")


async def test_a_run_is_shown_with_steps_history_and_who_holds_it(
    web: Web, reader: httpx.AsyncClient
) -> None:
    run, step = await worked(web)
    shown = await get(reader, f"/api/runs/{run.id}", shapes.RunDetail)
    assert (shown["run"]["state"], shown["run"]["workflow_name"]) == ("started", "Workflow orders")
    assert [(each["id"], each["job_name"]) for each in shown["steps"]] == [(step, "First")]
    assert [each["summary"] for each in shown["history"]] == [
        "created",
        "claimed",
        "started",
        "First started",
    ]
    assert shown["cursor"] == shown["history"][-1]["version"]
    assert (shown["lease"]["epoch"], shown["lease"]["joined"]) == (1, True)
    assert shown["work_order"]["state"] == "running"
    assert "lease" not in shown["run"]
    await run.call("step:complete", {"step_id": step, "reason": "fail", "error_type": "Oops"})
    await run.call("run:complete", {"reason": "fail", "error_type": "Oops"})
    shown = await get(reader, f"/api/runs/{run.id}", shapes.RunDetail)
    assert shown["lease"] is None
    assert [each["summary"] for each in shown["history"]][4:] == [
        "First: fail (Oops)",
        "failed: Oops",
    ]
    assert shown["gaps"] == []


async def test_what_never_came_is_shown_as_missing_and_nothing_is_guessed(
    web: Web, reader: httpx.AsyncClient
) -> None:
    run = await web.bench.run()
    await run.call("run:complete", {"reason": "success", "timestamp": stamp()})
    shown = await get(reader, f"/api/runs/{run.id}", shapes.RunDetail)
    assert [each["event"] for each in shown["gaps"]] == ["run:start"]
    assert shown["run"]["started_at"] is None


async def test_log_lines_come_by_page_filter_and_direction(
    web: Web, reader: httpx.AsyncClient
) -> None:
    run, step = await worked(web)
    for at in range(10):
        line = {"message": [f"Line {at} 100%"], "timestamp": stamp(at)}
        line["level"] = "error" if at % 3 == 0 else "info"
        await run.call("run:log", {**line, **({"step_id": step} if at > 7 else {})})
    path = f"/api/runs/{run.id}/logs"

    async def messages(**query: Any) -> tuple[list[str], Any, Any]:
        page = await get(reader, path, shapes.LogPage, **query)
        found = [line["message"].split()[1] for line in page["lines"]]
        return found, page["next"], page["total"]

    first, place, total = await messages(limit=4)
    assert (first, total) == (["0", "1", "2", "3"], 10)
    second, place, total = await messages(limit=4, after=place)
    assert (second, total) == (["4", "5", "6", "7"], None)
    assert (await messages(limit=4, after=place))[:2] == (["8", "9"], None)
    last, place, _ = await messages(limit=3, before=2**60)
    assert last == ["7", "8", "9"]
    assert (await messages(limit=100, before=place))[:2] == (list("0123456"), None)
    assert await messages(level="error") == (["0", "3", "6", "9"], None, 4)
    assert await messages(step=step) == (["8", "9"], None, 2)
    assert (await messages(q="LINE 7"))[0] == ["7"]
    assert (await messages(q="100%"))[2] == 10
    assert (await messages(q="1_0"))[0] == []
    assert await messages(level="error", step=step, q="line") == (["9"], None, 1)


async def test_all_log_lines_can_be_downloaded_as_json_lines(
    web: Web, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_logs, "PER_READ", 2)
    run, _ = await worked(web)
    for at in range(5):
        await run.call("run:log", {"message": [f"{at}"], "level": "warn", "timestamp": stamp(at)})
    path = f"/api/runs/{run.id}/logs"
    by_name = await reader.get(f"{path}.ndjson")
    by_type = await reader.get(path, headers={"Accept": "application/x-ndjson"})
    none = await reader.get(f"{path}.ndjson", params={"level": "error"})
    assert by_name.text == by_type.text
    assert by_name.headers["content-type"] == "application/x-ndjson"
    assert f"run-{run.id}.ndjson" in by_name.headers["content-disposition"]
    lines = [msgspec.json.decode(line, type=shapes.LogLine) for line in by_name.text.splitlines()]
    assert [line.message for line in lines] == ["0", "1", "2", "3", "4"]
    assert (none.status_code, none.text) == (200, "")


async def test_a_download_that_breaks_does_not_look_complete(
    web: Web, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = await worked(web)
    await run.call("run:log", {"message": ["one"], "timestamp": stamp()})

    async def away(*_args: Any, **_more: Any) -> Refused:
        return Refused(kind="unavailable", retryable=True)

    monkeypatch.setattr(run_logs.run_logs, "page", away)
    with pytest.raises(run_logs.DownloadBrokenError):
        await anext(run_logs.json_lines(web.bench.app.repo, run.id, run_logs.LogFilter()))


async def test_a_dataclip_is_shown_and_a_wiped_one_says_so(
    web: Web, reader: httpx.AsyncClient
) -> None:
    created = await web.bench.enqueue()
    path = f"/api/dataclips/{created.dataclip_id}"
    shown = await get(reader, path, shapes.Dataclip)
    assert (shown["wiped"], shown["body"]) == (False, {"order": 1})
    assert shown["request"] == {"method": "POST"}
    await web.bench.world.wipe()
    shown = await get(reader, path, shapes.Dataclip)
    assert (shown["wiped"], shown["body"], shown["request"]) == (True, None, None)
    assert shown["wiped_at"]
