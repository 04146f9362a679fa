"""Commands against a server with a worker: start, wait, list, show, watch, retry, cancel."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from handlers.application import Application
from handlers.run_tokens import UserTokens
from tests.handlers.cli_bench import DEMO, cli, variables, worker
from tests.waiting import until

GOOD = '{"data": {"id": 1, "quantity": 2}}'
BAD = '{"data": {"id": 2}}'


@pytest.fixture
async def server(
    live_app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Application:
    """A server with the demo project, which commands find through the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables(live_app.settings, live_app.endpoint.port).items():
        monkeypatch.setenv(name, value)
    assert (await cli("provision", str(DEMO))).code == 0
    return live_app


@pytest.fixture
async def working(server: Application) -> AsyncIterator[Application]:
    """The same, with a worker."""
    async with worker(server.settings, server.endpoint.url):
        yield server


def given(tmp_path: Path, text: str) -> str:
    file = tmp_path / "input.json"
    file.write_text(text)
    return str(file)


async def test_a_run_that_succeeds_is_waited_for_and_shown(
    working: Application, tmp_path: Path
) -> None:
    result = await cli("run", "order", "--input", given(tmp_path, GOOD), "--wait")
    assert result.code == 0, result.err
    told = result.err.splitlines()
    assert "step Check success" in told
    assert "step Deliver success" in told
    assert "JOB order 1 costs 25.0" in told
    assert "JOB logging in with ***" in told
    assert told[-1] == "run success"


async def test_a_run_that_fails_exits_with_1_says_why_and_is_shown_with_its_steps_and_logs(
    working: Application, tmp_path: Path
) -> None:
    result = await cli("run", "order", "--input", given(tmp_path, BAD), "--wait", "--json")
    run_id = result.data["run_id"]
    assert result.code == 1
    assert (result.data["state"], result.data["error"]) == (
        "failed",
        "JobError: order 2 needs a person",
    )
    again = await cli("runs", "retry", run_id, "--wait")
    assert again.code == 1
    assert again.err.splitlines()[-1] == "run failed (JobError: order 2 needs a person)"
    watched = await cli("runs", "watch", run_id, "--json")
    assert (watched.code, watched.data["state"]) == (1, "failed")
    shown = await cli("runs", "show", run_id, "--json")
    assert [step["job"]["name"] for step in shown.data["run"]["steps"]] == [
        "Check",
        "Price",
        "Report",
    ]
    assert shown.data["logs"][0]["message"] == "run started by the example worker"
    text = (await cli("runs", "show", run_id)).out
    for part in (run_id, "steps", "Report", "logs", "telling the shop about order 2"):
        assert part in text


async def test_input_is_read_from_stdin(
    server: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(GOOD.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    result = await cli("run", "order", "--input", "-", "--json")
    assert (result.code, set(result.data)) == (0, {"run_id", "work_order_id"})


async def test_input_that_is_no_json_or_cannot_be_read_is_a_usage_error(
    server: Application, tmp_path: Path
) -> None:
    for text in ("{", "", "\ufeff{}"):
        result = await cli("run", "order", "--input", given(tmp_path, text))
        assert result.code == 2
        assert "is not JSON" in result.err
    result = await cli("run", "order", "--input", "no/such/file")
    assert (result.code, "cannot be read" in result.err) == (2, True)


async def test_an_unknown_workflow_is_named_beside_the_known_ones(server: Application) -> None:
    result = await cli("run", "nothing")
    assert result.code == 1
    assert 'There is no workflow "nothing"' in result.err
    assert "there is: order" in result.err


async def test_runs_are_listed_newest_first_and_page_by_page(server: Application) -> None:
    made = [(await cli("run", "order", "--json")).data["run_id"] for _ in range(3)]
    first = await cli("runs", "list", "--limit", "2", "--json")
    assert [run["id"] for run in first.data["runs"]] == [made[2], made[1]]
    rest = await cli("runs", "list", "--after", first.data["after"], "--json")
    assert [run["id"] for run in rest.data["runs"]] == [made[0]]
    assert rest.data["after"] is None
    table = await cli("runs", "list", "--limit", "2", "--project", "demo", "--workflow", "order")
    assert made[2] in table.out
    assert "there are more: --after" in table.err
    none = await cli("runs", "list", "--state", "success", "--json")
    assert none.data["runs"] == []


async def test_what_is_not_there_cannot_be_listed_or_shown(server: Application) -> None:
    assert (await cli("runs", "list", "--project", "nobody")).code == 1
    assert (await cli("runs", "list", "--state", "odd")).code == 2
    assert (await cli("runs", "list", "--after", "odd")).code == 1
    unknown = str(uuid4())
    for action in ("show", "watch", "retry", "cancel"):
        assert (await cli("runs", action, unknown)).code == 1, action
        assert (await cli("runs", action, "odd")).code == 2, action


async def test_an_available_run_is_cancelled_once(server: Application) -> None:
    run_id = (await cli("run", "order", "--json")).data["run_id"]
    assert (await cli("runs", "cancel", run_id, "--json")).data["state"] == "cancelled"
    again = await cli("runs", "cancel", run_id)
    assert again.code == 1
    assert "state: already in completed state" in again.err
    assert (await cli("runs", "retry", run_id, "--json")).code == 0


async def test_who_watches_a_run_hears_that_it_was_cancelled(server: Application) -> None:
    run_id = (await cli("run", "order", "--json")).data["run_id"]
    watching = asyncio.create_task(cli("runs", "watch", run_id))
    topic = f"run:{run_id}"
    await until(lambda: server.pubsub.subscribers(topic))
    assert (await cli("runs", "cancel", run_id)).code == 0
    async with asyncio.timeout(20):
        result = await watching
    assert result.code == 1
    assert "run cancelled (Cancelled: cancelled by" in result.err


async def test_waiting_survives_a_lost_connection(server: Application, tmp_path: Path) -> None:
    waiting = asyncio.create_task(
        cli("run", "order", "--input", given(tmp_path, GOOD), "--wait", "--json")
    )
    await until(server.endpoint.connections)
    server.endpoint.connections()[
        0
    ].drain()  # the client is sent away before there is anything to see
    async with worker(server.settings, server.endpoint.url):
        result = await waiting
    assert (result.code, result.data["state"]) == (0, "success")


async def test_without_a_server_nothing_is_started_to_wait_for(
    server: Application, tmp_path: Path
) -> None:
    result = await cli("run", "order", "--wait", "--url", "http://127.0.0.1:1")
    assert result.code == 3
    assert "ws://127.0.0.1:1/socket does not answer" in result.err
    assert (await cli("runs", "list", "--json")).data["runs"] == []


async def test_another_secret_is_refused_with_a_hint(
    server: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNEL_SERVER_USER_SECRET", "another secret, long enough")
    result = await cli("run", "order", "--wait")
    assert result.code == 3
    assert "refused the connection" in result.err
    assert "hint: the server must have the same WORKER_SECRET" in result.err


async def test_a_server_that_is_not_ready_is_named_with_where_to_look(server: Application) -> None:
    server.endpoint.ready = False
    result = await cli("run", "order", "--wait")
    assert result.code == 3
    assert f"hint: see {server.endpoint.http_url}/readyz" in result.err


async def test_a_token_opens_the_projects_that_it_names(server: Application) -> None:
    result = await cli("token", "--project", "demo", "--role", "operator", "--ttl", "2h", "--json")
    user = UserTokens(server.settings.user_key()).verify(result.data["token"])
    assert user is not None
    assert (user.role, [str(project) for project in user.projects]) == (
        "operator",
        result.data["projects"],
    )
    by_id = await cli("token", "--project", result.data["projects"][0])
    assert UserTokens(server.settings.user_key()).verify(by_id.out.strip()) is not None
    assert (await cli("token", "--project", "nobody")).code == 1


async def test_provisioning_says_what_changed_and_where_the_webhooks_are(
    server: Application,
) -> None:
    result = await cli("provision", str(DEMO), "--json")
    (workflow,) = result.data["workflows"]
    assert workflow["changed"] is False
    table = await cli("provision", str(DEMO))
    assert f"{server.endpoint.http_url}/i/{workflow['triggers']['webhook']}" in table.out


async def test_a_wrong_spec_is_a_usage_error_that_names_the_line(
    server: Application, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("name: x\nworkflow: {}\n")
    result = await cli("provision", str(file))
    assert result.code == 2
    assert f"{file}:2: workflow: is not a known field" in result.err
    assert (await cli("provision", "no/such/file.yaml")).code == 2


async def test_a_healthy_installation_passes_the_doctor(server: Application) -> None:
    result = await cli("doctor", "--json")
    assert (result.code, {finding["verdict"] for finding in result.data}) == (0, {"ok", "warning"})
    assert [finding["check"] for finding in result.data] == [
        "python",
        "settings",
        "database",
        "migrations",
        "embedded PostgreSQL",
        "server",
    ]


async def test_the_doctor_names_what_fails_and_what_to_do(
    server: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gateway.draining = True
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    result = await cli("doctor")
    assert result.code == 1
    assert "check DATABASE_URL" in result.out
    assert "is not ready: drain" in result.out
    listed = json.loads((await cli("doctor", "--json")).out)
    assert [finding["verdict"] for finding in listed][2:4] == ["failed", "failed"]
