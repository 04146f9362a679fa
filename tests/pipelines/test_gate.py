"""W20: what guards the job engine runs at each change, and none of it can hang."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_w20_every_test_is_ended_when_it_hangs(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 300


def test_w20_the_gate_leaves_out_only_what_is_thorough_and_the_check_nothing() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["testpaths"] == ["tests"]
    assert not {"-m", "-k", "--ignore", "--deselect"} & set(options["addopts"])
    gate = (ROOT / ".ci" / "run").read_text()
    assert gate.count("-m '") == 1
    assert "coverage PYTEST_ARGS=\"-m 'not thorough'\"" in gate
    makefile = (ROOT / "Makefile").read_text()
    assert "-m '" not in makefile
    assert "--fail-under=95" in makefile
    assert "\ncheck: lint types contracts coverage " in makefile
