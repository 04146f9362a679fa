"""Chaos for as long as it is told: ``python -m tests.chaos --seconds 3600 --seed 1``.

Plays one plan after the other, each with the next seed, and stops at the first that fails; the
printed command plays that one again.
"""

import argparse
import asyncio
import json
import shutil
import sys
import time
from pathlib import Path

from channel_server.log import configure
from tests.chaos.plan import make
from tests.chaos.run import Chaos

FOLDER = Path(".channel_server") / "chaos"


def main(seed: int, seconds: float, each: float, pause: float) -> int:
    """Play plans until the time is over; the exit code."""
    until = time.monotonic() + seconds
    while True:
        folder = FOLDER / str(seed)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        verdict = asyncio.run(Chaos(make(seed, each, pause=pause), folder.absolute()).play())
        sys.stdout.write(json.dumps(verdict.summary) + "\n")
        sys.stdout.flush()
        if verdict.violations:
            sys.stdout.write("\n".join(verdict.violations[:50]) + "\n")
            again = f"--seed {seed} --each {each:g} --pause {pause:g} --seconds 1"
            sys.stdout.write(f"again: python -m tests.chaos {again}; logs in {folder}\n")
            return 1
        shutil.rmtree(folder)
        seed += 1
        if time.monotonic() > until:
            return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chaos.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of all plans together")
    parser.add_argument("--each", type=float, default=30.0, help="seconds of load of one plan")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two troubles")
    options = parser.parse_args()
    configure("json", level="error")
    sys.exit(main(options.seed, options.seconds, options.each, options.pause))
