"""12.1: when two events are one."""

from typing import Any

import pytest

from handlers.fingerprint import SIZE, fingerprint

PAYLOAD = {"timestamp": "1795216548068837", "versions": {"a": 1, "b": 2}, "reason": "ok"}


def test_the_order_of_keys_does_not_matter() -> None:
    other = {**dict(reversed(PAYLOAD.items())), "versions": {"b": 2, "a": 1}}
    assert fingerprint("run:start", PAYLOAD) == fingerprint("run:start", other)
    assert len(fingerprint("run:start", PAYLOAD)) == SIZE


@pytest.mark.parametrize(
    "change",
    [{"timestamp": "1795216548068838"}, {"reason": "fail"}, {"new": None}, {"versions": {}}],
)
def test_any_other_content_is_another_event(change: dict[str, Any]) -> None:
    changed = {**PAYLOAD, **change}
    assert fingerprint("run:start", PAYLOAD) != fingerprint("run:start", changed)


def test_the_event_counts_too() -> None:
    assert fingerprint("run:start", PAYLOAD) != fingerprint("run:complete", PAYLOAD)


@pytest.mark.parametrize("payload", [None, {}, {"timestamp": None}, [], "x"])
def test_what_says_nothing_is_its_own_event(payload: Any) -> None:
    assert fingerprint("run:start", payload) != fingerprint("run:start", payload)


def test_no_timestamp_is_the_same_as_no_timestamp() -> None:
    crash = {"reason": "crash", "error_type": "SyntaxError", "error_message": None}
    assert fingerprint("run:complete", crash) == fingerprint("run:complete", dict(crash))
    assert fingerprint("run:complete", crash) != fingerprint("run:complete", PAYLOAD)


def test_a_large_field_counts_by_its_text() -> None:
    base = {**PAYLOAD, "final_state": {"a": 1}}
    first = fingerprint("run:complete", base, final_state='{"a":1}')
    assert first == fingerprint("run:complete", base, final_state='{"a":1}')
    assert first != fingerprint("run:complete", base, final_state='{"a":2}')
    assert first != fingerprint("run:complete", base, final_state=None)


def test_half_a_surrogate_pair_has_a_fingerprint() -> None:
    odd = {**PAYLOAD, "error_message": "lone \ud800"}
    assert fingerprint("run:complete", odd) == fingerprint("run:complete", dict(odd))
    assert fingerprint("run:complete", odd) != fingerprint("run:complete", PAYLOAD)
