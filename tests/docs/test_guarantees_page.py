"""The page of guarantees names tests that exist, and each row of it names one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_proof_that_the_page_names_exists(file: str, test: str) -> None:
    text = (ROOT / file).read_text()
    assert re.search(rf"def {test}\(" if test else r"def test_\w+\(", text), f"{file}::{test}"


def test_each_promise_names_its_proof() -> None:
    promises = PAGE.split("## Events of workers")[1].split("## Not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")]
    unproved = [
        row for row in rows if "`tests/" not in row and not row.startswith(("| prom", "| ---"))
    ]
    assert len(rows) > 25
    assert unproved == []
