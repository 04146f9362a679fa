"""Which function does which type of job, and what its pipelines look like.

One registry per application; handler modules register on import::

    registry = Registry()

    @registry.job_handler("csv_ingest")
    async def csv_ingest(job: Job, context: JobContext, transaction: Transaction) -> Outcome: ...
"""

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pipelines.context import JobContext
from pipelines.model import Job
from pipelines.outcome import Outcome
from pipelines.progress import Chain
from pipelines.transaction import Transaction

JobHandler = Callable[[Job, JobContext, Transaction], Awaitable[Outcome | Mapping[str, Any] | None]]
"""Does one job. Reads its input from ``job.config``, writes through the transaction only."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class HandlerError(Exception):
    """A function cannot be the handler of a job type.

    Attributes:
        job_type: The type it was registered for.
        reason: What is wrong with it.
    """

    def __init__(self, job_type: str, reason: str) -> None:
        super().__init__(job_type, reason)
        self.job_type = job_type
        self.reason = reason

    def __str__(self) -> str:
        return f"handler of job type {self.job_type!r}: {self.reason}"


class UnknownJobTypeError(Exception):
    """No handler is registered for a job type.

    Attributes:
        job_type: The type.
    """

    def __init__(self, job_type: str) -> None:
        super().__init__(job_type)
        self.job_type = job_type

    def __str__(self) -> str:
        return f"no handler registered for job type {self.job_type!r}"


class Registry:
    """Handlers by job type, and chains by root job type."""

    def __init__(self) -> None:
        self._handlers: dict[str, JobHandler] = {}
        self._chains: dict[str, Chain] = {}

    @property
    def job_types(self) -> frozenset[str]:
        """The registered job types."""
        return frozenset(self._handlers)

    def job_handler(self, job_type: str) -> Callable[[JobHandler], JobHandler]:
        """Return a decorator that registers the handler of ``job_type``.

        Raises:
            HandlerError: When decorating: the type is taken, or the function is not async, or it
                cannot take exactly three positional arguments.
        """

        def register(handler: JobHandler) -> JobHandler:
            reason = _unfit(handler)
            if job_type in self._handlers:
                reason = "is registered already"
            if not job_type:
                reason = "a job type needs a name"
            if reason is not None:
                raise HandlerError(job_type, reason)
            self._handlers[job_type] = handler
            return handler

        return register

    def get(self, job_type: str) -> JobHandler:
        """Return the handler of a job type.

        Raises:
            UnknownJobTypeError: There is none.
        """
        handler = self._handlers.get(job_type)
        if handler is None:
            raise UnknownJobTypeError(job_type)
        return handler

    def declare_chain(self, chain: Chain) -> None:
        """Say what pipelines of some root types look like; later declarations win."""
        for kind in chain.kinds:
            self._chains[kind] = chain

    def chain(self, kind: str) -> Chain:
        """Return the chain of pipelines with this root type: one phase unless declared."""
        return self._chains.get(kind) or Chain.single(kind)

    def load(self, packages: Iterable[str]) -> list[str]:
        """Import some packages with all their modules, so that no handler module is forgotten.

        Args:
            packages: Dotted names of packages or modules. Loading twice is fine.

        Returns:
            The dotted names of all modules that were imported.
        """
        names: list[str] = []
        for package in packages:
            module = importlib.import_module(package)
            names.append(package)
            for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}."):
                importlib.import_module(found.name)
                names.append(found.name)
        return names


def _unfit(handler: Callable[..., Any]) -> str | None:
    if not inspect.iscoroutinefunction(handler):
        return "is not an async function"
    try:
        inspect.signature(handler).bind(None, None, None)
    except TypeError:
        return "cannot be called with three positional arguments"
    parameters = inspect.signature(handler).parameters.values()
    if any(kind.kind is inspect.Parameter.VAR_POSITIONAL for kind in parameters):
        return "takes any number of positional arguments"
    if sum(parameter.kind in _POSITIONAL for parameter in parameters) != 3:
        return "does not take exactly three positional arguments"
    return None
