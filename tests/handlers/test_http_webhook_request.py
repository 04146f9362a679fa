"""What is kept of a webhook call, and what is no JSON."""

import json

import pytest

from handlers.http.webhook_request import NotJsonError, describe_request, json_body

JSON = "application/json"


@pytest.mark.parametrize(
    "content_type",
    [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", "application/fhir+json"],
)
def test_json_types_are_accepted(content_type: str) -> None:
    assert json_body(content_type, b'{"a": 1}') == '{"a": 1}'


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "text/json", "json", "a/b+json"])
def test_other_types_are_refused_even_if_the_body_is_json(content_type: str | None) -> None:
    with pytest.raises(NotJsonError, match="send the body as application/json"):
        json_body(content_type, b"{}")


@pytest.mark.parametrize(
    "body", [b"{", b"a=1", b"\xff", b"{} {}", b"NaN", b"'a'", b"\xef\xbb\xbf{"]
)
def test_what_does_not_parse_is_refused(body: bytes) -> None:
    with pytest.raises(NotJsonError, match="the body is not valid JSON"):
        json_body(JSON, body)


@pytest.mark.parametrize("body", [b"[" * 65 + b"]" * 65, b"[" * 1_000_000])
def test_deep_nesting_is_refused(body: bytes) -> None:
    with pytest.raises(NotJsonError, match="nested deeper than 64"):
        json_body(JSON, body)


@pytest.mark.parametrize("body", [b"null", b"3", b'"text"', b"[]", b"[" * 64 + b"]" * 64])
def test_any_json_value_is_accepted(body: bytes) -> None:
    assert json_body(JSON, body) == body.decode()


def test_an_empty_body_is_an_empty_object() -> None:
    assert json_body(None, b"") == "{}"


def test_what_the_database_cannot_store_is_replaced() -> None:
    assert json_body(JSON, rb'["\u0000", "\ud800", "\ud83d\ude00"]') == (
        r'["\ufffd", "\ufffd", "\ud83d\ude00"]'
    )


def test_the_request_is_described_without_its_secrets() -> None:
    text = describe_request(
        "POST",
        "/i/abc",
        [("a", "1"), ("b", "2"), ("a", "3")],
        {
            "Content-Type": JSON,
            "X-Request-Id": "7",
            "Authorization": "Bearer secret",
            "Proxy-Authorization": "Basic secret",
            "Cookie": "session=secret",
        },
    )
    assert json.loads(text) == {
        "method": "POST",
        "path": ["i", "abc"],
        "query_params": {"a": "3", "b": "2"},
        "headers": {"content-type": JSON, "x-request-id": "7"},
    }


def test_a_description_can_always_be_stored() -> None:
    text = describe_request("POST", "/i/\udcff", [("a\x00", "\ud800")], {"x-a": "\x00"})
    assert json.loads(text) == {
        "method": "POST",
        "path": ["i", "\ufffd"],
        "query_params": {"a\ufffd": "\ufffd"},
        "headers": {"x-a": "\ufffd"},
    }
