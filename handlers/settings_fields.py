"""How a settings struct describes, parses and documents its own fields."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec


class Field(msgspec.Struct, frozen=True):
    """What is known of one setting besides its type and default."""

    env: str
    doc: str
    unit: str = ""
    secret: bool = False
    gt: float | None = None
    ge: float | None = None
    le: float | None = None


def field(
    env: str,
    doc: str,
    *,
    unit: str = "",
    secret: bool = False,
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
) -> Field:
    """Describe a setting inside `Annotated[...]`.

    Args:
        env: environment variable that sets it.
        doc: one sentence for the table.
        unit: of the number, for the table.
        secret: never repeat the value in a message.
        gt: the number must be greater.
        ge: the number must be at least this.
        le: the number must be at most this.
    """
    return Field(env, doc, unit, secret, gt, ge, le)


class SettingError(Exception):
    """One setting has a value that cannot be used; the text is the whole sentence."""


def hints_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the annotations of all fields: those of ``struct`` first, then those it inherits."""
    hints = get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in (*struct.__annotations__, *hints)}


def read_fields(
    struct: type[msgspec.Struct], environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Collect keyword arguments for `struct` and the sentences for what could not be read."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, hint in hints_of(struct).items():
        env = _info(hint).env
        if name in overrides:
            values[name] = overrides[name]
        elif environ.get(env):
            try:
                values[name] = parse(hint, environ[env])
            except SettingError as error:
                problems.append(str(error))
    return values, problems


def parse(hint: Any, raw: Any) -> Any:
    """Turn `raw` (text of a variable, or an already typed value) into the type of the field.

    Raises:
        SettingError: the value is of the wrong kind or out of its range.
    """
    info = _info(hint)
    kind = hint.__origin__
    if get_origin(kind) is Literal:
        return _one_of(info, raw, get_args(kind))
    if get_origin(kind) is tuple:
        return _list(raw)
    if kind is int:
        return _number(info, raw, int, "a whole number")
    if kind is float:
        return _number(info, raw, float, "a number")
    return str(raw)


def describe_fields(struct: type[msgspec.Struct]) -> str:
    """Markdown table of all fields: variable, default, unit, meaning."""
    rows = ["| Variable | Default | Unit | Meaning |", "| --- | --- | --- | --- |"]
    defaults = dict(
        zip(struct.__struct_fields__, struct.__struct_defaults__, strict=True),
    )
    for name, hint in hints_of(struct).items():
        info = _info(hint)
        default = _shown(defaults[name])
        rows.append(f"| `{info.env}` | {default} | {info.unit} | {info.doc} |")
    return "\n".join(rows) + "\n"


def _info(hint: Any) -> Field:
    return hint.__metadata__[0]


def _shown(default: Any) -> str:
    if default in ("", ()):
        return ""
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return f"`{default}`"


def _one_of(info: Field, raw: Any, allowed: tuple[Any, ...]) -> Any:
    if raw in allowed:
        return raw
    names = ", ".join(map(str, allowed))
    raise SettingError(f"{info.env} must be one of {names}, not {raw!r}.")


def _list(raw: Any) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    return tuple(part.strip() for part in parts if part.strip())


def _number(info: Field, raw: Any, kind: type[int] | type[float], words: str) -> int | float:
    try:
        value = kind(raw)
    except (TypeError, ValueError):
        raise SettingError(f"{info.env} must be {words}, not {raw!r}.") from None
    limit = _broken_limit(info, value)
    if limit is not None:
        raise SettingError(f"{info.env} must be {words} {limit}, not {raw}.")
    return value


def _broken_limit(info: Field, value: float) -> str | None:
    if value != value or value in (float("inf"), float("-inf")):
        return "that is finite"
    if info.gt is not None and value <= info.gt:
        return f"greater than {info.gt:g}"
    if info.ge is not None and value < info.ge:
        return f"of at least {info.ge}"
    if info.le is not None and value > info.le:
        return f"of at most {info.le}"
    return None
