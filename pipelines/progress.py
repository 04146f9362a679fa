"""How far a pipeline is: a pure function of its jobs and joins, never of a counter.

A pipeline is done when none of its jobs is active, no job that it joined is, and all follow-up work
that its jobs owe exists. What a job owes is what it recorded when it ended (``chained_count``), and
what its chain says must follow it. So a pipeline whose last stage was never chained is not done: it
is incomplete, and the reconciler repairs it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from pipelines.dedup import DedupConfig
from pipelines.enums import ACTIVE_STATES, JobState, PipelineStatus
from pipelines.model import Job, Join


class Phase(msgspec.Struct, frozen=True):
    """One stage of a chain.

    Attributes:
        label: For people, for example ``emissions``.
        job_types: The types that belong to it.
    """

    label: str
    job_types: frozenset[str]


class Follow(msgspec.Struct, frozen=True):
    """After each job of one type that ended without an error, one of another type must run.

    It applies to jobs whose scope for ``dedup`` has no null in it.

    Attributes:
        job_type: The type that is followed.
        dedup: Type and scope of what follows.
        waits_for_siblings: Whether what follows waits for the siblings of what it follows.
    """

    job_type: str
    dedup: DedupConfig
    waits_for_siblings: bool = True


class Chain(msgspec.Struct, frozen=True):
    """What the pipelines of some root types look like.

    Attributes:
        kinds: Root job types.
        phases: In order.
        follows: What must follow what.
    """

    kinds: frozenset[str]
    phases: tuple[Phase, ...]
    follows: tuple[Follow, ...] = ()

    @classmethod
    def single(cls, kind: str) -> "Chain":
        """Return the chain of one phase."""
        return cls(frozenset({kind}), (Phase(kind, frozenset({kind})),))

    def phase_of(self, job_type: str) -> int:
        """Return the number of a type's phase, from 1; the last one for unknown types."""
        for number, phase in enumerate(self.phases, start=1):
            if job_type in phase.job_types:
                return number
        return len(self.phases)


class Owed(msgspec.Struct, frozen=True):
    """Follow-up work that is missing.

    Attributes:
        job: The job that it should have followed.
        follow: The rule; None when the job recorded more follow-ups than there are.
    """

    job: Job
    follow: Follow | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a pipeline stands.

    Attributes:
        kind: Root job type.
        status: As the stored status should be.
        done: Nothing more will happen.
        has_error: Some job of it, or one that it joined, ended with an error.
        phase: Number of the phase under way, from 1; the last one when done.
        phases_total: Number of phases.
        phase_label: Name of that phase.
        job_count: Jobs of its own.
        error_count: Those of them, and of the joined ones, that ended with an error.
        last_error: Message of the latest failed job; a job that says "Success" is passed over.
        owed: Follow-up work that is missing.
    """

    kind: str
    status: PipelineStatus
    done: bool
    has_error: bool
    phase: int
    phases_total: int
    phase_label: str
    job_count: int
    error_count: int
    last_error: str | None
    owed: tuple[Owed, ...] = ()


def compute_progress(chain: Chain, jobs: Sequence[Job], joins: Sequence[Join]) -> Progress:
    """Return how far a pipeline is.

    Args:
        chain: What such a pipeline looks like.
        jobs: All jobs of the pipeline; the one with the lowest id is its root.
        joins: What those jobs asked for and jobs of other requesters do.

    Raises:
        ValueError: There is no job.
    """
    if not jobs:
        raise ValueError("a pipeline has at least one job")
    jobs = sorted(jobs, key=lambda job: job.id)
    owed = _owed(chain, jobs, joins)
    open_types = [job.job_type for job in jobs if job.active]
    open_types += [join.job_type for join in joins if _waits(join)]
    open_phases = [chain.phase_of(job_type) for job_type in open_types]
    open_phases += [
        chain.phase_of(debt.job.job_type)
        if debt.follow is None
        else chain.phase_of(debt.follow.dedup.job_type)
        for debt in owed
    ]
    failed = [job for job in jobs if job.failed]
    errors = len(failed) + len({join.job_id for join in joins if join.result == "ERROR"})
    done = not open_phases
    phase = len(chain.phases) if done else min(open_phases)
    return Progress(
        kind=jobs[0].job_type,
        status=_status(jobs, done=done, errors=errors),
        done=done,
        has_error=errors > 0,
        phase=phase,
        phases_total=len(chain.phases),
        phase_label=chain.phases[phase - 1].label,
        job_count=len(jobs),
        error_count=errors,
        last_error=_last_error(failed),
        owed=owed,
    )


def progress_to_wire(progress: Progress) -> dict[str, Any]:
    """Return progress as it is shown to anybody."""
    names = [name for name in Progress.__struct_fields__ if name != "owed"]
    wire = {name: msgspec.to_builtins(getattr(progress, name)) for name in names}
    wire["incomplete"] = bool(progress.owed)
    return wire


def _waits(join: Join) -> bool:
    return join.waits_for_rerun or join.state in ACTIVE_STATES


def _owed(chain: Chain, jobs: Sequence[Job], joins: Sequence[Join]) -> tuple[Owed, ...]:
    followers: dict[int, list[str]] = {}
    for job in jobs:
        if job.parent_id is not None:
            followers.setdefault(job.parent_id, []).append(job.job_type)
    for join in joins:
        followers.setdefault(join.requester_id, []).append(join.job_type)
    owed: list[Owed] = []
    for job in jobs:
        if job.state is not JobState.FINISHED or job.failed:
            continue
        found = followers.get(job.id, [])
        for follow in chain.follows:
            if follow.job_type == job.job_type and follow.dedup.job_type not in found:
                owed.extend([Owed(job, follow)] if _applies(follow, job) else [])
        if len(found) < job.chained_count:
            owed.append(Owed(job, None))
    return tuple(owed)


def _applies(follow: Follow, job: Job) -> bool:
    return all(getattr(job, name) is not None for name in follow.dedup.scope_columns)


def _status(jobs: Sequence[Job], *, done: bool, errors: int) -> PipelineStatus:
    if not done:
        started = any(job.started_at is not None or not job.active for job in jobs)
        return PipelineStatus.RUNNING if started else PipelineStatus.NOT_STARTED
    if not errors:
        return PipelineStatus.SUCCESS
    return PipelineStatus.FAILED if jobs[0].failed else PipelineStatus.PARTIAL


def _last_error(failed: Sequence[Job]) -> str | None:
    telling = [job for job in failed if (job.status_message or "").casefold() != "success"]
    return telling[-1].status_message if telling else None
