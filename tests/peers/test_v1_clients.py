"""Two clients of the old protocol speak V1 with us: npm `phoenix-channels`, PyPI `phxsocket`."""

import pytest
from pytest_asyncio import fixture as async_fixture

from tests.peers.peer_process import Everybody, PeerProcess

pytestmark = pytest.mark.peers


@async_fixture(params=["phoenix-channels", "phxsocket"])
async def peer(request: pytest.FixtureRequest, everybody: Everybody) -> PeerProcess:
    return await everybody.peer(request.param)


async def test_it_joins_and_gets_the_response(peer: PeerProcess, room: str) -> None:
    answer = await peer.ask("join", topic=room, payload={"nick": "ada"})
    assert answer == ("ok", {"room": room, "got": {"nick": "ada"}})


async def test_it_pushes_and_gets_the_reply(peer: PeerProcess, room: str) -> None:
    await peer.ask("join", topic=room)
    payload = {"text": "é☃😀", "deep": [{"n": 1.5}, None]}
    assert await peer.ask("push", topic=room, event="echo", payload=payload) == ("ok", payload)


async def test_it_gets_an_error_reply(peer: PeerProcess, room: str) -> None:
    await peer.ask("join", topic=room)
    answer = await peer.ask("push", topic=room, event="fail")
    assert answer == ("error", {"reason": "failed"})


async def test_a_refused_join_is_an_error(peer: PeerProcess, room: str) -> None:
    answer = await peer.ask("join", topic=room, payload={"refuse": True})
    assert answer == ("error", {"reason": "refused"})


async def test_it_gets_broadcasts(peer: PeerProcess, room: str) -> None:
    await peer.ask("join", topic=room, listen=["shouted"])
    await peer.ask("push", topic=room, event="shout", payload={"n": 2})
    assert (await peer.wait(event="message", topic=room, name="shouted"))["payload"] == {"n": 2}


async def test_it_is_told_of_a_crash(peer: PeerProcess, room: str) -> None:
    await peer.ask("join", topic=room)
    peer.tell("cast", topic=room, event="crash")
    await peer.wait(event="channel_error", topic=room)


async def test_it_leaves_and_is_told_of_the_close(
    everybody: Everybody, peer: PeerProcess, room: str
) -> None:
    await peer.ask("join", topic=room)
    assert room in everybody.topics()
    assert (await peer.ask("leave", topic=room))[0] == "ok"
    await peer.wait(event="channel_closed", topic=room)
    assert room not in everybody.topics()
