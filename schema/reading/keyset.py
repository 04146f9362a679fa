"""Places in lists that are ordered by time, newest first: where a page ended. Pure."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID


class Place(NamedTuple):
    """The last row of a page: its time and its id, which is what the list is ordered by."""

    at: datetime
    id: UUID

    def cursor(self) -> str:
        """Return the place as text, fit for a query without being escaped."""
        moment = self.at.astimezone(UTC).replace(tzinfo=None)
        return f"{moment.isoformat()}Z~{self.id}"


def parse_cursor(text: str) -> Place:
    """Return the place that a cursor names.

    Raises:
        ValueError: It is no cursor.
    """
    at, _, row_id = text.partition("~")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError("a cursor carries its time zone")
    return Place(moment, UUID(row_id))


def like(text: str) -> str:
    """Return the pattern of ILIKE that finds ``text`` anywhere, whatever characters it has."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
