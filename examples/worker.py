"""A small worker: claims runs, executes them, reports them. See ``worker_run.py`` for one run.

    WORKER_SECRET=… python examples/worker.py

It speaks the protocol of the OpenFn worker, on the Phoenix client of this package, and understands
a small part of the job language (``job_language.py``). It is an example and a tool for demos; for
real workflows run the OpenFn worker, with the same variables:

* ``WORKER_LIGHTNING_SERVICE_URL``: the worker socket, default ``ws://localhost:4000/worker``;
* ``WORKER_SECRET``: the secret that it shares with the server;
* ``WORKER_LIGHTNING_PUBLIC_KEY`` (optional, PEM as base64): what run tokens are checked with;
* ``WORKER_NAME`` (optional): shown with each run that it claims.

SIGTERM or Ctrl-C: it claims nothing more, finishes what it runs, and leaves.
"""

import argparse
import asyncio
import base64
import os
import secrets
import signal
import sys
import time
from typing import Any

from worker_run import Run

from channel_server.client import Client, ClientError
from channel_server.tokens import Key, TokenError, Verifier

LONGEST_WAIT = 10.0
"""Longest time between two claims of an idle worker, in seconds."""


class Worker:
    """Claims runs while there is room for them.

    Args:
        client: The connection to the worker socket.
        capacity: Runs at a time.
        pace: Seconds that each step takes at least.
        name: Shown with the runs that are claimed, or None.
        verifier: Checks run tokens; None believes them.
    """

    def __init__(
        self, client: Client, *, capacity: int, pace: float, name: str | None, verifier: Any
    ) -> None:
        self._client = client
        self._capacity = capacity
        self._pace = pace
        self._name = name
        self._verifier: Verifier | None = verifier
        self._runs: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        payload = {"capacity": capacity, "queues": {"manual>*": capacity}}
        self._queue = client.channel("worker:queue", payload)
        self._queue.on("work-available", lambda _payload: self._wake.set())
        self._queue.on_join(lambda _response: self._wake.set())

    def stop(self) -> None:
        """Claim nothing more; :meth:`work` returns when the last run has finished."""
        self._stopping = True
        self._wake.set()

    async def work(self) -> None:
        """Join the queue and work until :meth:`stop`."""
        await self._queue.join()
        print("worker: ready", file=sys.stderr, flush=True)
        wait = 1.0
        while not self._stopping:
            if await self._claim():
                wait = 1.0
            else:
                await self._sleep(wait)
                wait = min(LONGEST_WAIT, wait * 1.15)
        await asyncio.gather(*self._runs)
        await self._queue.leave()

    async def _claim(self) -> bool:
        """Ask for one run if there is room; return whether there was one."""
        self._wake.clear()
        if self._stopping or len(self._runs) >= self._capacity:
            return False
        demand = {"demand": 1, "worker_name": self._name, "queues": ["manual", "*"]}
        try:
            reply = await self._queue.push("claim", demand)
        except ClientError as error:
            print(f"worker: claim: {error}", file=sys.stderr, flush=True)
            return False
        runs: list[dict[str, str]] = reply.response.get("runs", []) if reply.ok else []
        for run in runs:
            self._begin(run["id"], run["token"])
        return bool(runs)

    def _begin(self, run_id: str, token: str) -> None:
        if self._verifier is not None:
            try:
                self._verifier.verify(token)
            except TokenError as error:
                print(f"worker: run {run_id}: {error}", file=sys.stderr, flush=True)
                return
        task = asyncio.create_task(Run(self._client, run_id, token, pace=self._pace).execute())
        self._runs.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        self._wake.set()  # there is room again
        if not task.cancelled() and (error := task.exception()) is not None:
            print(f"worker: {error!r}", file=sys.stderr, flush=True)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def worker_token(secret: str) -> str:
    """Return the token that opens the worker socket; made once, it has no end."""
    claims = {
        "worker_id": f"example-{secrets.token_hex(3)}",
        "iat": int(time.time()),
        "iss": "urn:openfn:worker",
    }
    return Key.hs256(secret).sign(claims)


def token_verifier(public_key: str | None) -> Verifier | None:
    """Return what checks run tokens, given a PEM as base64; None without a key."""
    if not public_key:
        return None
    return Verifier([Key.rs256(base64.b64decode(public_key))], require=("id", "exp"))


async def main(options: argparse.Namespace, secret: str) -> None:
    """Work until SIGTERM or Ctrl-C."""
    params = {"token": worker_token(secret), "api_version": "1.2", "worker_version": "example"}
    client = Client(options.url, params=params, timeout=30.0)
    worker = Worker(
        client,
        capacity=options.capacity,
        pace=options.pace,
        name=os.environ.get("WORKER_NAME"),
        verifier=token_verifier(os.environ.get("WORKER_LIGHTNING_PUBLIC_KEY")),
    )
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (stopped.set(), worker.stop()))
    connecting = asyncio.create_task(client.connect(retry=True))
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait([connecting, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if connecting.done():
            await worker.work()
        else:
            connecting.cancel()
    finally:
        await client.close()


def arguments() -> argparse.Namespace:
    """Return the command line."""
    url = os.environ.get("WORKER_LIGHTNING_SERVICE_URL", "ws://localhost:4000/worker")
    parser = argparse.ArgumentParser(description="A small example worker.")
    parser.add_argument("--url", default=url, help=f"the worker socket (default {url})")
    parser.add_argument("--capacity", type=int, default=5, help="runs at a time (default 5)")
    parser.add_argument("--pace", type=float, default=0.0, help="least seconds per step")
    return parser.parse_args()


if __name__ == "__main__":
    shared_secret = os.environ.get("WORKER_SECRET")
    if not shared_secret:
        sys.exit("WORKER_SECRET is not set: give the worker the secret that the server has")
    asyncio.run(main(arguments(), shared_secret))
