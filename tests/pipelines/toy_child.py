"""A server process for tests: runs the toy domain until it is told to leave."""

import logging
import os
import signal
from datetime import timedelta

import structlog
from toy_pipelines import fast, toy_registry

from pipelines import Engine, Job
from tests.forked import Parent


async def serve(
    parent: Parent,
    url: str,
    window: float,
    concurrency: int = 4,
    kill_at: str = "",
    sent: signal.Signals = signal.SIGKILL,
) -> None:
    """Run until told to leave.

    Args:
        parent: Who tells.
        url: URL of the database.
        window: Seconds of the stale window.
        concurrency: Jobs at once.
        kill_at: The step at which it sends itself a signal, once.
        sent: The signal.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    steps = {kill_at}

    async def step(reached: str, _job: Job) -> None:
        if reached in steps:
            steps.clear()
            os.kill(os.getpid(), sent)

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
    parent.ready()
    await parent.leave()
    await engine.stop()
