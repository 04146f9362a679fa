"""A server process for tests: runs the toy domain until its standard input closes.

Arguments: URL, seconds of the stale window, jobs at once, and optionally the step at which it sends
itself a signal once, and its name (``SIGKILL``). It prints ``ready`` once it works.
"""

import asyncio
import logging
import os
import signal
import sys
from datetime import timedelta

import structlog
from toy_pipelines import fast, toy_registry

from pipelines import Engine, Job


async def main(
    url: str, window: float, concurrency: int, kill_at: str = "", name: str = "SIGKILL"
) -> None:
    """Run until told to stop."""
    steps = {kill_at}

    async def step(reached: str, _job: Job) -> None:
        if reached in steps:
            steps.clear()
            os.kill(os.getpid(), signal.Signals[name])

    settings = fast(
        pod=f"child-{os.getpid()}",
        stale_window=timedelta(seconds=window),
        poll_interval=timedelta(seconds=0.5),
        concurrency=concurrency,
        grace=timedelta(seconds=2),
    )
    engine = Engine(url, toy_registry(), settings, step=step)
    await engine.start()
    await engine.started()
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    await engine.stop()
    print("stopped", flush=True)  # noqa: T201


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    address, seconds, jobs, *rest = sys.argv[1:]
    asyncio.run(main(address, float(seconds), int(jobs), *rest))
