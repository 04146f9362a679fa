"""What people call things, and which they mean."""

from uuid import UUID

from handlers.cli.database import accept
from handlers.cli.errors import CommandError, usage
from schema import views
from schema.repo import Repo
from schema.views import WorkflowRow


def run_id(text: str) -> UUID:
    """Return the id of a run.

    Raises:
        CommandError: It is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise usage(
            f'"{text}" is no id of a run.', hint="`channel-server runs list` shows the ids"
        ) from None


async def find_project(repo: Repo, name: str) -> UUID:
    """Return the id of the project of that name or id.

    Raises:
        CommandError: There is none.
    """
    rows = accept(await views.workflows(repo, None, name), "The project was not found.")
    if rows:
        return rows[0].project_id
    known = accept(await views.workflows(repo), "The projects cannot be listed.")
    names = ", ".join(sorted({row.project for row in known})) or "none"
    raise CommandError(f'There is no project "{name}".', hint=f"there is: {names}")


async def find_workflow(repo: Repo, name: str, project: str | None) -> WorkflowRow:
    """Return the workflow of that key, name or id.

    Raises:
        CommandError: There is none, or more than one.
    """
    rows = accept(await views.workflows(repo, name, project), "The workflow was not found.")
    if len(rows) == 1:
        return rows[0]
    if rows:
        where = ", ".join(row.project for row in rows)
        raise usage(
            f'"{name}" is the name of several workflows.', hint=f"say --project, one of: {where}"
        )
    known = accept(await views.workflows(repo), "The workflows cannot be listed.")
    keys = ", ".join(row.key for row in known) or "none; `channel-server provision` makes some"
    raise CommandError(f'There is no workflow "{name}".', hint=f"there is: {keys}")
