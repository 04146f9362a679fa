"""Webhooks over a real port: what each call is answered, and what it leaves in the database."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from handlers.application import Application
from handlers.http import webhooks
from handlers.provision import provision_file
from handlers.webhook_replies import Outcome
from schema import queue, runs, steps, views, work_orders
from schema.changeset import Changeset
from schema.outcomes import Owner
from schema.projects import Provisioned
from schema.reading import run_list
from schema.reading.run_list import RunFilter, RunPage
from schema.refused import Refused, invalid
from schema.repo import Repo, Statement
from tests.plain_http import PLAIN
from tests.waiting import until

SPEC = """\
name: hooks
workflows:
  flow:
    name: Flow
    jobs:
      only: {adaptor: "@openfn/language-common@latest", body: "fn(state => state)"}
    triggers:
      hook: {type: webhook}
      waiting:
        type: webhook
        webhook_reply: after_completion
        webhook_response_config: {success_code: 200, error_code: 422}
      off: {type: webhook, enabled: false}
      nightly: {type: cron, cron_expression: "0 3 * * *"}
    edges:
      hook->only: {source_trigger: hook, target_job: only}
      waiting->only: {source_trigger: waiting, target_job: only}
      nightly->only: {source_trigger: nightly, target_job: only}
"""
CLIPS = Statement("test.clips", "SELECT type, body::text AS body, request::text FROM dataclips")


@pytest.fixture
async def project(live_app: Application, tmp_path: Path) -> Provisioned:
    file = tmp_path / "hooks.yaml"
    file.write_text(SPEC)
    made = await provision_file(live_app.repo, live_app.settings, file)
    assert isinstance(made, Provisioned)
    return made


@pytest.fixture
async def client(live_app: Application) -> AsyncIterator[httpx.AsyncClient]:
    url = live_app.endpoint.http_url
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=PLAIN, timeout=20) as opened:
        yield opened


def hook(project: Provisioned, key: str = "hook") -> str:
    return f"/i/{project.workflows[0].triggers[key]}"


async def rows(repo: Repo, statement: Statement) -> list[Any]:
    found = await repo.fetch(statement)
    assert not isinstance(found, Refused)
    return found


async def test_a_call_creates_a_work_order_and_a_run(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    answer = await client.post(hook(project), json={"order": 7})
    assert answer.status_code == 200
    ids = answer.json()
    assert set(ids) == {"work_order_id", "run_id"}
    view = await views.run(live_app.repo, UUID(ids["run_id"]))
    assert isinstance(view, views.RunView)
    run = json.loads(view.payload_json)["run"]
    assert (run["state"], run["work_order_id"]) == ("available", ids["work_order_id"])
    assert run["starting_trigger_id"] == str(project.workflows[0].triggers["hook"])


async def test_the_request_is_stored_without_its_secrets(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    headers = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "x", "X-Kept": "yes"}
    path = f"{hook(project)}?source=shop&page=2"
    await client.post(path, json={"order": 7}, headers=headers)
    (clip,) = await rows(live_app.repo, CLIPS)
    assert (clip["type"], json.loads(clip["body"])) == ("http_request", {"order": 7})
    request = json.loads(clip["request"])
    assert request["method"] == "POST"
    assert request["path"] == ["i", hook(project).removeprefix("/i/")]
    assert request["query_params"] == {"source": "shop", "page": "2"}
    assert request["headers"]["x-kept"] == "yes"
    assert not {"authorization", "cookie", "x-api-key"} & set(request["headers"])


async def test_a_body_that_the_database_could_not_store_is_repaired(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    answer = await client.post(
        hook(project),
        content=rb'{"a": "\u0000 \ud800"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200
    (clip,) = await rows(live_app.repo, CLIPS)
    assert json.loads(clip["body"]) == {"a": "\ufffd \ufffd"}


async def test_an_unknown_trigger_is_404(project: Provisioned, client: httpx.AsyncClient) -> None:
    for name in (str(uuid4()), "nonsense", "%00", "a" * 3000):
        answer = await client.post(f"/i/{name}", json={})
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), name


async def test_a_trigger_of_another_type_is_404(
    project: Provisioned, client: httpx.AsyncClient
) -> None:
    assert (await client.post(hook(project, "nightly"), json={})).status_code == 404


async def test_a_disabled_trigger_is_403_and_creates_nothing(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    answer = await client.post(hook(project, "off"), json={})
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert await rows(live_app.repo, CLIPS) == []


async def test_what_is_no_json_is_415_and_creates_nothing(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    for content, content_type in (
        (b"a=1", "application/x-www-form-urlencoded"),
        (b"{}", "text/plain"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 100_000, "application/json"),
    ):
        headers = {"content-type": content_type}
        answer = await client.post(hook(project), content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (415, "not_json"), content[:10]
    assert await rows(live_app.repo, CLIPS) == []


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_413(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient, announced: bool
) -> None:
    body = b'"' + b"x" * live_app.settings.webhook_max_body_bytes + b'"'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    answer = await client.post(
        hook(project),
        content=body if announced else chunks(),
        headers={"content-type": "application/json"},
    )
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert await rows(live_app.repo, CLIPS) == []


async def test_another_method_is_405_and_another_path_404(
    project: Provisioned, client: httpx.AsyncClient
) -> None:
    wrong = await client.get(hook(project))
    assert (wrong.status_code, wrong.json()["error"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"]
    assert (await client.get("/nowhere")).json()["error"] == "not_found"


async def test_while_draining_calls_are_503_with_retry_after(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    live_app.gateway.draining = True
    answer = await client.post(hook(project), json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_without_a_database_calls_are_503_with_retry_after(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    await live_app.repo.close()
    answer = await client.post(hook(project), json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:channel-server:problem:unavailable",
        "title": "The database or a part of the server is away.",
        "status": 503,
        "detail": "The database is not available; try again.",
        "code": "unavailable",
        "error": "unavailable",
        "message": "The database is not available; try again.",
        "retry_after": 2,
    }


@pytest.mark.parametrize("key", ["hook", "waiting"])
async def test_what_the_database_refuses_is_answered_and_nobody_waits(
    live_app: Application,
    project: Provisioned,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    for refused, status in (
        (work_orders.UNKNOWN_NODE, 404),  # deleted since it was looked up
        (work_orders.DISABLED, 403),  # disabled since
        (invalid("starting_node_id", "has no enabled edge", code="unrunnable"), 422),
        (Refused(kind="busy", retryable=True), 503),
    ):

        async def create(*_arguments: object, answer: Refused = refused) -> Refused:
            return answer

        monkeypatch.setattr(webhooks.work_orders, "create", create)
        answer = await client.post(hook(project, key), json={})
        assert answer.status_code == status, refused
        assert live_app.gateway.webhooks.waiting == 0


async def ended(app: Application, state: str, final: Any) -> str:
    """Wait for a caller, and end its run as the run channel does after the commit."""
    found: list[UUID] = []

    async def there() -> bool:
        page = await run_list.page(app.repo, RunFilter())
        assert isinstance(page, RunPage)
        found.extend(page.ids)
        return bool(found)

    await until(there)
    run_id = str(found[0])
    assert app.gateway.webhooks.waits_for(run_id)  # before the run could be seen
    app.gateway.webhooks.run_ended(
        run_id, Outcome({"id": run_id, "state": state}, final_state=final)
    )
    return run_id


async def test_after_completion_the_caller_waits_for_the_run(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    call = asyncio.create_task(client.post(hook(project, "waiting"), json={}))
    run_id = await ended(live_app, "success", {"total": 3})
    answer = await call
    assert (answer.status_code, answer.json()["data"]) == (200, {"total": 3})
    assert answer.json()["meta"]["run_id"] == run_id
    assert answer.headers["content-type"] == "application/json"
    assert live_app.gateway.webhooks.waiting == 0


async def test_after_completion_a_failed_run_has_the_error_code_of_the_trigger(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    call = asyncio.create_task(client.post(hook(project, "waiting"), json={}))
    await ended(live_app, "failed", None)
    answer = await call
    assert answer.status_code == 422
    assert "failed" in answer.json()["data"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, (200, {"total": 3})), ('{"status": 418, "body": {"tea": true}}', (418, {"tea": True}))],
)
async def test_a_run_that_ends_through_another_process_answers_its_caller(
    live_app: Application,
    project: Provisioned,
    client: httpx.AsyncClient,
    asked: str | None,
    expected: tuple[int, Any],
) -> None:
    live_app.gateway.webhooks.look_interval = 0.01
    call = asyncio.create_task(client.post(hook(project, "waiting"), json={}))
    owner = await claimed(live_app.repo)
    step = Changeset({"step_id": uuid4(), "job_id": project.workflows[0].jobs["only"]})
    await steps.start(live_app.repo, owner, step, secrets.token_bytes(16))
    done = Changeset({"step_id": step.changes["step_id"], "exit_reason": "success"})
    if asked is not None:
        done = done.put(webhook_response=asked)
    await steps.complete(live_app.repo, owner, done, secrets.token_bytes(16))
    over = Changeset({"state": "success", "final_state": '{"total": 3}'})
    await runs.complete(live_app.repo, owner, over, secrets.token_bytes(16))
    answer = await call
    assert (answer.status_code, answer.json()["data"]) == expected
    assert answer.json()["meta"]["run_id"] == str(owner.run_id)
    assert live_app.gateway.webhooks.waiting == 0


async def claimed(repo: Repo) -> Owner:
    """Wait for the run of a call, and claim it."""
    owners: list[Owner] = []

    async def there() -> bool:
        claims = await queue.claim(repo, 1)
        assert isinstance(claims, queue.Claims)
        owners.extend(run.owner for run in claims.runs)
        return bool(owners)

    await until(there)
    return owners[0]


async def test_a_run_that_does_not_end_in_time_is_504(
    live_app: Application, project: Provisioned, client: httpx.AsyncClient
) -> None:
    live_app.gateway.settings = msgspec.structs.replace(
        live_app.settings, webhook_reply_timeout=0.05
    )
    answer = await client.post(hook(project, "waiting"), json={})
    assert (answer.status_code, answer.json()["error"]) == (504, "timeout")
    assert live_app.gateway.webhooks.waiting == 0


async def test_too_many_waiting_callers_are_429_with_retry_after(
    live_app: Application,
    project: Provisioned,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "MOST_WAITING", 0)
    answer = await client.post(hook(project, "waiting"), json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert await rows(live_app.repo, CLIPS) == []


async def test_a_body_that_does_not_arrive_is_408(
    live_app: Application, project: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BODY_DEADLINE", 0.05)
    endpoint = live_app.endpoint
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    head = f"POST {hook(project)} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n"
    writer.write(f"{head}content-type: application/json\r\n\r\n{{".encode())
    async with asyncio.timeout(10):
        status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 408 " in status


async def test_a_failure_that_nobody_foresaw_is_500_without_a_word_of_it(
    live_app: Application,
    project: Provisioned,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    word = secrets.token_hex(8)

    async def broken(*_arguments: object) -> None:
        raise RuntimeError(word)

    monkeypatch.setattr(webhooks.webhook_triggers, "find", broken)
    answer = await client.post(hook(project), json={})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert word not in answer.text


async def test_every_answer_carries_the_security_headers(
    project: Provisioned, client: httpx.AsyncClient
) -> None:
    for answer in (
        await client.post(hook(project), json={}),
        await client.post("/i/none", json={}),
        await client.get("/nowhere"),
        await client.get("/healthz"),
        await client.get("/metrics"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers
