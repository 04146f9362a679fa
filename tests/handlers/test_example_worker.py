"""The example worker as a process: what it claims it reports to the end, also while stopping."""

import signal
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from handlers.application import Application
from handlers.provision import provision_file
from schema import views, work_orders
from schema.projects import Provisioned
from schema.repo import Statement
from schema.work_orders import Created, NewWorkOrder
from tests.handlers.cli_bench import DEMO, worker
from tests.plain_http import PLAIN
from tests.waiting import until

STEPS = Statement(
    "test.steps",
    "SELECT s.* FROM steps s JOIN run_steps rs ON rs.step_id = s.id WHERE rs.run_id = $1",
)

SPEC = """\
name: flows
workflows:
  branches:
    jobs:
      first: {adaptor: x, body: "fn(state => { state.data.n = 5; return state; });"}
      big: {adaptor: x, body: "fn(state => { console.log('big'); return state; });"}
      small: {adaptor: x, body: "fn(state => { console.log('small'); return state; });"}
      always: {adaptor: x, body: "fn(state => { console.log('always'); return state; });"}
    triggers: {hook: {type: webhook}}
    edges:
      a: {source_trigger: hook, target_job: first}
      b: {source_job: first, target_job: big, condition_type: js_expression,
          condition_expression: state.data.n > 3}
      c: {source_job: first, target_job: small, condition_type: js_expression,
          condition_expression: state.data.n <= 3}
      d: {source_job: first, target_job: always}
  recovers:
    jobs:
      fails: {adaptor: x, body: "fn(state => { throw new Error('no'); });"}
      repairs: {adaptor: x, body: "fn(state => { console.log('repaired'); return state; });"}
    triggers: {hook: {type: webhook}}
    edges:
      a: {source_trigger: hook, target_job: fails}
      b: {source_job: fails, target_job: repairs, condition_type: on_job_failure}
  odd:
    jobs:
      odd: {adaptor: x, body: "while (true) {}"}
    triggers: {hook: {type: webhook}}
    edges: {a: {source_trigger: hook, target_job: odd}}
"""


@pytest.fixture
async def project(live_app: Application, tmp_path: Path) -> Provisioned:
    file = tmp_path / "flows.yaml"
    file.write_text(SPEC)
    made = await provision_file(live_app.repo, live_app.settings, file)
    assert isinstance(made, Provisioned), made
    return made


async def start(app: Application, project: Provisioned, key: str) -> UUID:
    (workflow,) = [each for each in project.workflows if each.key == key]
    hook = workflow.triggers["hook"]
    new = NewWorkOrder(trigger_id=hook, dataclip_type="http_request", body="{}")
    created = await work_orders.create(app.repo, new)
    assert isinstance(created, Created), created
    return created.run_id


async def reaches(app: Application, run_id: UUID, states: set[str]) -> views.RunView:
    """Wait until a run is in one of the states; each look is a query, none is a guess."""
    seen: list[views.RunView] = []

    async def there() -> bool:
        view = await views.run(app.repo, run_id)
        assert isinstance(view, views.RunView)
        seen.append(view)
        return view.state in states

    await until(there)
    return seen[-1]


FINAL = {"success", "failed", "crashed", "exception", "killed", "lost"}


async def outcome(app: Application, project: Provisioned, key: str) -> tuple[str, str]:
    async with worker(app.settings, app.endpoint.url):
        run_id = await start(app, project, key)
        state = (await reaches(app, run_id, FINAL)).state
    logs = await views.logs(app.repo, run_id)
    assert isinstance(logs, str)
    return state, logs


async def test_edges_are_followed_as_their_conditions_say(
    live_app: Application, project: Provisioned
) -> None:
    state, logs = await outcome(live_app, project, "branches")
    assert state == "success"
    assert '"big"' in logs
    assert '"always"' in logs
    assert '"small"' not in logs


async def test_a_failure_whose_path_goes_on_ends_well(
    live_app: Application, project: Provisioned
) -> None:
    state, logs = await outcome(live_app, project, "recovers")
    assert state == "success"
    assert '"repaired"' in logs


async def test_a_body_that_is_not_understood_crashes_the_run_and_not_the_worker(
    live_app: Application, project: Provisioned
) -> None:
    state, logs = await outcome(live_app, project, "odd")
    assert state == "crashed"
    assert "CompileError" in logs


async def test_a_worker_that_is_stopped_finishes_what_it_runs(
    live_app: Application, project: Provisioned
) -> None:
    async with worker(live_app.settings, live_app.endpoint.url) as process:
        run_id = await start(live_app, project, "branches")
        await reaches(live_app, run_id, {"claimed", "started"} | FINAL)
        process.send_signal(signal.SIGTERM)
        left = await start(live_app, project, "branches")
    assert (await reaches(live_app, run_id, FINAL)).state == "success"
    assert (await reaches(live_app, left, {"available", "success"})).state


async def test_a_run_that_is_cancelled_ends_with_the_step_that_is_under_way(
    live_app: Application, project: Provisioned
) -> None:
    token = live_app.gateway.user_tokens.issue("ana", [project.id], "operator", 3600)
    async with (
        httpx.AsyncClient(
            base_url=live_app.endpoint.http_url,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            verify=PLAIN,
            timeout=30,
        ) as client,
        worker(live_app.settings, live_app.endpoint.url, "--pace=60"),
    ):
        run_id = await start(live_app, project, "branches")
        await reaches(live_app, run_id, {"started"})
        assert (await client.post(f"/api/runs/{run_id}/cancel")).status_code == 202
        view = await reaches(live_app, run_id, {"cancelled"} | FINAL)
    assert view.state == "cancelled"
    rows = await live_app.gateway.repo.fetch(STEPS, run_id)
    assert isinstance(rows, list)
    assert [(row["exit_reason"], row["error_type"]) for row in rows] == [("cancel", "CancelError")]


async def test_a_webhook_that_waits_is_answered_by_the_run(
    live_app: Application, tmp_path: Path
) -> None:
    file = tmp_path / "waits.yaml"
    file.write_text(
        DEMO.read_text().replace("webhook_reply: before_start", "webhook_reply: after_completion")
    )
    made = await provision_file(live_app.repo, live_app.settings, file)
    assert isinstance(made, Provisioned), made
    url = f"{live_app.endpoint.http_url}/i/{made.workflows[0].triggers['webhook']}"
    async with (
        httpx.AsyncClient(trust_env=False, verify=PLAIN, timeout=30) as client,
        worker(live_app.settings, live_app.endpoint.url),
    ):
        good = await client.post(url, json={"id": 1, "quantity": 4})
        bad = await client.post(url, json={"id": 2})
    assert (good.status_code, good.json()["data"]["data"]["total"]) == (201, 50.0)
    assert good.json()["meta"]["state"] == "success"
    assert (bad.status_code, bad.json()["meta"]["error_type"]) == (201, "JobError")
    assert "withheld" in bad.json()["data"]
