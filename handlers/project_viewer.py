"""Topic `project:<id>` on the user socket: `run:created` and `run:updated` of all its runs."""

from typing import Any, Final

from channel_server.channel import Channel, Reply
from handlers import wire_errors
from handlers.run_tokens import User, as_uuid

PREFIX: Final = "project:"


class ProjectViewerChannel(Channel):
    """The runs of one project as a dashboard sees them."""

    def join(self, payload: Any) -> Reply | None:
        """Let in users of the project; the token says which projects, so nobody is asked."""
        user: User = self.assigns["user"]
        name = self.topic.removeprefix(PREFIX)
        project_id = as_uuid(name)
        if project_id is None or str(project_id) != name or project_id not in user.projects:
            return wire_errors.UNAUTHORIZED
        return None

    def handle_in(self, event: Any, payload: Any) -> Reply:
        """Refuse what we do not know; the channel lives on."""
        return wire_errors.UNKNOWN_EVENT
