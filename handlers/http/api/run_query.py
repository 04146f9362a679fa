"""The filter of a list of runs, from the query of a request or from its body."""

from uuid import UUID

import msgspec

from handlers.http.api.access import comma_list, moment, scope
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
