"""What a job handler is given beside its job and its transaction."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack

from pipelines.chain import ChildRequest, ChildValues, child_request
from pipelines.model import Job

P = ParamSpec("P")
T = TypeVar("T")


class JobAbortedError(Exception):
    """The job is not ours any more, or must stop; raised in threads by :meth:`check`."""

    def __str__(self) -> str:
        return "the job was aborted"


class JobContext:
    """Progress, follow-up work and threads for one run of one job.

    Attributes:
        job: The job, as it was after the claim.
        owner: Owner token of this run.
        services: What the application gave to its engine, by name.
    """

    def __init__(
        self,
        job: Job,
        owner: str,
        report: Callable[[str | None, Mapping[str, Any]], Awaitable[bool]],
        services: Mapping[str, Any],
    ) -> None:
        self.job = job
        self.owner = owner
        self.services = services
        self._report = report
        self._children: list[ChildRequest] = []
        self._aborted = threading.Event()

    async def progress(self, message: str | None = None, **meta: Any) -> bool:
        """Tell how far the job is, in a short transaction of its own.

        Args:
            message: Replaces the status message, if given.
            **meta: Merged over the metadata.

        Returns:
            False when the job is not ours any more. It is being aborted then; return at once.
        """
        return await self._report(message, meta)

    def chain(self, job_type: str, **values: Unpack[ChildValues]) -> None:
        """Ask for a child job. It is inserted with the finish of this one, or not at all.

        With the result ERROR, or when the handler raises, nothing is inserted. What became of each
        request is in the job's ``meta["chained"]`` afterwards.

        Args:
            job_type: Type of the child.
            **values: See :class:`~pipelines.chain.ChildValues`.

        Raises:
            ValueError: A null in the scope of ``dedup``, or another job type.
        """
        self._children.append(child_request(self.job, job_type, **values))

    @property
    def children(self) -> tuple[ChildRequest, ...]:
        """What was asked for so far."""
        return tuple(self._children)

    async def run_in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that computes for long off the event loop, so that heartbeats go on.

        Cancelling does not stop it; a long loop should call :meth:`check` now and then. It must not
        touch the transaction.
        """
        return await asyncio.to_thread(function, *args, **kwargs)

    def abort(self) -> None:
        """Make :meth:`check` raise; called by the runner."""
        self._aborted.set()

    def check(self) -> None:
        """Raise if the job is to stop. Cheap, and callable from any thread.

        Raises:
            JobAbortedError: It is.
        """
        if self._aborted.is_set():
            raise JobAbortedError
