"""Secrets given to the server are in no log line, no metric, and no error reply."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from channel_server import log
from channel_server.client_errors import ConnectRefused
from channel_server.testing.client import ANY, connect_url
from schema.outcomes import Owner
from tests.attack.target import Target
from tests.handlers.bench import CREDENTIAL, SECRET

CANARY = "canary-3141592653589793"


async def metrics(target: Target) -> str:
    return (await (await target.tcp()).request("/metrics")).body


async def silent(target: Target, *secrets: str) -> None:
    """Check that none of these was logged or is counted."""
    seen = target.lines.getvalue() + await metrics(target)
    for secret in secrets:
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")):
            assert form not in seen, secret


@pytest.mark.parametrize("mount", ["socket", "worker"])
@pytest.mark.parametrize("known", [True, False], ids=["genuine", "forged"])
async def test_a_token_in_the_query_is_never_logged(
    target: Target, mount: str, known: bool
) -> None:
    token = target.path(mount).rpartition("=")[2] if known else f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.x"
    for path in (f"/{mount}/websocket", f"/{mount}/nowhere", "/i/x", "/healthz", f"/{mount}"):
        client = await target.tcp()
        await client.upgrade(f"{path}?vsn=2.0.0&token={token}&password={CANARY}")
        client = await target.tcp()
        await client.request(f"{path}?token={token}&access_token={CANARY}")
    await silent(target, token, token.split(".")[1], CANARY)


async def test_a_token_in_the_subprotocol_or_a_header_is_never_logged(target: Target) -> None:
    token = target.user_token()
    await (await connect_url(f"{target.url}/socket", auth_token=token)).close()
    with pytest.raises(ConnectRefused):
        await connect_url(f"{target.url}/socket", auth_token=CANARY)
    client = await target.tcp()
    secret = [("Authorization", f"Bearer {CANARY}"), ("Cookie", f"session={CANARY}")]
    await client.upgrade("/socket/websocket?vsn=9", secret)
    await silent(target, token, CANARY)


async def test_a_refused_upgrade_repeats_nothing_of_the_request(target: Target) -> None:
    for query in (f"vsn={CANARY}", f"vsn=2.0.0&token={CANARY}", f"a[{CANARY}]={CANARY}"):
        client = await target.tcp()
        answer = await client.upgrade(f"/socket/websocket?{query}", [("Origin", f"x{CANARY}")])
        assert CANARY not in repr(answer)


async def test_a_join_token_is_neither_logged_nor_repeated(target: Target) -> None:
    client = await target.websocket("worker")
    token = target.app.gateway.run_tokens.issue(Owner(uuid4(), uuid4()), 60)
    for secret in (CANARY, token, {"token": CANARY}, [CANARY]):
        client.send_json(["1", "9", f"run:{uuid4()}", "phx_join", {"token": secret}])
        assert CANARY not in repr(await client.json())
    await silent(target, CANARY, token)


async def test_credentials_are_in_no_log_metric_or_line_of_the_run(target: Target) -> None:
    worker = await target.worker()
    run = await target.run(worker)
    jobs: list[dict[str, Any]] = (await run.call("fetch:plan"))["jobs"]
    (used,) = {str(job["credential_id"]) for job in jobs if job["credential_id"]}
    body = await run.call("fetch:credential", {"id": used})
    password = str(CREDENTIAL["password"])
    assert body["password"] == password
    text = f"logged in as {password}"
    await run.call("run:log", {"message": [text], "timestamp": "1795216548000000"})
    for event in ("run:log", "run:complete", "step:start", "step:complete", "fetch:credential"):
        pushed = await run.push(event, {"id": password, "message": {}, "reason": password})
        assert password not in repr(await run.assert_reply(pushed, "error"))
    stored = await target.world.rows("SELECT message FROM log_lines ORDER BY timestamp")
    assert password not in repr(stored)
    await silent(target, password)


async def test_dataclips_and_log_messages_are_in_no_log_or_metric(target: Target) -> None:
    run = await target.run()
    step = str(uuid4())
    await run.call("run:log", {"message": [CANARY], "timestamp": "1795216548000000"})
    await run.call("step:start", {"step_id": step, "job_id": str(target.world.job)})
    output = {"output_dataclip_id": str(uuid4()), "output_dataclip": json.dumps({"a": CANARY})}
    await run.call("step:complete", {"step_id": step, "reason": "success"} | output)
    await run.call("run:complete", {"reason": "success", "final_state": {"secret": CANARY}})
    await silent(target, CANARY)


@pytest.mark.parametrize(
    "payload",
    [
        {"reason": CANARY},
        {"step_id": CANARY, "job_id": CANARY},
        {"id": CANARY},
        {"message": CANARY, "timestamp": CANARY, "step_id": CANARY},
        {"logs": [{"message": [CANARY], "level": CANARY}]},
        {"final_dataclip_id": CANARY, "final_state": CANARY},
        {CANARY: CANARY},
        [CANARY],
        CANARY,
    ],
    ids=str,
)
async def test_no_error_reply_repeats_what_was_refused(target: Target, payload: Any) -> None:
    run = await target.run()
    for event in ("run:start", "run:complete", "run:log", "step:start", "step:complete"):
        pushed = await run.push(event, payload)
        assert CANARY not in repr(await run.assert_reply(pushed, ANY))
    await silent(target, CANARY)


async def test_a_webhook_call_is_in_no_log_metric_or_error(target: Target) -> None:
    trigger = f"/i/{target.world.workflow().triggers['webhook']}"
    for path in (trigger, f"/i/{CANARY}", f"/{CANARY}"):
        for body in (f'{{"a":"{CANARY}"}}', f"{CANARY}"):
            client = await target.tcp()
            head = f"POST {path}?api_key={CANARY} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {CANARY}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            client.write((head + body).encode())
            assert CANARY not in repr(await client.response())
    await silent(target, CANARY)


async def test_settings_and_keys_are_shown_by_no_endpoint(target: Target) -> None:
    settings = target.app.settings
    pem = settings.private_key_pem().decode().splitlines()[1]
    for path in ("/metrics", "/readyz", "/healthz", "/schema", "/schema/openapi.json", "/"):
        body = (await (await target.tcp()).request(path)).body
        for secret in (SECRET, settings.database_url, settings.credentials_key, pem):
            assert secret not in body


async def test_labels_of_metrics_are_never_chosen_by_clients(target: Target) -> None:
    run = await target.run()
    client = await target.websocket()
    for name in (CANARY, "__proto__", 'x"} 1\nfake_metric{a="', "\0"):
        pushed = await run.push(name, {})
        await run.assert_reply(pushed, "error", {"reason": "unknown event"})
        client.send_json(["1", "9", name, name, {}])
        await client.json()
    text = await metrics(target)
    for name in (CANARY, "__proto__", "fake_metric"):
        assert name not in text


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What the console style, which is the default, writes."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    stream = io.StringIO()
    log.configure("console", stream=stream)
    yield stream
    root.handlers[:] = handlers


async def test_no_client_writes_control_characters_to_the_terminal_of_the_log(
    server: Target, terminal: io.StringIO
) -> None:
    target = server
    client = await target.websocket()
    for topic in ("run:\x1b[2J\x1b[31mowned", "run:\x9b31m\x07", "nowhere:\x1b]0;owned\x07"):
        client.send_json(["1", "9", topic, "phx_join", {"\x1b": "\x1b"}])
        await client.json()
    await target.close()
    shown = terminal.getvalue()
    assert "owned" in shown
    assert not [c for c in shown if ord(c) < 32 and c != "\n"]
