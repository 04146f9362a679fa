"""Logs never show a secret, whoever writes them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from channel_server import log
from tests import plain_logs

SECRET = "canary-2718281828"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    plain_logs.use()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    "key",
    ["token", "auth_token", "Authorization", "password", "client_secret", "cookie", "api_key"],
)
def test_values_under_secret_keys_are_filtered_at_any_depth(key: str) -> None:
    event: dict[str, Any] = {"event": "x", key: SECRET, "nested": [{"params": {key: SECRET}}]}
    assert SECRET not in repr(log.redact(None, "info", event))


@pytest.mark.parametrize(
    "text",
    [
        f"GET /socket/websocket?token={SECRET}&vsn=2.0.0",
        f"a[token]={SECRET}",
        f"a%5Btoken%5D={SECRET}",
        f"password={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"phoenix, base64url.bearer.phx.{SECRET}",
    ],
)
def test_secrets_inside_text_are_filtered(text: str) -> None:
    shown = log.redact_text(text)
    assert SECRET not in shown
    assert log.FILTERED in shown


def test_web_tokens_are_filtered_wherever_they_are() -> None:
    assert JWT not in log.redact_text(f"worker said {JWT}!")
    assert log.redact_value(JWT.encode()) == log.FILTERED


def test_what_is_no_secret_is_left_alone() -> None:
    event = {"event": "channel_joined", "topic": "room:1", "count": 3, "ok": None, "list": [1.5]}
    assert log.redact(None, "info", dict(event)) == event
    assert log.redact_text("?vsn=2.0.0&a=b") == "?vsn=2.0.0&a=b"


def test_what_is_nested_too_deep_to_look_at_is_filtered() -> None:
    value: Any = SECRET
    for _ in range(20):
        value = [value]
    assert SECRET not in repr(log.redact_value(value))


def test_containers_are_copied_not_changed() -> None:
    params = {"token": SECRET}
    log.redact(None, "info", {"event": "x", "params": params})
    assert params == {"token": SECRET}


def test_json_lines_have_level_time_and_a_filtered_traceback(stream: io.StringIO) -> None:
    log.configure("json", stream=stream)
    try:
        int(f"token={SECRET}")
    except ValueError:
        log.get_logger().exception("channel_crashed", topic="room:1")
    line = json.loads(stream.getvalue())
    assert line["event"] == "channel_crashed"
    assert line["level"] == "error"
    assert line["timestamp"].endswith("Z")
    assert "ValueError" in line["exception"]
    assert SECRET not in stream.getvalue()


def test_lines_of_other_libraries_look_the_same_and_are_filtered(stream: io.StringIO) -> None:
    log.configure("json", stream=stream)
    logging.getLogger("some.library").warning("GET /?token=%s", SECRET)
    line = json.loads(stream.getvalue())
    assert line["event"] == f"GET /?token={log.FILTERED}"


def test_lines_below_the_level_are_dropped(stream: io.StringIO) -> None:
    log.configure("json", level="warning", stream=stream)
    log.get_logger().info("event_handled")
    logging.getLogger("some.library").info("hello")
    assert stream.getvalue() == ""


def test_libraries_that_log_requests_are_silent(stream: io.StringIO) -> None:
    log.configure("json", level="debug", stream=stream)
    logging.getLogger("websockets.server").error("> GET /?token=x")
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("uvicorn.error").info("Started")
    assert stream.getvalue() == ""


def test_the_console_style_is_for_people(stream: io.StringIO) -> None:
    log.configure("console", stream=stream)
    log.get_logger().info("socket_connected", peer="127.0.0.1")
    assert "socket_connected" in stream.getvalue()
    assert "{" not in stream.getvalue()
