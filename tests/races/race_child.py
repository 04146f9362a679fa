"""One server process of the claim races: workers that claim, note what they got, and give it back.

``race_child.py URL CLAIMS WORKERS``. It says ``ready``, waits for a line, and ends by writing its
history to stdout, one lease per line. Claims go through socket, channel and handler of the product;
only the signature of run tokens, which would take longer than the races, is left out.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from channel_server.log import configure
from channel_server.socket import Route
from channel_server.testing.client import ChannelClient, connect
from handlers.application import Application
from handlers.sockets import worker_socket
from handlers.worker_queue import WorkerQueueChannel
from schema.queue import ClaimedRun
from schema.refused import Refused
from schema.repo import Statement
from tests.handlers.bench import settings

DEMAND = 20
PATIENCE = 60.0

GIVE_BACK = Statement(
    "race.give_back",
    """
UPDATE runs r SET state = 'available', claimed_at = NULL, joined_at = NULL, lease = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS o (id, lease)
WHERE r.id = o.id AND r.lease = o.lease AND r.state = 'claimed' RETURNING r.id""",
)


class Lease(msgspec.Struct, array_like=True):
    """One lease that was handed out; times are of the clock that all processes share."""

    run: str
    epoch: int
    lease: str
    claim_sent: int
    claim_answered: int
    given_back: int


class RaceChannel(WorkerQueueChannel):
    """The queue, whose offers say lease and epoch in place of a signed token."""

    def _offer(self, run: ClaimedRun) -> dict[str, Any]:
        return {"id": str(run.id), "lease": str(run.lease), "epoch": run.lease_epoch}


class Process:
    """The workers of one process, and what they were handed out."""

    def __init__(self, app: Application, claims: int) -> None:
        self.app = app
        self.left = claims
        self.history: list[Lease] = []
        self.short = 0

    async def open(self, workers: int) -> list[ChannelClient]:
        """Connect workers and let them join the queue."""
        gateway = self.app.gateway
        routes = (Route("worker:queue", RaceChannel),)
        socket = type("RaceSocket", (worker_socket(gateway),), {"channels": routes})
        queues: list[ChannelClient] = []
        for number in range(workers):
            token = gateway.worker_tokens.issue(f"{os.getpid()}-{number}")
            client = await connect(socket, {"token": token}, pubsub=self.app.pubsub)
            queues.append(await client.join("worker:queue", timeout=PATIENCE))
        return queues

    async def work(self, queue: ChannelClient) -> None:
        """Claim, note, give back, until enough was handed out."""
        while self.left > 0:
            self.app.gateway.hint.invalidate()  # the other process gives back without a notice
            sent = time.monotonic_ns()
            reply = await queue.call("claim", {"demand": DEMAND}, timeout=PATIENCE)
            answered = time.monotonic_ns()
            offers: list[Any] = reply["runs"]
            self.left -= len(offers)
            self.short += len(offers) < DEMAND
            await self.give_back(offers, sent, answered)

    async def give_back(self, offers: Sequence[Any], sent: int, answered: int) -> None:
        """Make runs available again, in bulk, by the leases that this worker holds."""
        now = time.monotonic_ns()
        self.history += [
            Lease(offer["id"], offer["epoch"], offer["lease"], sent, answered, now)
            for offer in offers
        ]
        ids, leases = [o["id"] for o in offers], [o["lease"] for o in offers]
        rows = await self.app.repo.fetch(GIVE_BACK, ids, leases)
        assert not isinstance(rows, Refused), rows
        assert len(rows) == len(offers), "somebody else has taken a run that this worker holds"


async def main(url: str, claims: int, workers: int) -> None:
    """Race, and tell."""
    configure("json", level="error")
    app = await Application(settings(url)).open()
    process = Process(app, claims)
    queues = await process.open(workers)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.gather(*(process.work(queue) for queue in queues))
    encode = msgspec.json.encode
    sys.stdout.buffer.write(encode({"short": process.short}) + b"\n")
    sys.stdout.buffer.write(b"".join(encode(lease) + b"\n" for lease in process.history))
    sys.stdout.buffer.flush()
    await app.stop(drain=False)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
