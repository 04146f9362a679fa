"""The parts of the page that need no browser: ``dashboard/tests``, in one process of node."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_unit_tests_of_the_page_pass() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    files = sorted((ROOT / "dashboard" / "tests").glob("*.test.mjs"))
    # `node --test` would start a process for each file.
    every = "".join(f"import {json.dumps(path.as_uri())};" for path in files)
    ended = subprocess.run(
        [node, "--test-reporter=tap", "--input-type=module", "--eval", every],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    passed = re.search(r"^# pass (\d+)$", ended.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= len(files)
