"""The events of a channel, as an async iterator."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from channel_server.client_errors import EventsLost


class Event(msgspec.Struct, frozen=True):
    """A push or broadcast of the server.

    Attributes:
        event: Its name.
        payload: A JSON object, or `bytes`.
    """

    event: str
    payload: Any


class EventStream:
    """The events of a channel, in order, from the moment it was made.

    Iteration ends when the channel closes. It raises `EventsLost` once when more than the
    client's `max_events` were waiting; events missed while disconnected are not reported.
    """

    def __init__(self, topic: str, limit: int, detach: Callable[["EventStream"], None]) -> None:
        self._topic = topic
        self._limit = limit
        self._detach = detach
        self._events: deque[Event] = deque()
        self._wakeup = asyncio.Event()
        self._lost = False
        self._ended = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._lost:
                self._lost = False
                raise EventsLost(self._topic, self._limit)
            if self._ended:
                raise StopAsyncIteration
            self._wakeup.clear()
            await self._wakeup.wait()
        return self._events.popleft()

    def put(self, event: Event) -> None:
        """Add an event; dropped, and remembered as lost, when the stream is full."""
        if len(self._events) >= self._limit:
            self._lost = True
        else:
            self._events.append(event)
        self._wakeup.set()

    def end(self) -> None:
        """End the iteration after the events that are waiting."""
        self._ended = True
        self._wakeup.set()

    def close(self) -> None:
        """Stop receiving."""
        self._detach(self)
        self.end()
