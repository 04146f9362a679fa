"""The small part of the OpenFn job language that the example worker understands.

A job body is one or more calls of ``fn``::

    fn(state => {
      console.log('order', state.data.id);
      if (!state.data.id) throw new Error('an order needs an id');
      state.data.total = state.data.quantity * 12.5;
      return state;
    });

Statements: assignment to a path of ``state``, ``console.log|info|warn|error|debug(…)``,
``throw new Error(…)``, ``if (…)`` before one of these, ``return state``. Expressions: texts,
numbers, ``true``, ``false``, ``null``, paths of ``state``, parentheses and the operators
``|| && == === != !== < <= > >= + - * / !``. Nothing else: no loops, no calls, no ``eval``, so a
body can neither hang the worker nor reach anything but its state.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, cast

State = dict[str, Any]
Log = Callable[[str, list[Any]], None]
"""Called with the level and the values of each ``console`` line."""

_TOKEN: Final = re.compile(
    r"(?P<space>\s+|//[^\n]*)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<name>[A-Za-z_$][\w$]*)"
    r"|(?P<sign>=>|===|!==|==|!=|<=|>=|&&|\|\||[-+*/<>=!(){}.;,\[\]])"
)
_LEVELS: Final = {"log": "info", "info": "info", "warn": "warn", "error": "error", "debug": "debug"}
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None, "undefined": None}


class JobError(Exception):
    """The job itself failed: it threw, or computed what cannot be computed."""


class CompileError(Exception):
    """The body is not in the part of the language that is understood here."""


def run_job(body: str, state: State, log: Log) -> State:
    """Run a job body and return the state it leaves.

    Args:
        body: The source; see the module for what is understood.
        state: The state to start from; it is changed in place.
        log: Called for each line that the job writes.

    Raises:
        CompileError: The body is not understood; nothing of it ran before that point was reached.
        JobError: The job threw.
    """
    try:
        _Interpreter(body, state, log).program()
    except RecursionError:
        raise CompileError("is nested too deeply") from None
    return state


def is_true(expression: str, state: State) -> bool:
    """Return whether the condition of an edge holds for ``state``.

    Raises:
        CompileError: The expression is not understood.
    """
    interpreter = _Interpreter(expression, state, lambda _level, _values: None)
    value = interpreter.expression()
    interpreter.end()
    return _truthy(value)


class _Interpreter:
    """Reads and runs in one pass; ``_live`` is off while a branch that is not taken is read."""

    def __init__(self, source: str, state: State, log: Log) -> None:
        self._tokens = _tokens(source)
        self._at = 0
        self._state = state
        self._log = log
        self._live = True

    def program(self) -> None:
        while self._peek() != "":
            for sign in ("fn", "(", "state", "=>", "{"):
                self._expect(sign)
            while self._peek() != "}":
                self._statement()
            for sign in ("}", ")"):
                self._expect(sign)
            self._skip(";")

    def end(self) -> None:
        if self._peek():
            raise CompileError(f"did not expect {self._peek()!r}")

    def _statement(self) -> None:
        word = self._peek()
        if word == "if":
            self._if()
            return
        if word == "console":
            self._console()
        elif word == "throw":
            self._throw()
        elif word == "return":
            self._expect("return")
            self._expect("state")
        else:
            self._assign()
        self._skip(";")

    def _if(self) -> None:
        self._expect("if")
        self._expect("(")
        holds = _truthy(self.expression())
        self._expect(")")
        outer, self._live = self._live, self._live and holds
        self._statement()
        self._live = outer

    def _console(self) -> None:
        self._expect("console")
        self._expect(".")
        level = _LEVELS.get(self._next())
        if level is None:
            raise CompileError("console has log, info, warn, error and debug here")
        values = self._arguments()
        if self._live:
            self._log(level, values)

    def _throw(self) -> None:
        for sign in ("throw", "new", "Error"):
            self._expect(sign)
        values = self._arguments()
        if self._live:
            raise JobError(" ".join(_shown(value) for value in values))

    def _arguments(self) -> list[Any]:
        self._expect("(")
        values: list[Any] = []
        while self._peek() != ")":
            values.append(self.expression())
            if self._peek() != ")":
                self._expect(",")
        self._expect(")")
        return values

    def _assign(self) -> None:
        path = self._path()
        self._expect("=")
        value = self.expression()
        if not self._live:
            return
        holder = self._state
        for name in path[:-1]:
            inner: Any = holder.setdefault(name, {})
            if not isinstance(inner, dict):
                raise JobError(f"cannot set state.{'.'.join(path)}: {name} is no object")
            holder = cast("State", inner)
        if not path:
            raise CompileError("state itself cannot be replaced here")
        holder[path[-1]] = value

    def _path(self) -> list[str]:
        self._expect("state")
        names: list[str] = []
        while self._peek() == ".":
            self._expect(".")
            names.append(self._next())
        return names

    def expression(self, level: int = 0) -> Any:
        if level == len(_BINARY):
            return self._unary()
        value = self.expression(level + 1)
        while (sign := self._peek()) in _BINARY[level]:
            self._next()
            right = self.expression(level + 1)
            value = _BINARY[level][sign](value, right) if self._live else None
        return value

    def _unary(self) -> Any:
        word = self._peek()
        if word == "!":
            self._expect("!")
            return not _truthy(self._unary())
        if word == "(":
            self._expect("(")
            value = self.expression()
            self._expect(")")
            return value
        if word == "state":
            return self._read(self._path())
        return _literal(self._next())

    def _read(self, path: list[str]) -> Any:
        value: Any = self._state
        for name in path:
            value = cast("State", value).get(name) if isinstance(value, dict) else None
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _skip(self, sign: str) -> None:
        while self._peek() == sign:
            self._at += 1

    def _expect(self, sign: str) -> None:
        token = self._next()
        if token != sign:
            raise CompileError(f"expected {sign!r}, found {token or 'the end'!r}")


def _tokens(source: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise CompileError(f"cannot read {source[at : at + 20]!r}")
        if match.lastgroup != "space":
            tokens.append(match.group())
        at = match.end()
    return tokens


def _literal(token: str) -> Any:
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    if token[:1].isdigit():
        return float(token) if "." in token else int(token)
    if token[:1] in {"'", '"'}:
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    raise CompileError(f"did not expect {token or 'the end'!r}")


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) or isinstance(right, str):
        return _shown(left) + _shown(right)
    return _number(left) + _number(right)


def _number(value: Any) -> float:
    if isinstance(value, int | float):
        return value
    raise JobError(f"cannot compute with {_shown(value)}")


def _divide(left: Any, right: Any) -> float:
    try:
        return _number(left) / _number(right)
    except (ZeroDivisionError, OverflowError) as error:
        raise JobError(f"cannot compute: {error}") from None


def _truthy(value: Any) -> bool:
    return isinstance(value, dict | list) or bool(value)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_BINARY: Final[list[dict[str, Callable[[Any, Any], Any]]]] = [
    {"||": lambda left, right: left if _truthy(left) else right},
    {"&&": lambda left, right: right if _truthy(left) else left},
    {
        "===": lambda left, right: left == right,
        "!==": lambda left, right: left != right,
        "==": lambda left, right: left == right,
        "!=": lambda left, right: left != right,
    },
    {
        "<=": lambda left, right: _number(left) <= _number(right),
        ">=": lambda left, right: _number(left) >= _number(right),
        "<": lambda left, right: _number(left) < _number(right),
        ">": lambda left, right: _number(left) > _number(right),
    },
    {"+": _add, "-": lambda left, right: _number(left) - _number(right)},
    {"*": lambda left, right: _number(left) * _number(right), "/": _divide},
]
"""Operators by precedence, the weakest first."""
