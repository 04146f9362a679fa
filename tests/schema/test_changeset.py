from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import casts
from schema.changeset import BLANK, Changeset, InvalidChangesetError, cast
from schema.refused import Refused

FIELDS = {"id": casts.uuid, "name": casts.text, "at": casts.timestamp, "body": casts.json}


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), st.text() | st.integers() | st.none()))
def test_cast_never_raises_and_puts_each_field_in_one_place(params: dict[str, Any]) -> None:
    changeset = cast(params, FIELDS)
    assert set(changeset.changes) & set(changeset.errors) == set()
    assert set(changeset.changes) | set(changeset.errors) == set(params) & set(FIELDS)


@pytest.mark.parametrize("params", [None, [], "text", 1, True, b""])
def test_cast_of_anything_but_a_mapping_is_one_error(params: Any) -> None:
    assert cast(params, FIELDS).errors == {"base": ["is invalid"]}


def test_cast_knows_missing_from_null() -> None:
    changeset = cast({"id": None}, FIELDS)
    assert changeset.changes == {"id": None}
    assert changeset.valid


def test_cast_collects_the_error_of_every_field() -> None:
    errors = cast({"id": "nope", "at": "soon", "name": "x"}, FIELDS).errors
    assert errors == {"id": ["is invalid"], "at": ["is invalid"]}


@pytest.mark.parametrize("params", [{}, {"name": None}, {"name": ""}, {"name": " \n"}])
def test_required_field_cannot_be_blank(params: dict[str, Any]) -> None:
    assert cast(params, FIELDS).require("name").errors == {"name": [BLANK]}


def test_required_field_that_is_invalid_has_one_error() -> None:
    assert cast({"id": "x"}, FIELDS).require("id").errors == {"id": ["is invalid"]}


def test_false_and_zero_are_not_blank() -> None:
    changeset = Changeset({"a": False, "b": 0}).require("a", "b")
    assert changeset.valid


def test_inclusion_and_length_and_own_checks_add_messages() -> None:
    changeset = (
        Changeset({"level": "loud", "name": "xyz", "n": 3})
        .validate_inclusion("level", ["info"])
        .validate_length("name", maximum=2)
        .validate_length("name", minimum=4)
        .validate_change("n", lambda n: "is odd" if n % 2 else None)
    )
    assert changeset.errors == {
        "level": ["is invalid"],
        "name": ["should be at most 2 long", "should be at least 4 long"],
        "n": ["is odd"],
    }


def test_checks_pass_over_null_and_missing_values() -> None:
    changeset = (
        Changeset({"level": None})
        .validate_inclusion("level", ["info"])
        .validate_length("name", minimum=4)
    )
    assert changeset.valid


def test_checks_pass_over_good_values() -> None:
    changeset = Changeset({"level": "info", "name": "ab"})
    checked = changeset.validate_inclusion("level", ["info"]).validate_length("name", minimum=2)
    assert checked.valid


def test_every_kind_of_constraint_declares_its_field_and_message() -> None:
    changeset = (
        Changeset({})
        .foreign_key_constraint("a", name="fk")
        .assoc_constraint("b", name="assoc", message="must be associated with the run")
        .unique_constraint("c", name="key")
        .check_constraint("d", name="check")
        .declare({"fk": ("z", "too late"), "more": ("e", "m")})
    )
    assert changeset.constraints == {
        "fk": ("a", "does not exist"),
        "assoc": ("b", "must be associated with the run"),
        "key": ("c", "has already been taken"),
        "check": ("d", "is invalid"),
        "more": ("e", "m"),
    }


def test_changeset_is_never_changed_in_place() -> None:
    first = Changeset({"name": "x"})
    first.add_error("name", "bad")
    first.put(name="y")
    first.unique_constraint("name", name="k")
    first.drop("name")
    assert first == Changeset({"name": "x"})


def test_default_replaces_missing_and_null_only() -> None:
    changeset = Changeset({"a": None, "b": 0}).default(a=1, b=2, c=3)
    assert changeset.changes == {"a": 1, "b": 0, "c": 3}


def test_dropped_field_keeps_its_error() -> None:
    changeset = cast({"id": "x", "name": "n"}, FIELDS).drop("id", "name")
    assert (changeset.changes, changeset.errors) == ({}, {"id": ["is invalid"]})


def test_apply_gives_the_values_of_a_valid_changeset_only() -> None:
    assert Changeset({"a": 1}).apply() == {"a": 1}
    with pytest.raises(InvalidChangesetError) as raised:
        Changeset({"a": 1}).add_error("a", "bad").apply()
    assert raised.value.errors == {"a": ["bad"]}


def test_refusal_carries_the_errors() -> None:
    assert Changeset({}).refusal() is None
    assert Changeset({}).add_error("a", "bad").refusal() == Refused({"a": ["bad"]})
