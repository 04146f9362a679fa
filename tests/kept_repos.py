"""Doors to test databases that stay open from test to test.

A connection that knows the catalogue, and statements that are planned, cost a tenth of fresh ones.
The tests of a process have one loop, so that its connections live as long as they do.
"""

from schema.recycling import KEPT
from schema.repo import Repo


class KeptRepos:
    """The doors of one process, by URL of the database."""

    def __init__(self) -> None:
        self._open: dict[str, Repo] = {}

    async def to(self, url: str) -> Repo:
        """The door to a database; nobody should close it, and who does costs the next test more."""
        repo = self._open.get(url)
        if repo is None or repo.closed:
            # A pool with a least size goes on connecting to a database that was dropped.
            repo = await Repo.connect(url, min_size=0, application_name=KEPT)
            self._open[url] = repo
        repo.changed, repo.reachable = None, True
        # What a test has put in its place, to lose an answer, is no business of the next one.
        vars(repo).pop("fetch", None)
        return repo

    async def close(self) -> None:
        """Close all of them."""
        for repo in self._open.values():
            await repo.close()
