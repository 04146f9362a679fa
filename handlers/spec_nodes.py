"""Reading YAML so that every complaint names file, line and field.

PyYAML's node graph keeps where each value stood, which its Python objects do not. A
:class:`Fields` reads one mapping: each getter returns a usable value and notes what is wrong, so
that one reading finds every problem of a file.
"""

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec
import yaml

MOST_VALUES: Final = 100_000
"""Most values of one free-form field, which bounds what aliases can expand to."""

DEEPEST: Final = 32
"""Deepest nesting of one free-form field."""

_TEXT: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = "tag:yaml.org,2002:int"


class SpecProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a project spec.

    Attributes:
        file: The name of the file as it was given.
        line: Line number, from 1.
        field: Dotted path of the field, or ``""`` for the file as a whole.
        message: What is wrong and what is expected.
    """

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        """Return ``file:line: field: message``, as compilers print it."""
        where = f"{self.file}:{self.line}"
        return (
            f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"
        )


class SpecError(Exception):
    """A project spec that cannot be used; ``problems`` says why, in the order of the lines."""

    def __init__(self, problems: list[SpecProblem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class Notebook:
    """Where the fields of one file stood, and what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[SpecProblem] = []
        self.lines: dict[str, int] = {}

    def complain(self, field: str, message: str, *, line: int | None = None) -> None:
        """Note a problem of ``field``; its line is that of the field or of what holds it."""
        self.problems.append(
            SpecProblem(self.file, line or self.line_of(field), field, message),
        )

    def line_of(self, field: str) -> int:
        """Return the line of ``field``, else that of the nearest parent that was read."""
        while field and field not in self.lines:
            field = field.rpartition(".")[0]
        return self.lines.get(field, 1)

    def raise_problems(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            SpecError: There are problems.
        """
        if self.problems:
            raise SpecError(self.problems)


class Fields:
    """One mapping of the file.

    Args:
        notebook: Where problems are noted.
        path: Dotted path of the mapping; ``""`` for the document.
        node: Its YAML node; anything but a mapping is a problem, and then reads as empty.
    """

    def __init__(self, notebook: Notebook, path: str, node: yaml.Node | None) -> None:
        self.notebook = notebook
        self.path = path
        self._nodes: dict[str, yaml.Node] = {}
        self._read: set[str] = set()
        if isinstance(node, yaml.MappingNode):
            self._remember(node)
        elif node is not None and node.tag != _NULL:
            notebook.complain(path, "must be a mapping of fields", line=_line(node))

    def _remember(self, mapping: yaml.MappingNode) -> None:
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", mapping.value):
            if not isinstance(key, yaml.ScalarNode):
                self.notebook.complain(self.path, "keys must be plain text", line=_line(key))
                continue
            name = str(key.value)
            field = self.at(name)
            if name in self._nodes:
                self.notebook.complain(field, "is given twice", line=_line(key))
            self._nodes[name] = value
            self.notebook.lines[field] = _line(key)

    def at(self, key: str) -> str:
        """Return the path of ``key`` in this mapping."""
        return f"{self.path}.{key}" if self.path else key

    def complain(self, key: str, message: str) -> None:
        """Note a problem of one field of this mapping."""
        self.notebook.complain(self.at(key), message)

    def _take(self, key: str) -> yaml.Node | None:
        self._read.add(key)
        node = self._nodes.get(key)
        return None if node is None or node.tag == _NULL else node

    def _scalar(self, key: str, tag: str, what: str) -> str | None:
        node = self._take(key)
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode) and node.tag == tag:
            return str(node.value)
        self.complain(key, f"must be {what}")
        return None

    def text(self, key: str) -> str | None:
        """Return a text, or None if the field is missing or null."""
        return self._scalar(key, _TEXT, "text (put it in quotes)")

    def required(self, key: str) -> str:
        """Return a text that must be there and not be blank; ``""`` after noting that it is not."""
        before = len(self.notebook.problems)
        value = self.text(key)
        if value is None or not value.strip():
            if len(self.notebook.problems) == before:
                self.complain(key, "is required")
            return ""
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean, or ``default`` if the field is missing or null."""
        value = self._scalar(key, _BOOL, "true or false")
        return default if value is None else value.lower() in {"true", "yes", "on"}

    def positive(self, key: str) -> int | None:
        """Return a whole number above 0, or None if the field is missing or null."""
        value = self._scalar(key, _INT, "a whole number")
        if value is None:
            return None
        if value.isdecimal() and 0 < int(value) < 2**31:
            return int(value)
        self.complain(key, "must be a whole number above 0")
        return None

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return one of ``choices``; without a default, the field is required."""
        value = self.text(key) if default is not None else self.required(key)
        if value is None or not value:
            return default or choices[0]
        if value not in choices:
            self.complain(key, f'must be one of {", ".join(choices)}, not "{value}"')
        return value

    def free(self, key: str) -> dict[str, Any] | None:
        """Return a mapping of any JSON values, or None if the field is missing or null."""
        node = self._take(key)
        if node is None:
            return None
        if not isinstance(node, yaml.MappingNode):
            self.complain(key, "must be a mapping")
            return None
        try:
            return cast("dict[str, Any]", _plain(node, DEEPEST, [MOST_VALUES]))
        except ValueError as error:
            self.complain(key, str(error))
            return None

    def child(self, key: str) -> "Fields | None":
        """Return the fields of the mapping at ``key``, or None if it is missing or null."""
        node = self._take(key)
        return None if node is None else Fields(self.notebook, self.at(key), node)

    def children(self, key: str) -> Iterator[tuple[str, "Fields"]]:
        """Yield the key and the fields of each entry of the mapping at ``key``."""
        entries = Fields(self.notebook, self.at(key), self._take(key))
        for name, node in entries._nodes.items():
            yield name, Fields(self.notebook, entries.at(name), node)

    def finish(self, also_known: tuple[str, ...] = ()) -> None:
        """Note every key that nobody asked for, except the ones in ``also_known``."""
        known = self._read | set(also_known)
        for name in self._nodes:
            if name not in known:
                self.complain(name, f"is not a known field (known: {', '.join(sorted(known))})")


def compose(text: str, notebook: Notebook) -> Fields:
    """Return the fields of a YAML document.

    Raises:
        SpecError: The text is no YAML; the problem carries the line.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        notebook.complain("", f"is not valid YAML: {error.problem or error.context}", line=line)
    except (yaml.YAMLError, RecursionError) as error:
        notebook.complain("", f"is not valid YAML: {' '.join(str(error).split())}", line=1)
    else:
        if node is None:
            notebook.complain("", "is empty: a project spec needs at least name and workflows")
        return Fields(notebook, "", node)
    raise SpecError(notebook.problems)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def _plain(node: yaml.Node, depth: int, budget: list[int]) -> object:
    """Return the JSON value of a node; ``budget`` counts down over all its values."""
    budget[0] -= 1
    if depth < 0 or budget[0] < 0:
        raise ValueError("is nested too deeply or too large")
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        return {_key(key): _plain(value, depth - 1, budget) for key, value in pairs}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, depth - 1, budget) for item in cast("list[yaml.Node]", node.value)]
    return _plain_scalar(node)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("has a key that is no text")  # noqa: TRY004
    return str(node.value)


def _plain_scalar(node: yaml.Node) -> object:
    text = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return text.lower() in {"true", "yes", "on"}
    if node.tag == _INT and text.lstrip("+-").isdecimal():
        return int(text)
    if node.tag == "tag:yaml.org,2002:float":
        return _number(text)
    return text


def _number(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number == number and abs(number) != float("inf") else text
