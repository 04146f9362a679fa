"""Topic `run:<id>` on the user socket: dashboards watch one run.

What changes is pushed after its commit, once: `run:updated`, `step:started`, `step:completed`,
`logs`, `dataclip:updated`. What if it is lost? A dashboard that comes back fetches the run anew;
every event carries the run's `version`.
"""

from typing import Any, Final

import msgspec

from channel_server.channel import Channel, Reply, on
from handlers import wire_errors
from handlers.gateway import Gateway
from handlers.run_tokens import User, as_uuid
from schema import views
from schema.refused import Refused

PREFIX: Final = "run:"


class RunViewerChannel(Channel):
    """One run as a dashboard sees it."""

    @property
    def _gateway(self) -> Gateway:
        return self.assigns["gateway"]

    async def join(self, payload: Any) -> Reply | None:
        """Let in users of the run's project."""
        name = self.topic.removeprefix(PREFIX)
        run_id = as_uuid(name)
        user: User = self.assigns["user"]
        # Broadcasts go to the canonical form of the id.
        if run_id is None or str(run_id) != name:
            return wire_errors.NOT_FOUND
        project_id = await views.project_of(self._gateway.repo, run_id)
        if isinstance(project_id, Refused):
            return wire_errors.refusal(project_id)
        if project_id is None:
            return wire_errors.NOT_FOUND
        if project_id not in user.projects:
            return wire_errors.UNAUTHORIZED
        self.assigns["run_id"] = run_id
        return None

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
