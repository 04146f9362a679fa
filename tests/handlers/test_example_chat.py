"""The smallest application: what it documents about writing one is so."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from channel_server.client import Client, ConnectRefused, JoinRefused
from tests.handlers.cli_bench import REPOSITORY

CHAT = REPOSITORY / "examples" / "chat.py"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The chat as a process; it must end well when it is told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHAT),
        "--port=0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
    yield line.split()[-1]
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b"Traceback" not in said


async def test_what_one_says_everybody_in_the_room_hears(url: str) -> None:
    async with (
        Client(url, params={"name": "ada"}) as ada,
        Client(url, params={"name": "bob"}) as bob,
    ):
        hers, his = ada.channel("room:lobby"), bob.channel("room:lobby")
        assert await hers.join() == {"room": "lobby"}
        heard = hers.events()
        await his.join()
        assert (await his.push("say", {"text": "hello"})).response == {"count": 1}
        refused = await his.push("say", {"text": ""})
        assert (refused.ok, list(refused.response)) == (False, ["text"])
        assert (await his.push("think", {"a": 1})).response == {"thought": {"a": 1}}
        await his.leave()
        async with asyncio.timeout(10):
            events = [await anext(heard) for _ in range(3)]
    assert [(event.event, event.payload) for event in events] == [
        ("entered", {"name": "bob"}),
        ("said", {"name": "bob", "text": "hello"}),
        ("left", {"name": "bob"}),
    ]


async def test_who_has_no_name_and_who_may_not_enter_are_refused(url: str) -> None:
    with pytest.raises(ConnectRefused, match="say who you are"):
        await Client(url).connect()
    async with Client(url, params={"name": "ada"}) as ada:
        with pytest.raises(JoinRefused, match="unauthorized"):
            await ada.channel("room:secret").join()
