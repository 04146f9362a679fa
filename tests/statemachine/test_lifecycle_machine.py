"""Hundreds of sequences of whatever may happen to runs, against a model; `make soak` plays on."""

import os
from collections.abc import Iterator
from typing import get_args

import pytest

from schema.scratch import Scratch
from tests.statemachine.lifecycle_machine import LifecycleMachine
from tests.statemachine.model import Policy
from tests.statemachine.play import FEW_STEPS, play
from tests.statemachine.stage import Stage

SEQUENCES = int(os.environ.get("LIFECYCLE_SEQUENCES", "100"))
"""Sequences for each policy; the nightly size is 3400."""

STEPS = int(os.environ.get("LIFECYCLE_STEPS", str(FEW_STEPS)))
"""Most steps of each; the nightly length is 70."""

LEAST_STEPS = 0.6 * STEPS
"""What a sequence has on the average, shorter ones and those that hypothesis cuts included."""


@pytest.fixture(scope="module")
def stage(postgres_server: Scratch) -> Iterator[Stage]:
    url = postgres_server.create()
    made = Stage(url).open()
    try:
        yield made
    finally:
        made.close()
        postgres_server.give_back(url)


@pytest.mark.long
@pytest.mark.timeout(60 + 3 * SEQUENCES)
@pytest.mark.parametrize("policy", get_args(Policy))
def test_runs_are_as_the_model_says_whatever_happens_in_whatever_order(
    stage: Stage, policy: Policy
) -> None:
    before = LifecycleMachine.checked
    play(stage, policy, SEQUENCES, STEPS)
    assert LifecycleMachine.checked - before >= SEQUENCES * LEAST_STEPS
