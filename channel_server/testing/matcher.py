"""Compare a frame with a template that holds placeholders; pure.

A placeholder is `{{kind}}` or `{{kind:name}}`, alone or inside a longer string. A named one binds
on first sight and must be the same ever after. Other text in double braces is just text. Kinds:

| kind | matches | sent when nothing is bound |
| --- | --- | --- |
| `uuid` | a UUID in lower case | a new random UUID |
| `ts` | microseconds since 1970 (16 digits, text or number), or ISO 8601 | now, 16 digits as text |
| `int` | an integer | an error |
| `str` | any string | an error |
| `token` | a string of token characters | an error |
| `any` | any value at all | an error |

Special objects: a key `"{{rest}}"` allows further keys in that object; `{"{{json}}": template}`
matches bytes (or a list of byte values) that hold JSON text; `{"{{binary}}": base64}` is exactly
these bytes. Numbers compare by value, booleans are no numbers, the order of keys means nothing.
"""

# ruff: noqa: N818 - it is named for what happened, as the package does throughout

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

REST = "{{rest}}"
JSON = "{{json}}"
BINARY = "{{binary}}"

_PLACEHOLDER = re.compile(r"\{\{(uuid|ts|int|str|token|any)(?::([^{}]+))?\}\}")
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_PATTERNS = {
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "ts": rf"\d{{16}}|{_ISO}",
    "int": r"-?\d+",
    "str": r"[\s\S]*",
    "token": r"[A-Za-z0-9._~+/=-]+",
    "any": r"[\s\S]*",
}

Bindings = dict[str, Any]


class UnboundPlaceholder(LookupError):
    """A frame cannot be sent because a placeholder has no value yet.

    Attributes:
        placeholder: Its text, e.g. `{{token:run}}`.
    """

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder)
        self.placeholder = placeholder

    def __str__(self) -> str:
        return f"nothing is bound to {self.placeholder}"


class Difference(msgspec.Struct, frozen=True):
    """One place where a value is not what the template says.

    Attributes:
        path: Where, e.g. `$[4].response.runs[0].id`.
        expected: The template there, bound placeholders filled in.
        actual: The value there; `ABSENT` if there is none.
    """

    path: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.path}: expected {_show(self.expected)}, got {_show(self.actual)}"


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


def match(template: Any, actual: Any, bindings: Mapping[str, Any]) -> tuple[list[Difference], Any]:
    """Compare a value with a template.

    Args:
        template: A JSON value with placeholders.
        actual: The value; `bytes` are allowed where the template says so.
        bindings: What is bound so far: `kind:name` → value. Not changed.

    Returns:
        The differences (empty: it matches) and the bindings including the new ones.
    """
    found = dict(bindings)
    return list(_compare(template, actual, found, "$")), found


def fill(template: Any, bindings: Bindings) -> Any:
    """A value to send: placeholders replaced, unbound UUIDs and timestamps made and bound.

    Args:
        template: A JSON value with placeholders.
        bindings: What is bound so far; new values are added.

    Raises:
        UnboundPlaceholder: A placeholder that cannot be made up has no value.
    """
    if isinstance(template, str):
        return _fill_text(template, bindings)
    if isinstance(template, list):
        return [fill(item, bindings) for item in cast("list[Any]", template)]
    if isinstance(template, dict):
        items = cast("dict[str, Any]", template)
        if BINARY in items:
            return base64.b64decode(items[BINARY])
        return {key: fill(value, bindings) for key, value in items.items()}
    return template


def _fill_text(text: str, bindings: Bindings) -> Any:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole:
        return _value_of(whole, bindings)
    return _PLACEHOLDER.sub(lambda found: str(_value_of(found, bindings)), text)


def _value_of(found: re.Match[str], bindings: Bindings) -> Any:
    kind, name = found.groups()
    key = f"{kind}:{name}"
    if name is not None and key in bindings:
        return bindings[key]
    if kind == "uuid":
        value = str(uuid.uuid4())
    elif kind == "ts":
        value = str(time.time_ns() // 1000)
    else:
        raise UnboundPlaceholder(found.group())
    if name is not None:
        bindings[key] = value
    return value


def _compare(template: Any, actual: Any, bound: Bindings, path: str) -> Iterator[Difference]:
    if isinstance(template, str) and "{{" in template:
        if not _match_text(template, actual, bound):
            yield Difference(path, _resolved(template, bound), actual)
    elif isinstance(template, dict):
        yield from _compare_object(cast("dict[str, Any]", template), actual, bound, path)
    elif isinstance(template, list):
        yield from _compare_list(cast("list[Any]", template), actual, bound, path)
    elif isinstance(template, bool) != isinstance(actual, bool) or template != actual:
        yield Difference(path, template, actual)


def _compare_object(
    template: dict[str, Any], actual: Any, bound: Bindings, path: str
) -> Iterator[Difference]:
    if JSON in template or BINARY in template:
        yield from _compare_bytes(template, actual, bound, path)
    elif not isinstance(actual, dict):
        yield Difference(path, template, actual)
    else:
        values = cast("dict[str, Any]", actual)
        for key, expected in template.items():
            if key != REST:
                value = values.get(key, ABSENT)
                yield from _compare(expected, value, bound, f"{path}.{key}")
        if REST not in template:
            for key in values.keys() - template.keys():
                yield Difference(f"{path}.{key}", ABSENT, values[key])


def _compare_list(
    template: list[Any], actual: Any, bound: Bindings, path: str
) -> Iterator[Difference]:
    if not isinstance(actual, list):
        yield Difference(path, template, actual)
        return
    values = cast("list[Any]", actual)
    if len(values) != len(template):
        yield Difference(path, template, values)
        return
    for index, (expected, value) in enumerate(zip(template, values, strict=True)):
        yield from _compare(expected, value, bound, f"{path}[{index}]")


def _compare_bytes(
    template: dict[str, Any], actual: Any, bound: Bindings, path: str
) -> Iterator[Difference]:
    if not isinstance(actual, bytes):
        yield Difference(path, template, actual)
    elif BINARY in template:
        if actual != base64.b64decode(template[BINARY]):
            yield Difference(path, template, actual)
    else:
        try:
            value = json.loads(actual)
        except ValueError:
            yield Difference(path, template, actual)
        else:
            yield from _compare(template[JSON], value, bound, f"{path}<json>")


def _match_text(template: str, actual: Any, bound: Bindings) -> bool:
    whole = _PLACEHOLDER.fullmatch(template)
    if whole:
        return _match_value(whole, actual, bound)
    if not isinstance(actual, str):
        return False
    pattern, names = _pattern(template, bound)
    found = re.fullmatch(pattern, actual)
    if found is None:
        return False
    for group, key in names.items():
        bound.setdefault(key, found.group(group))
    return True


def _match_value(placeholder: re.Match[str], actual: Any, bound: Bindings) -> bool:
    kind, name = placeholder.groups()
    key = f"{kind}:{name}"
    if actual is ABSENT:
        return False
    if name is not None and key in bound:
        return bool(bound[key] == actual)
    if not _is_a(kind, actual):
        return False
    if name is not None:
        bound[key] = actual
    return True


def _is_a(kind: str, actual: Any) -> bool:
    if kind == "any":
        return True
    if isinstance(actual, int) and not isinstance(actual, bool) and kind in ("ts", "int"):
        return kind == "int" or len(str(actual)) == 16
    return (
        isinstance(actual, str)
        and kind != "int"
        and re.fullmatch(_PATTERNS[kind], actual) is not None
    )


def _pattern(template: str, bound: Bindings) -> tuple[str, dict[str, str]]:
    """A regular expression for a string with placeholders inside, and its groups' keys."""
    parts: list[str] = []
    names: dict[str, str] = {}
    end = 0
    for index, found in enumerate(_PLACEHOLDER.finditer(template)):
        kind, name = found.groups()
        parts.append(re.escape(template[end : found.start()]))
        end = found.end()
        key = f"{kind}:{name}"
        if name is not None and key in bound:
            parts.append(re.escape(str(bound[key])))
        else:
            parts.append(f"(?P<g{index}>{_PATTERNS[kind]})")
            if name is not None:
                names[f"g{index}"] = key
    parts.append(re.escape(template[end:]))
    return "".join(parts), names


def _resolved(template: str, bound: Bindings) -> str:
    def value(found: re.Match[str]) -> str:
        return str(bound.get(f"{found[1]}:{found[2]}", found.group()))

    return _PLACEHOLDER.sub(value, template)


def _show(value: Any) -> str:
    if isinstance(value, bytes):
        text = repr(value)
    elif value is ABSENT:
        return "nothing"
    else:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 200 else f"{text[:197]}..."
