"""Plays sequences of the lifecycle machine; as a program, for as long as it is told to.

``python -m tests.statemachine.play --seconds 3600``: each round has a fresh database and plays all
three policies. What fails is printed as the steps that led to it, kept in ``.hypothesis`` and
played first the next time.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Final, get_args

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import migrations
from channel_server.log import configure
from schema.scratch import Scratch, shared_server
from schema.watchdog import Session
from tests.statemachine.lifecycle_machine import LifecycleMachine
from tests.statemachine.model import Policy
from tests.statemachine.stage import Stage

STEPS: Final = 70
"""Most steps of a sequence; some are shorter, the average is above 50."""

FEW_STEPS: Final = 30
"""Where there is little time: most sequences meet each trouble once and not again."""

ROUND: Final = 20

# A rule that needs a certain state is passed over until that state is there.
_SLOW: Final = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def play(stage: Stage, policy: Policy, sequences: int, steps: int = STEPS) -> None:
    """Play sequences.

    Args:
        stage: Where.
        policy: What becomes of late events.
        sequences: How many.
        steps: How long they are at most.

    Raises:
        AssertionError: The product and the model differ.
    """
    machine = type("LifecycleMachine", (LifecycleMachine,), {"stage": stage, "policy": policy})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=_SLOW,
        ),
    )


def soak(seconds: float) -> int:
    """Play rounds until the time is over; the number of sequences."""
    session = Session(Path(".channel_server") / "soak-postgres")
    server = Scratch(
        shared_server(session.directory),
        migrations.up,
        migrations.sql("base", migrations.revisions()[-1]),
    )
    until, played = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < until:
            url = server.create()
            stage = Stage(url).open()
            try:
                for policy in get_args(Policy):
                    play(stage, policy, ROUND)
                    played += ROUND
            finally:
                stage.close()
                server.drop(url)
            left = max(0.0, until - time.monotonic())
            checked = LifecycleMachine.checked
            print(f"{played} sequences, {checked} steps checked, {left:.0f} s left", flush=True)  # noqa: T201
    finally:
        session.close()
    return played


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Play the lifecycle machine.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    configure("json", level="error")
    sys.exit(0 if soak(parser.parse_args().seconds) else 1)
