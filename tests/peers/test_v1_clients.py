"""Two clients of the old protocol speak V1 with us: npm `phoenix-channels`, PyPI `phxsocket`."""

import pytest

from channel_server.endpoint import Endpoint
from tests.peers.peer_process import PeerProcess, StartPeer

pytestmark = pytest.mark.peers

ROOM = "room:1"


@pytest.fixture(params=["phoenix-channels", "phxsocket"])
async def peer(
    request: pytest.FixtureRequest, rooms: Endpoint, start_peer: StartPeer
) -> PeerProcess:
    return await start_peer(request.param, f"{rooms.url}/socket")


async def test_it_joins_and_gets_the_response(peer: PeerProcess) -> None:
    answer = await peer.ask("join", topic=ROOM, payload={"nick": "ada"})
    assert answer == ("ok", {"room": ROOM, "got": {"nick": "ada"}})


async def test_it_pushes_and_gets_the_reply(peer: PeerProcess) -> None:
    await peer.ask("join", topic=ROOM)
    payload = {"text": "é☃😀", "deep": [{"n": 1.5}, None]}
    assert await peer.ask("push", topic=ROOM, event="echo", payload=payload) == ("ok", payload)


async def test_it_gets_an_error_reply(peer: PeerProcess) -> None:
    await peer.ask("join", topic=ROOM)
    answer = await peer.ask("push", topic=ROOM, event="fail")
    assert answer == ("error", {"reason": "failed"})


async def test_a_refused_join_is_an_error(peer: PeerProcess) -> None:
    answer = await peer.ask("join", topic=ROOM, payload={"refuse": True})
    assert answer == ("error", {"reason": "refused"})


async def test_it_gets_broadcasts(peer: PeerProcess) -> None:
    await peer.ask("join", topic=ROOM, listen=["shouted"])
    await peer.ask("push", topic=ROOM, event="shout", payload={"n": 2})
    assert (await peer.wait(event="message", name="shouted"))["payload"] == {"n": 2}


async def test_it_is_told_of_a_crash(peer: PeerProcess) -> None:
    await peer.ask("join", topic=ROOM)
    peer.tell("cast", topic=ROOM, event="crash")
    await peer.wait(event="channel_error", topic=ROOM)


async def test_it_leaves_and_is_told_of_the_close(rooms: Endpoint, peer: PeerProcess) -> None:
    await peer.ask("join", topic=ROOM)
    assert (await peer.ask("leave", topic=ROOM))[0] == "ok"
    await peer.wait(event="channel_closed", topic=ROOM)
    (connection,) = rooms.connections()
    assert connection.topics() == []
