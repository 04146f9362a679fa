"""A process of the domain for tests: works until its input closes, or kills itself at a step.

Arguments: URL, seconds of the stale window, step, job type, and the how-manieth time.
"""

import asyncio
import logging
import os
import signal
import sys
from datetime import timedelta

import structlog
from emissions_lab import settings

from handlers.emissions.service import register
from pipelines import Engine, Job, Registry


async def main(url: str, window: float, step: str, job_type: str) -> None:
    """Serve until standard input closes."""

    async def killing(name: str, job: Job) -> None:
        if (name, job.job_type) == (step, job_type):
            os.kill(os.getpid(), signal.SIGKILL)

    engine = Engine(
        url,
        register(Registry()),
        settings(pod="child", stale_window=timedelta(seconds=window)),
        step=killing,
    )
    await engine.start()
    await engine.started()
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    await engine.stop()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    address, seconds, at, of = sys.argv[1:]
    asyncio.run(main(address, float(seconds), at, of))
