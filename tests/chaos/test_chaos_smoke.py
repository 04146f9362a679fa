"""One chaos run of each build: every kind of trouble once; `make chaos` plays on."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.chaos.plan import KINDS, make
from tests.chaos.run import Chaos

SEED = int(os.environ.get("CHAOS_SEED", "7"))
SECONDS = 24.0


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_or_doubled_whatever_goes_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In the project: sockets of PostgreSQL need a short path, and its account must reach them.
    folder = Path(".channel_server") / f"chaos-{os.getpid()}"
    folder.mkdir(parents=True)
    chaos = Chaos(make(SEED, SECONDS), folder.absolute())
    verdict = await chaos.play()
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(verdict.summary)}\n")
    assert verdict.violations == [], f"again: make chaos SEED={SEED}; logs in {folder}"
    happened = set(chaos.nemesis.done) | chaos.nemesis.left_out
    assert happened == set(KINDS), "each kind of trouble happened"
    assert verdict.summary["ok"] > 10
    shutil.rmtree(folder)


def test_a_seed_means_the_same_plan_each_time() -> None:
    assert make(3, 60.0) == make(3, 60.0) != make(4, 60.0)
    first, again = make(3, 60.0).random("worker"), make(3, 60.0).random("worker")
    assert [first.random() for _ in range(9)] == [again.random() for _ in range(9)]


@pytest.mark.parametrize("seed", range(20))
def test_each_kind_of_trouble_comes_once_before_any_comes_again(seed: int) -> None:
    kinds = [trouble.kind for trouble in make(seed, SECONDS + 10).troubles]
    assert set(kinds[: len(KINDS)]) == set(KINDS)
    assert all(trouble.at + trouble.seconds <= SECONDS + 10 for trouble in make(seed, 30).troubles)
