"""A process of the domain for tests: works until it is told to leave, or kills itself at a step."""

import logging
import os
import signal
from datetime import timedelta

import structlog
from emissions_lab import settings

from handlers.emissions.service import register
from pipelines import Engine, Job, Registry
from tests.forked import Parent


async def serve(parent: Parent, url: str, window: float, step: str, job_type: str) -> None:
    """Run until told to leave.

    Args:
        parent: Who tells.
        url: URL of the database.
        window: Seconds of the stale window.
        step: Where it kills itself.
        job_type: In which job.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

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
    parent.ready()
    await parent.leave()
    await engine.stop()
