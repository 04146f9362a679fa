"""The matcher: placeholders, special objects, differences."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_server.testing.matcher import UnboundPlaceholder, fill, match

ID = "6e11745f-d7c3-4548-b926-a788b5aff521"
OTHER = "abb5cf16-a9e2-432d-844c-6e11745fd7c3"


def differences(template: Any, actual: Any, **bindings: Any) -> list[str]:
    found, _ = match(template, actual, bindings)
    return [str(difference) for difference in found]


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", [1, [2]], {"a": {"b": []}}])
def test_a_value_without_placeholders_matches_itself(value: Any) -> None:
    assert differences(value, value) == []


@pytest.mark.parametrize(
    ("template", "actual", "path"),
    [
        (1, 2, "$"),
        (True, 1, "$"),
        (0, False, "$"),
        ("a", None, "$"),
        ([1], [1, 2], "$"),
        ([1], {"0": 1}, "$"),
        ({"a": 1}, [1], "$"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "$.a.b"),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "$.a[1].b"),
        ({"a": 1}, {}, "$.a"),
        ({}, {"a": 1}, "$.a"),
        ({"a": "{{any}}"}, {}, "$.a"),
    ],
)
def test_a_difference_names_its_place(template: Any, actual: Any, path: str) -> None:
    assert [line.split(":")[0] for line in differences(template, actual)] == [path]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_any_json_value_matches_itself_and_fills_to_itself(value: Any) -> None:
    assert differences(value, value) == []
    assert fill(value, {}) == value


@given(JSON_VALUES, JSON_VALUES)
def test_a_value_matches_another_exactly_when_they_are_the_same_json(one: Any, two: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    if same:
        assert differences(one, two) == []
    elif one != two:
        assert differences(one, two) != []


@pytest.mark.parametrize("text", ["{{ name }}", "{{name}}", "{{uuid", "{{}}", "{{any }}"])
def test_other_text_in_braces_is_just_text(text: str) -> None:
    assert differences(text, text) == []
    assert len(differences(text, "x")) == 1
    assert fill(text, {}) == text


def test_numbers_compare_by_value() -> None:
    assert differences(1, 1.0) == []


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("{{uuid}}", ID),
        ("{{ts}}", "1795216548068837"),
        ("{{ts}}", 1795216548068837),
        ("{{ts}}", "2026-11-21T02:00:00.123456Z"),
        ("{{ts}}", "2026-11-21T02:00:00+00:00"),
        ("{{int}}", -3),
        ("{{str}}", ""),
        ("{{token}}", "eyJhbGciOiJSUzI1NiJ9.eyJp.I32"),
        ("{{any}}", None),
        ("{{any}}", {"a": [1]}),
        ("run:{{uuid:run}}", f"run:{ID}"),
        ("{{uuid:a}}/{{int:b}}", f"{ID}/7"),
    ],
)
def test_a_placeholder_matches_its_kind(placeholder: str, value: Any) -> None:
    assert differences(placeholder, value) == []


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("{{uuid}}", ID.upper()),
        ("{{uuid}}", 7),
        ("{{ts}}", "179521654806883"),
        ("{{ts}}", True),
        ("{{int}}", "7"),
        ("{{int}}", True),
        ("{{str}}", 7),
        ("{{token}}", "two words"),
        ("run:{{uuid}}", "run:7"),
        ("run:{{uuid}}", None),
    ],
)
def test_a_placeholder_refuses_other_kinds(placeholder: str, value: Any) -> None:
    assert len(differences(placeholder, value)) == 1


def test_a_named_placeholder_binds_on_first_sight_and_stays() -> None:
    found, bound = match(["{{uuid:a}}", "x:{{uuid:a}}"], [ID, f"x:{ID}"], {})
    assert found == []
    assert bound == {"uuid:a": ID}
    assert len(match("{{uuid:a}}", OTHER, bound)[0]) == 1
    assert len(match("x:{{uuid:a}}", f"x:{OTHER}", bound)[0]) == 1


def test_matching_leaves_the_given_bindings_alone() -> None:
    given: dict[str, Any] = {}
    match("{{uuid:a}}", ID, given)
    assert given == {}


def test_a_difference_shows_bound_values() -> None:
    assert ID in differences("x:{{uuid:a}}", "x:?", **{"uuid:a": ID})[0]


def test_rest_allows_further_keys() -> None:
    assert differences({"a": 1, "{{rest}}": "{{any}}"}, {"a": 1, "b": 2}) == []
    assert len(differences({"a": 1, "{{rest}}": "{{any}}"}, {"b": 2})) == 1


def test_json_matches_bytes_that_hold_json_text() -> None:
    assert differences({"{{json}}": {"a": "{{int}}"}}, b'{"a": 1}') == []
    assert len(differences({"{{json}}": {"a": 1}}, b"no json")) == 1
    assert len(differences({"{{json}}": {"a": 1}}, {"a": 1})) == 1


def test_binary_is_exactly_these_bytes() -> None:
    assert differences({"{{binary}}": "AAE="}, b"\x00\x01") == []
    assert len(differences({"{{binary}}": "AAE="}, b"\x00")) == 1
    assert len(differences({"{{binary}}": "AAE="}, "AAE=")) == 1


def test_fill_takes_bound_values_and_makes_up_ids_and_timestamps() -> None:
    bindings: dict[str, Any] = {"token:run": "abc"}
    filled = fill(["{{token:run}}", "run:{{uuid:x}}", "{{uuid:x}}", "{{ts:t}}", 7], bindings)
    assert filled[0] == "abc"
    assert filled[1] == f"run:{filled[2]}"
    assert str(uuid.UUID(filled[2])) == filled[2] == bindings["uuid:x"]
    assert len(filled[3]) == 16
    assert fill("{{ts:t}}", bindings) == filled[3]


def test_fill_makes_a_new_value_for_an_unnamed_placeholder() -> None:
    assert fill("{{uuid}}", {}) != fill("{{uuid}}", {})


def test_fill_decodes_binary() -> None:
    assert fill({"{{binary}}": "AAE="}, {}) == b"\x00\x01"


@pytest.mark.parametrize("placeholder", ["{{token:run}}", "{{any}}", "{{int:n}}", "{{str}}"])
def test_fill_cannot_make_up_what_only_the_server_knows(placeholder: str) -> None:
    with pytest.raises(UnboundPlaceholder, match="nothing is bound to"):
        fill({"a": [placeholder]}, {})


def test_a_long_difference_is_shortened() -> None:
    assert len(differences("x", "y" * 5000)[0]) < 300
    assert "b'" in differences("x", b"bytes")[0]
