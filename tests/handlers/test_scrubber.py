"""Section 9: values of fetched credentials never reach a stored or broadcast log line."""

import base64
from uuid import uuid4

import pytest

from handlers.scrubber import MASK, Scrubber, Scrubbers

BODY = {"username": "ana", "password": "s3cr3t!", "nested": {"keys": ["abcd/efgh?", 123456]}}


@pytest.fixture
def scrubber() -> Scrubber:
    scrubber = Scrubber()
    scrubber.learn(BODY)
    return scrubber


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "secret",
    [
        "s3cr3t!",
        "abcd/efgh?",
        "123456",
        b64("s3cr3t!"),
        b64("s3cr3t!").rstrip("="),
        base64.urlsafe_b64encode(b"abcd/efgh?").decode(),
        "ana:s3cr3t!",
        b64("ana:s3cr3t!"),
    ],
)
def test_a_value_and_its_forms_are_replaced(scrubber: Scrubber, secret: str) -> None:
    assert scrubber.scrub(f"before {secret} after") == f"before {MASK} after"


def test_values_of_three_characters_and_less_are_kept(scrubber: Scrubber) -> None:
    assert scrubber.scrub("ana was here") == "ana was here"


def test_booleans_and_null_are_no_secrets() -> None:
    scrubber = Scrubber()
    scrubber.learn({"tls": True, "proxy": None, "verify": False})
    assert not scrubber
    assert scrubber.scrub("True, true, None, null, False") == "True, true, None, null, False"


def test_a_value_with_quotes_is_found_inside_json() -> None:
    scrubber = Scrubber()
    scrubber.learn({"key": 'pa"ss\nword'})
    assert scrubber.scrub('{"k":"pa\\"ss\\nword"}') == '{"k":"***"}'


def test_the_longer_of_two_overlapping_values_wins() -> None:
    scrubber = Scrubber()
    scrubber.learn({"a": "secret", "b": "secret-and-more"})
    assert scrubber.scrub("secret-and-more, secret") == "***, ***"


def test_credentials_add_up() -> None:
    scrubber = Scrubber()
    scrubber.learn({"a": "first"})
    scrubber.learn({"b": "second"})
    scrubber.learn({"a": "first"})
    assert scrubber.scrub("first second") == "*** ***"


def test_values_are_text_and_no_patterns() -> None:
    scrubber = Scrubber()
    scrubber.learn({"a": ".*[x]+"})
    assert scrubber.scrub("harmless .*[x]+") == "harmless ***"


def test_the_scrubber_of_a_run_is_kept_and_the_oldest_are_forgotten() -> None:
    scrubbers = Scrubbers(most=2)
    first, second, third = uuid4(), uuid4(), uuid4()
    kept = scrubbers.of(first)
    scrubbers.of(second)
    assert scrubbers.of(first) is kept
    scrubbers.of(third)
    assert [scrubbers.known(run) for run in (first, second, third)] == [True, False, True]
