"""Commands and their database: opened, or a sentence that says why not."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

import migrations
from handlers.cli.errors import CommandError, unavailable
from handlers.config import Settings
from schema.refused import Refused
from schema.repo import Repo

T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_repo(settings: Settings) -> AsyncGenerator[Repo]:
    """Open the database of the settings, once its migrations are known to be there.

    Raises:
        CommandError: It cannot be reached, or its tables are not those of this release.
    """
    status = await reach(migrations.status, settings.database_url)
    if not status.up_to_date:
        raise unavailable(
            "The database is not migrated.",
            why=f"It is at {status.current or 'nothing'}, this release needs {status.head}.",
            hint="run `channel-server migrate up`",
        )
    repo = await Repo.connect(settings.database_url, min_size=1, max_size=2)
    try:
        yield repo
    finally:
        await repo.close()


async def reach(
    work: Callable[..., Coroutine[Any, Any, T]], url: str, *arguments: Any, **options: Any
) -> T:
    """Do something with the database at ``url``.

    Raises:
        CommandError: It cannot be reached, or refused us, or is of a newer release.
    """
    try:
        return await work(url, *arguments, **options)
    except migrations.UnknownRevisionError as error:
        raise CommandError(
            "The database does not fit this release.",
            why=str(error),
            hint="use the release that migrated it",
        ) from None
    except Exception as error:
        # Whatever the driver raises: the address, the password, the server, the network.
        raise unavailable(
            "The database cannot be used.",
            why=f"{type(error).__name__}: {error}",
            hint="check DATABASE_URL, and that PostgreSQL runs; `channel-server doctor` looks",
        ) from error


def accept(answer: T | Refused, what: str) -> T:
    """Return an answer of the database, or say that it refused.

    Raises:
        CommandError: It was refused.
    """
    if not isinstance(answer, Refused):
        return answer
    why = "; ".join(f"{name}: {', '.join(texts)}" for name, texts in answer.errors.items())
    if answer.retryable or answer.kind in {"busy", "unavailable"}:
        raise unavailable(what, why=why or f"The database is {answer.kind}.", hint="try again")
    raise CommandError(what, why=why or f"The answer was: {answer.code}.")
