"""What a step did, as a result and a message that say the same. Pure."""

from typing import Any

import msgspec

from handlers.emissions.sheets import LONGEST_REASON, RowErrors
from pipelines import JobResult, Outcome


class Written(msgspec.Struct, kw_only=True):
    """What became of the rows of an input.

    Attributes:
        inserted: Rows that were written.
        errors: Rows that were skipped, and why.
        noun: What was written.
        details: More, for the metadata of the job.
    """

    inserted: int
    errors: RowErrors
    noun: str
    details: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def result(self) -> JobResult:
        """ERROR when nothing was written, WARNING when something was skipped."""
        if not self.inserted:
            return JobResult.ERROR
        return JobResult.WARNING if self.errors.count else JobResult.SUCCESS

    def outcome(self) -> Outcome:
        """Return how the job ended."""
        message = f"{self.inserted} {self.noun}"
        if self.result is not JobResult.SUCCESS:
            first = (self.errors.first or "the file has no rows")[:LONGEST_REASON]
            message = (
                f"{self.result}: {self.inserted} inserted, {self.errors.count} skipped,"
                f" first error: {first}"
            )
        stats = {
            "inserted": self.inserted,
            "skipped": self.errors.count,
            "row_errors": self.errors.listed,
        }
        return Outcome(self.result, message, {"stats": stats, **self.details})


class Recalculated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the emissions of some entries.

    Attributes:
        entries: Entries that were looked at.
        emissions: Emissions that were written.
        unmatched: Entries that have neither a factor nor an override: they emit nothing.
        errors: Entries with an unusable override, which was ignored.
        labels: The first labels without a factor, with the number of their entries.
        affected_module_ids: Modules of reports with such entries, ascending.
    """

    entries: int
    emissions: int
    unmatched: int
    errors: int
    labels: list[dict[str, Any]]
    affected_module_ids: list[int]

    @property
    def result(self) -> JobResult:
        """WARNING when an entry has no factor or an unusable override."""
        return JobResult.WARNING if self.unmatched or self.errors else JobResult.SUCCESS

    @property
    def message(self) -> str:
        """What happened, for people."""
        message = f"{self.emissions} emissions of {self.entries} entries"
        if self.result is JobResult.SUCCESS:
            return message
        problems: list[str] = []
        if self.unmatched:
            kind = f", first: {self.labels[0]['kind']!r}" if self.labels else ""
            problems.append(f"{self.unmatched} without a factor{kind[:LONGEST_REASON]}")
        if self.errors:
            problems.append(f"{self.errors} with an unusable override")
        return f"{self.result}: {message}, {', '.join(problems)}"

    def meta(self) -> dict[str, Any]:
        """Return the counts for the metadata of a job."""
        return {
            "recalculated": self.emissions,
            "entries": self.entries,
            "unmatched": self.unmatched,
            "errors": self.errors,
            "error_details": self.labels,
            "affected_module_ids": self.affected_module_ids,
            "modules_refreshed": 0,
        }
