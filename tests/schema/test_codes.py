"""The list of error codes: closed, explained, and what the schema's refusals carry."""

from typing import get_args

from schema import casts, refusals
from schema.changeset import cast
from schema.codes import MEANINGS, Code, code_named
from schema.refused import Refused


def test_every_code_has_a_sentence_and_a_status() -> None:
    assert list(get_args(Code)) == list(MEANINGS)
    for code, meaning in MEANINGS.items():
        assert meaning.text.endswith("."), code
        assert 400 <= meaning.status < 600, code


def test_what_may_succeed_later_has_a_status_that_says_so() -> None:
    again = [meaning for meaning in MEANINGS.values() if meaning.retryable]
    assert {meaning.status for meaning in again} == {429, 503}


def test_a_name_that_is_no_code_is_an_error_like_any_other() -> None:
    assert (code_named("busy"), code_named("nonsense")) == ("busy", "error")


def test_each_field_of_a_changeset_has_its_own_code() -> None:
    fields = {"id": casts.uuid, "name": casts.text, "level": casts.text, "body": casts.json}
    deep: list[object] = []
    for _ in range(2000):
        deep = [deep]
    changes = cast({"id": "x", "level": "loud", "body": deep}, fields).require("name")
    refused = changes.validate_inclusion("level", ["info"]).refusal()
    assert isinstance(refused, Refused)
    assert {field: refused.code_of(field) for field in refused.errors} == {
        "id": "invalid_type",
        "name": "required",
        "level": "invalid",
        "body": "too_deep",
    }


def test_a_field_without_a_code_has_that_of_the_refusal() -> None:
    assert refusals.COMPLETED.code_of("state") == "wrong_state"
    assert refusals.LEASE_LOST.code == "lease_lost"
