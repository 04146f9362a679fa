import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import casts
from schema.casts import CastError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SURROGATES = "".join(map(chr, range(0xD800, 0xE000)))
texts = st.text(st.characters() | st.sampled_from("\0\ud800\udbff\udc00\udfff\\u"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
anything = values | st.binary() | st.floats() | st.datetimes() | st.uuids() | st.tuples(values)
NO_TIMESTAMPS: list[Any] = [
    *("", " 1", "1 ", "1.5", "1e3", "0x1", "\u0661", "9" * 18, "9" * 5000),
    *("253402300799999999", "-62135596800000000"),
    *(10**18, 10**400, -(10**18), True, False, 1.5, float("nan"), [], {}, b"1"),
]
ID = UUID("6b1b36cb-db2c-4b3c-8b3a-2d7e2c0f2b11")
NO_UUIDS: list[Any] = [
    *("", "nope", ID.hex, f"{{{ID}}}", f"{ID}\n", f"urn:uuid:{ID}", 1, None, b"0" * 16),
]
TYPES = {
    "uuid": casts.uuid,
    "verbatim": casts.verbatim,
    "text": casts.text,
    "timestamp": casts.timestamp,
    "integer": casts.integer,
    "boolean": casts.boolean,
    "enum": casts.enum(["a", "b"]),
    "json": casts.json,
    "json_text": casts.json_text,
}


def storable(text: str) -> bool:
    """Say whether PostgreSQL can store a text."""
    return "\0" not in text and not set(text) & set(SURROGATES)


@pytest.mark.parametrize("name", TYPES)
@given(value=anything)
def test_type_raises_nothing_but_a_cast_error(name: str, value: Any) -> None:
    with contextlib.suppress(CastError):
        TYPES[name](value)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_timestamp_is_exact_to_the_microsecond(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    assert casts.timestamp(microseconds) == moment
    assert casts.timestamp(str(microseconds)) == moment


def test_timestamp_of_sixteen_digits_keeps_its_last_digit() -> None:
    assert casts.timestamp("1795216548068837").microsecond == 68837
    assert casts.timestamp("1795216548068837") != casts.timestamp("1795216548068838")


@pytest.mark.parametrize("value", NO_TIMESTAMPS, ids=range(len(NO_TIMESTAMPS)))
def test_timestamp_out_of_range_or_of_another_type_is_invalid(value: Any) -> None:
    with pytest.raises(CastError, match="is invalid"):
        casts.timestamp(value)


@given(st.uuids())
def test_uuid_is_read_in_either_case(value: UUID) -> None:
    assert casts.uuid(str(value)) == casts.uuid(str(value).upper()) == casts.uuid(value) == value


@pytest.mark.parametrize("value", NO_UUIDS, ids=range(len(NO_UUIDS)))
def test_uuid_in_any_other_form_is_invalid(value: Any) -> None:
    with pytest.raises(CastError, match="is invalid"):
        casts.uuid(value)


@given(texts)
def test_repaired_text_is_storable_and_differs_only_where_it_had_to(text: str) -> None:
    repaired = casts.repair_text(text)
    assert storable(repaired)
    if storable(text):
        assert repaired == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\0b", "a\ufffdb"),
        ("lone \ud800", "lone \ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("é\0\U0001f600", "é\ufffd\U0001f600"),
        ("", ""),
    ],
)
def test_nul_and_lone_surrogates_become_the_replacement_character(text: str, expected: str) -> None:
    assert casts.verbatim(text) == expected


def test_empty_text_is_null_unless_taken_verbatim() -> None:
    assert casts.text("") is None
    assert casts.verbatim("") == ""
    assert casts.text(" ") == " "


@given(values)
def test_json_is_storable_and_means_the_same(value: Any) -> None:
    try:
        text = casts.json(value)
    except CastError:
        return
    parsed = json.loads(text)
    assert storable(json.dumps(parsed, ensure_ascii=False))
    msgspec.json.decode(text)
    assert casts.json_text(text) == text


@given(texts)
def test_json_written_with_escapes_is_repaired_like_the_text_itself(text: str) -> None:
    escaped = json.dumps({"k": text}, ensure_ascii=True)
    assert json.loads(casts.json_text(escaped)) == {"k": casts.repair_text(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"\u0000"', r'"\ufffd"'),
        (r'"\\u0000"', r'"\\u0000"'),
        (r'"\\\u0000"', r'"\\\ufffd"'),
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'),
        (r'"\ud83d"', r'"\ufffd"'),
        (r'"\ude00\ud83d"', r'"\ufffd\ufffd"'),
        (r'"\\ud83d"', r'"\\ud83d"'),
        (r'"\uD83Dx\uDE00"', r'"\ufffdx\ufffd"'),
    ],
)
def test_escapes_are_repaired_with_the_backslashes_counted(text: str, expected: str) -> None:
    assert casts.repair_json(text) == expected


@pytest.mark.parametrize("text", ["1e999", "[0.5E+400]", '{"a": 9E999}', "[-7e1000000]", "1e309"])
def test_a_number_that_no_double_holds_is_no_json(text: str) -> None:
    with pytest.raises(CastError):
        casts.json_text(text)


@pytest.mark.parametrize(
    "text", ["1e99", "1e-999", '"1e999"', '"e+400"', "[12e3, 45]", "1e308", '{"1e999": 2}']
)
def test_other_exponents_and_text_that_looks_like_one_stay_as_they_are(text: str) -> None:
    assert casts.json_text(text) == text


@pytest.mark.parametrize("text", ["", "{", "nope", "NaN", "1e999", "[1,]", '"\0"', "'a'"])
def test_string_that_is_no_json_is_invalid(text: str) -> None:
    with pytest.raises(CastError, match="is invalid"):
        casts.json_text(text)


def test_json_value_with_lone_surrogates_is_repaired_everywhere_in_it() -> None:
    assert casts.json({"a\udc00": ["\ud800", "\0", "é"]}) == (
        r'{"a\ufffd":["\ufffd","\ufffd","\u00e9"]}'
    )


@pytest.mark.parametrize("value", [object(), {"a": {1, object()}}, ["\ud800", float("nan")]])
def test_value_that_has_no_json_is_invalid(value: Any) -> None:
    with pytest.raises(CastError, match="is invalid"):
        casts.json(value)


def test_json_of_a_value_and_of_its_text_are_the_same() -> None:
    assert casts.json_text({"a": [1, None]}) == casts.json_text('{"a":[1,null]}')


def test_deep_json_is_refused_and_not_a_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CastError, match="too deeply nested"):
        casts.json(deep)
    with pytest.raises(CastError, match="too deeply nested"):
        casts.json_text("[" * 100_000 + "]" * 100_000)


def test_integer_has_sixty_four_bits() -> None:
    assert casts.integer(2**63 - 1) == 2**63 - 1
    for value in (2**63, -(2**63) - 1, True, 1.0, "1"):
        with pytest.raises(CastError):
            casts.integer(value)


def test_boolean_is_true_or_false_and_not_a_number() -> None:
    assert casts.boolean(value=True) is True
    with pytest.raises(CastError):
        casts.boolean(1)


def test_enum_translates_and_refuses_the_unknown() -> None:
    reason = casts.enum({"ok": "success", "success": "success"})
    assert reason("ok") == "success"
    for value in ("OK", "", 1, ["ok"], b"ok"):
        with pytest.raises(CastError, match="is invalid"):
            reason(value)
