"""The feeds of one process: of runs and of projects."""

from collections import Counter

from channel_server.pubsub import PubSub
from handlers.feeds.project_feed import ProjectFeed
from handlers.feeds.relay import Relay
from handlers.feeds.run_feed import RunFeed
from schema.outcomes import Event
from schema.repo import Repo


class Feeds:
    """Who is told of a committed change, here and in other processes.

    Args:
        repo: The door to the database.
        pubsub: Where followers are subscribed.

    Attributes:
        projects: The feeds of projects.
        relay: Tells other processes.
        runs: The feeds of runs.
        streams: Event streams that are open, by user.
    """

    def __init__(self, repo: Repo, pubsub: PubSub) -> None:
        self.runs = RunFeed(repo, pubsub)
        self.projects = ProjectFeed(repo, pubsub)
        self.relay = Relay(repo, self.runs, self.projects)
        self.streams: Counter[str] = Counter()

    @property
    def watched(self) -> int:
        """How many runs and projects are watched in this process."""
        return self.runs.watched + self.projects.watched

    def publish(self, event: Event) -> None:
        """Tell all who watch of a change that this process has committed."""
        self.runs.publish(event)
        self.projects.publish(event)
        self.relay.changed(event)

    def stream_ended(self, subject: str) -> None:
        """One event stream of a user is over."""
        self.streams[subject] -= 1
        if not self.streams[subject]:
            del self.streams[subject]

    async def sweep(self) -> None:
        """Tell what this process was not told of."""
        await self.runs.sweep()
        await self.projects.sweep()

    async def settle(self) -> None:
        """Wait until nothing is under way. For tests."""
        await self.relay.settle()
        await self.runs.settle()
        await self.projects.settle()

    async def stop(self) -> None:
        """End what is under way. What was not told is told to whoever resumes by cursor."""
        await self.relay.stop()
        await self.runs.stop()
        await self.projects.stop()
