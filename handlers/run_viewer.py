"""Topic `run:<id>` on the user socket: dashboards watch one run.

What changes is pushed after its commit, once, in order: `run:updated`, `step:started`,
`step:completed`, `logs`, `dataclip:updated`. Every event carries the run's `version`. What if it is
lost? A dashboard that comes back joins with the last version that it has, as `since`, and gets what
it missed; if that is pruned or too much, the reply says `complete: false` and has a snapshot.
"""

from typing import Any, Final

import msgspec

from channel_server.channel import Reply, on
from handlers import wire_errors
from handlers.following import FollowingChannel
from handlers.gateway import Gateway
from handlers.params import fields_of
from handlers.run_tokens import User, as_uuid
from schema import views
from schema.casts import INVALID
from schema.refused import Refused

PREFIX: Final = "run:"

BAD_SINCE: Final = wire_errors.wrap({"since": [INVALID]})

_LARGEST: Final = 2**63 - 1


def parse_version(value: Any) -> int | None:
    """Return the version that a dashboard has, None if it has none.

    Raises:
        ValueError: It is no version.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ValueError("a version is a whole number that is not negative")
    return value


class RunViewerChannel(FollowingChannel):
    """One run as a dashboard sees it."""

    @property
    def _gateway(self) -> Gateway:
        return self.assigns["gateway"]

    async def join(self, payload: Any) -> Reply:
        """Let in users of the run's project; `since` is the last version that they have."""
        name = self.topic.removeprefix(PREFIX)
        run_id = as_uuid(name)
        user: User = self.assigns["user"]
        # Broadcasts go to the canonical form of the id.
        if run_id is None or str(run_id) != name:
            return wire_errors.NOT_FOUND
        try:
            since = parse_version(fields_of(payload).get("since"))
        except ValueError:
            return BAD_SINCE
        found = await self._gateway.feeds.runs.read_from(run_id)
        if isinstance(found, Refused):
            missing = found.kind == "not_found"
            return wire_errors.NOT_FOUND if missing else wire_errors.refusal(found)
        self._reader, head = found
        if head.project_id not in user.projects:
            return self.refuse(wire_errors.UNAUTHORIZED)
        started = await self._reader.start(since, head)
        if isinstance(started, Refused):
            return self.refuse(wire_errors.refusal(started))
        self.assigns["run_id"] = run_id
        return Reply("ok", started.reply("version"))

    @on("fetch:run")
    async def fetch_run(self, payload: Any) -> Reply:
        """The run with its steps, work order and starting trigger."""
        view = await views.run(self._gateway.repo, self.assigns["run_id"])
        if isinstance(view, Refused):
            return wire_errors.refusal(view)
        return wire_errors.NOT_FOUND if view is None else _json(view.payload_json)

    @on("fetch:logs")
    async def fetch_logs(self, payload: Any) -> Reply:
        """All log lines of the run, in time order."""
        logs = await views.logs(self._gateway.repo, self.assigns["run_id"])
        return wire_errors.refusal(logs) if isinstance(logs, Refused) else _json(logs)

    def handle_in(self, event: Any, payload: Any) -> Reply:
        """Refuse what we do not know; the channel lives on."""
        return wire_errors.UNKNOWN_EVENT


def _json(text: str) -> Reply:
    return Reply("ok", msgspec.Raw(text.encode()))
