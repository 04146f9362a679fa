"""The job language of the example worker: what it understands, and that it can do no harm."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from handlers.spec import read_spec

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


language = load("job_language")


class Lines(list[tuple[str, list[Any]]]):
    def add(self, level: str, values: list[Any]) -> None:
        self.append((level, values))


def run(body: str, data: Any = None) -> tuple[dict[str, Any], Lines]:
    lines = Lines()
    state: dict[str, Any] = {"data": {} if data is None else data}
    language.run_job(body, state, lines.add)
    return state, lines


def job(*statements: str) -> str:
    return "fn(state => {" + "\n".join(statements) + "});"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("1 / 4", 0.25),
        ("'a' + 1 + true", "a1true"),
        (r"'it\'s'", "it's"),
        ("state.data.n", 5),
        ("state.data.no.such.thing", None),
        ("null || 'x'", "x"),
        ("0 && 1", 0),
        ("state.data.n > 4 && state.data.n <= 5", True),
        ("state.data.n < 5 || state.data.n >= 6", False),
        ("!state.data.n", False),
        ("state.data.n === 5", True),
        ("state.data.n != 5", False),
    ],
)
def test_expressions_have_the_value_they_have_in_javascript(expression: str, value: Any) -> None:
    state, _ = run(job(f"state.data.out = {expression};", "return state;"), {"n": 5})
    assert state["data"]["out"] == value


def test_a_branch_that_is_not_taken_has_no_effect() -> None:
    state, lines = run(
        job(
            "if (false) state.data.a = 1;",
            "if (false) console.log('no');",
            "if (false) throw new Error('no');",
            "if (true) if (false) state.data.b = 1;",
            "if (!state.data.x) console.warn('yes', 1 + 1);",
        )
    )
    assert state == {"data": {}}
    assert lines == [("warn", ["yes", 2])]


def test_an_error_that_is_thrown_is_the_jobs() -> None:
    with pytest.raises(language.JobError, match=r"^order 7 is bad$"):
        run(job("throw new Error('order ' + 7 + ' is bad');"))


@pytest.mark.parametrize("expression", ["1 / 0", "'a' * 9", "null < 1", "state.data - 1"])
def test_what_cannot_be_computed_is_an_error_of_the_job(expression: str) -> None:
    with pytest.raises(language.JobError):
        run(job(f"state.data.x = {expression};"))


def test_a_path_through_a_value_cannot_be_set() -> None:
    with pytest.raises(language.JobError, match=r"cannot set state\.data\.n\.m"):
        run(job("state.data.n.m = 1;"), {"n": 1})


@pytest.mark.parametrize(
    "body",
    [
        "process.exit(1)",
        "fn(state => { while (true) {} });",
        "fn(state => { state = 1; });",
        "fn(state => { state.x = require('fs'); });",
        "fn(state => { console.table(1); });",
        "fn(state => { return other; });",
        "fn(state => { return state; ",
        "fn(state => { state.x = `a`; });",
        "fn(state => { state.x = " + "(" * 50_000 + "1; });",
    ],
)
def test_anything_else_is_refused_and_not_run(body: str) -> None:
    with pytest.raises(language.CompileError):
        run(body)


def test_edge_conditions_are_expressions_of_the_same_language() -> None:
    assert language.is_true("state.data.n > 1", {"data": {"n": 2}})
    assert not language.is_true("state.errors.a", {})
    with pytest.raises(language.CompileError):
        language.is_true("state.data.n > 1 )", {"data": {"n": 2}})


def test_the_jobs_of_the_demo_are_understood() -> None:
    (workflow,) = read_spec(EXAMPLES / "demo-project.yaml").workflows
    bodies = {each.key: each.body for each in workflow.jobs}
    state: dict[str, Any] = {"data": {"id": 7, "quantity": 2}, "configuration": {"token": "t"}}
    lines = Lines()
    for key in ("check", "price", "deliver"):
        language.run_job(bodies[key], state, lines.add)
    assert state["data"] == {"id": 7, "quantity": 2, "total": 25.0, "delivered": True}
    assert ("info", ["order", 7, "costs", 25.0]) in lines
    with pytest.raises(language.JobError, match="order 8 has no quantity"):
        language.run_job(bodies["price"], {"data": {"id": 8}}, lines.add)
    with pytest.raises(language.JobError, match="order 8 needs a person"):
        language.run_job(bodies["report"], {"data": {"id": 8}}, lines.add)
