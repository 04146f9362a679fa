"""Topic `project:<id>` on the user socket: `run:created` and `run:updated` of all its runs.

Each is pushed after its commit, once, in the order of each run, and carries a `cursor`: where the
dashboard is after it. What if it is lost? A dashboard that comes back joins with its last cursor,
as `since`, and gets what it missed; if that is pruned or too much, the reply says
`complete: false` and has the newest runs.
"""

from typing import Any, Final

from channel_server.channel import Reply
from handlers import wire_errors
from handlers.following import FollowingChannel
from handlers.gateway import Gateway
from handlers.params import fields_of
from handlers.run_tokens import User, as_uuid
from schema.refused import Refused

PREFIX: Final = "project:"


class ProjectViewerChannel(FollowingChannel):
    """The runs of one project as a dashboard sees them."""

    async def join(self, payload: Any) -> Reply:
        """Let in users of the project; `since` is the last cursor that they have."""
        user: User = self.assigns["user"]
        gateway: Gateway = self.assigns["gateway"]
        name = self.topic.removeprefix(PREFIX)
        project_id = as_uuid(name)
        if project_id is None or str(project_id) != name or project_id not in user.projects:
            return wire_errors.UNAUTHORIZED
        reader = await gateway.feeds.projects.read_from(project_id)
        if isinstance(reader, Refused):
            return wire_errors.refusal(reader)
        self._reader = reader
        started = await reader.start(fields_of(payload).get("since"))
        if isinstance(started, Refused):
            wrong = started.kind == "invalid"
            wrapped = wire_errors.wrap(started.errors)
            return self.refuse(wrapped if wrong else wire_errors.refusal(started))
        return Reply("ok", started.reply("cursor"))

    def handle_in(self, event: Any, payload: Any) -> Reply:
        """Refuse what we do not know; the channel lives on."""
        return wire_errors.UNKNOWN_EVENT
