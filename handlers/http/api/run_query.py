"""The filter of a list of runs, from the query of a request or from its body."""

from datetime import datetime
from uuid import UUID

import msgspec

from handlers.http.api.access import comma_list, scope
from handlers.http.errors import field_problem
from handlers.run_tokens import User
from schema.lifecycle import RUN_STATES
from schema.reading.run_list import RunFilter

LONGEST_TEXT = 200


class RunQuery(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={
        "since": "from",
        "until": "to",
        "text": "q",
    },
):
    """Which runs are asked for.

    Attributes:
        project: Of this project only.
        workflow: Of this workflow only.
        state: In this state; several with commas between.
        worker: Claimed by the worker of this name.
        since: Created at this time or later.
        until: Created before this time.
        text: With this text in the error or in a log line, in any case of letters.
    """

    project: UUID | None = None
    workflow: UUID | None = None
    state: str | None = None
    worker: str | None = None
    since: str | None = None
    until: str | None = None
    text: str | None = None

    def filter(self, user: User) -> RunFilter:
        """Return the filter, within what the user may see.

        Raises:
            ProblemError: 404 for another project, 422 for what makes no sense.
        """
        if self.text is not None and len(self.text) > LONGEST_TEXT:
            raise field_problem("q", f"has more than {LONGEST_TEXT} characters", "too_long")
        return RunFilter(
            projects=scope(user, self.project),
            workflow=self.workflow,
            states=comma_list("state", self.state, RUN_STATES),
            worker=self.worker,
            since=moment("from", self.since),
            until=moment("to", self.until),
            text=self.text or None,
        )


def moment(name: str, text: str | None) -> datetime | None:
    """Return a time of the query.

    Raises:
        ProblemError: It is none, or does not say its time zone: 422.
    """
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        found = datetime.fromisoformat(text.strip().replace(" 0", "+0").replace(" 1", "+1"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise field_problem(name, "must be a time with its zone, as 2026-01-31T12:00:00Z")
    return found
