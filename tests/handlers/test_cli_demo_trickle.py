"""What keeps the page of the demo alive, and the link that opens it."""

import asyncio
from itertools import islice
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from handlers.cli import demo_trickle
from handlers.cli.demo_trickle import Trickle, orders, pauses
from handlers.cli.errors import CommandError
from handlers.cli.page_link import page_link
from handlers.run_tokens import UserTokens
from tests.handlers.bench import settings


def test_of_twelve_orders_two_lack_a_quantity_and_one_an_id() -> None:
    twelve = list(islice(orders(), 12))
    assert sum("quantity" not in order for order in twelve) == 2
    assert sum("id" not in order for order in twelve) == 1


def test_the_first_orders_come_in_a_rush() -> None:
    shown = list(islice(pauses(), demo_trickle.RUSH + 50))
    assert set(shown[: demo_trickle.RUSH]) == {demo_trickle.RUSH_PACE}
    least, most = demo_trickle.PACE
    assert all(least <= pause <= most for pause in shown[demo_trickle.RUSH :])


async def test_runs_of_the_trickle_are_told_apart_even_before_their_answer_is_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_trickle, "pauses", lambda: iter([0.0, 0.0]))
    answers = asyncio.Queue[str]()
    asked = asyncio.Event()

    async def post(_url: str, _order: Any) -> dict[str, Any]:
        asked.set()
        return {"run_id": await answers.get()}

    trickle = Trickle("http://x/i/1", post)
    flowing = asyncio.create_task(trickle.flow())
    await asked.wait()
    ours, theirs = (asyncio.create_task(trickle.made(name)) for name in ("ours", "theirs"))
    answers.put_nowait("ours")
    assert (await ours, await theirs) == (True, False)
    answers.put_nowait("next")
    await flowing


async def test_the_trickle_ends_with_the_server() -> None:
    async def post(_url: str, _order: Any) -> dict[str, Any]:
        raise CommandError("It does not answer.")

    await Trickle("http://x/i/1", post).flow()


def test_the_link_has_its_token_in_the_fragment_and_nowhere_else() -> None:
    configuration = settings("postgresql://x")
    project = uuid4()
    link = urlsplit(page_link(configuration, "http://127.0.0.1:4000", [project]))
    assert (link.netloc, link.path, link.query) == ("127.0.0.1:4000", "/", "")
    user = UserTokens(configuration.user_key()).verify(link.fragment.removeprefix("token="))
    assert user is not None
    assert (user.role, user.projects, user.tenants) == ("viewer", {project}, {"*"})
