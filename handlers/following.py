"""Channels that replay what a dashboard missed and then go live: what `run:` and `project:` share.

The join is answered first; then come the replayed events, then live ones, without a gap or a
repeat. If the replay cannot go on, the channel ends with an error: clients join again by
themselves, with the position of the last event that they got.
"""

from collections.abc import Coroutine
from typing import Any, ClassVar, Protocol

import msgspec

from channel_server.channel import Channel, Reply
from handlers.feeds.following import Sink, Told


class Reader(Protocol):
    """Who follows a feed for a channel."""

    @property
    def caught_up(self) -> bool:
        """Whether it may go live now."""
        ...

    async def follow(self, sink: Sink) -> bool:
        """Replay and go live."""
        ...

    def close(self) -> None:
        """Follow no longer."""
        ...


class FollowingChannel(Channel):
    """A channel whose `join` leaves a started reader in `_reader`."""

    subscribe_topic: ClassVar[bool] = False

    _reader: Reader

    def joined(self) -> Coroutine[Any, Any, None] | None:
        """Go live, at once if nothing was missed."""
        if self._reader.caught_up:
            self.go_live()
            self._reader.close()
            return None
        return self._follow()

    def take(self, told: Told) -> None:
        """Push a replayed event."""
        self.push(told.name, msgspec.Raw(told.payload))

    def terminate(self, reason: str) -> None:
        """Follow no longer."""
        self._reader.close()

    def refuse(self, reply: Reply) -> Reply:
        """End a join that has a reader already."""
        self._reader.close()
        return reply

    async def _follow(self) -> None:
        if not await self._reader.follow(self):
            self.stop("gap")
