"""W20: what guards the job engine runs at each change, and none of it can hang."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_w20_every_test_is_ended_when_it_hangs(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 300


def test_w20_the_gate_runs_every_test_against_postgresql() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["testpaths"] == ["tests"]
    assert not {"-m", "-k", "--ignore", "--deselect"} & set(options["addopts"])
    assert "coverage" in (ROOT / ".ci" / "run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "coverage: " in makefile
    assert "$(MAKE) --no-print-directory test " in makefile
