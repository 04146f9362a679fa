"""Plays schedules as fast as it can: ``python -m tests.simulation --count 100000 --seed 1``.

A schedule that fails is named by its seed; ``--seed N --count 1`` plays it again.
"""

import argparse
import sys
import time

from tests.simulation.schedule import Schedule


def main(first: int, count: int) -> int:
    """Play ``count`` schedules from the seed ``first`` on; the exit code."""
    begun, worked, resent = time.process_time(), 0, 0
    for seed in range(first, first + count):
        schedule = Schedule(seed)
        try:
            schedule.play()
        except BaseException:
            print(f"seed {seed} fails; again: python -m tests.simulation --seed {seed} --count 1")  # noqa: T201
            raise
        worked += schedule.worked
        resent += sum(worker.resent for worker in schedule.workers)
    took = time.process_time() - begun
    print(  # noqa: T201
        f"{count} schedules, {worked} pieces of work, {resent} events sent again,"
        f" {count / took:.0f} schedules per second"
    )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Play schedules of sessions and lifecycle.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    sys.exit(main(options.seed, options.count))
