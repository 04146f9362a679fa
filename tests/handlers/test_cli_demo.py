"""The parts of the demo that a process without a terminal does not show."""

import asyncio
import io
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from rich.text import Text

from channel_server.endpoint import Endpoint
from handlers.application import Application
from handlers.cli import demo_worker, dev_port
from handlers.cli.dashboard import dashboard, follow, follow_all
from handlers.cli.demo_hints import hints
from handlers.cli.demo_view import DemoView
from handlers.cli.demo_worker import DemoWorker
from handlers.cli.dev_folder import DevFolder
from handlers.cli.dev_port import choose_port
from handlers.cli.errors import CommandError
from handlers.cli.output import Output
from handlers.cli.people import who
from handlers.cli.picture import RunPicture
from handlers.cli.posting import get_json, post_json

RUN = "11111111-1111-4111-8111-111111111111"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def output(stream: io.StringIO, *, as_json: bool = False) -> Output:
    return Output(as_json=as_json, stdout=stream, stderr=stream)


def walk(view: DemoView) -> None:
    picture = RunPicture(RUN)
    picture.jobs["job-1"] = "Check"
    view.begin()
    view.add(picture, "an order")
    step = {"id": "s", "job_id": "job-1", "exit_reason": "success", "error_message": None}
    view.tell(picture, picture.apply("step:completed", {"step": step, "version": 1}))
    line = {"id": "l", "level": "info", "source": "JOB", "message": "hello"}
    view.tell(picture, picture.apply("logs", {"logs": [line], "version": 2}))
    run = {"run": {"state": "success"}, "version": 3}
    view.tell(picture, picture.apply("run:updated", run))
    view.ended(picture, "success, 1.0 s after the start")
    view.end()
    view.end()


def test_on_a_terminal_runs_are_drawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    view = DemoView(output(stream))
    walk(view)
    last = stream.getvalue().rpartition("an order")[2]
    for part in ("success, 1.0 s after the start", "Check ✓", "JOB", "hello"):
        assert part in last
    view.tell(RunPicture(RUN), [Text("afterwards")])
    assert stream.getvalue().endswith("afterwards\n")


def test_elsewhere_each_event_is_a_line() -> None:
    stream = io.StringIO()
    walk(DemoView(output(stream)))
    assert stream.getvalue().splitlines() == [
        "11111111  an order",
        "11111111  step Check success",
        "11111111  JOB hello",
        "11111111  run success",
        "11111111  success, 1.0 s after the start",
    ]


def test_for_programs_each_event_is_a_json_line() -> None:
    stream = io.StringIO()
    walk(DemoView(output(stream, as_json=True)))
    assert stream.getvalue().splitlines()[1] == (
        '{"run_id":"11111111-1111-4111-8111-111111111111","text":"step Check success"}'
    )


def test_a_port_that_is_taken_is_replaced_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(dev_port, "PORT", port)
        assert choose_port("127.0.0.1", None, output(stream)) == 0
        assert f"port {port} is taken by another program" in stream.getvalue()
        with pytest.raises(CommandError, match=f"Port {port} of 127.0.0.1 is taken"):
            choose_port("127.0.0.1", port, output(stream))
    assert choose_port("127.0.0.1", None, output(stream)) == port
    assert choose_port("127.0.0.1", port, output(stream)) == port
    assert choose_port("127.0.0.1", 0, output(stream)) == 0


def test_the_hints_name_the_program_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    endpoint = cast("Endpoint", SimpleNamespace(http_url="http://x:1"))
    for called, expected in (
        (str(tmp_path / ".venv/bin/channel-server"), "| .venv/bin/channel-server run order"),
        ("/usr/bin/channel-server", "| /usr/bin/channel-server run order"),
        ("/somewhere/__main__.py", f"| {sys.executable} -m channel_server run order"),
    ):
        monkeypatch.setattr(sys, "argv", [called])
        text = hints(DevFolder(), endpoint, "http://x:1/i/7", over=True)
        assert expected in text
        assert "curl -s http://x:1/i/7" in text
        assert ". .channel_server/worker.env" in text


async def test_a_worker_that_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_worker, "PATIENCE", 0.0)
    script = tmp_path / "deaf.py"
    script.write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\nsignal.pause()\n"
    )
    endpoint = cast("Endpoint", SimpleNamespace(http_url="http://127.0.0.1:1"))
    with DevFolder(tmp_path / "dev") as folder:
        child = DemoWorker(folder, endpoint, script)
        await child.stop()  # before the start, and below twice, are fine
        await child.start()
        async with asyncio.timeout(20):
            while "deaf" not in child.log.read_text():
                await asyncio.to_thread(os.sched_yield)
            await child.stop()
            await child.wait()
            await child.stop()


async def test_a_run_of_another_project_cannot_be_watched(live_app: Application) -> None:
    url = live_app.endpoint.http_url
    async with dashboard(live_app.settings, url, [uuid4()]) as client:
        with pytest.raises(CommandError, match="cannot be watched"):
            await follow(client, RunPicture(str(uuid4())), lambda _picture, _news: None)
        await follow_all(client, [], lambda _picture, _news: None)


async def test_watching_ends_when_the_connection_is_given_up(live_app: Application) -> None:
    url = live_app.endpoint.http_url
    async with dashboard(live_app.settings, url, [uuid4()]) as client:
        await client.close()
        with pytest.raises(CommandError, match=r"The server is gone\.") as caught:
            await follow(client, RunPicture(str(uuid4())), lambda _picture, _news: None)
    assert caught.value.code == 3


async def test_http_answers_are_values_or_errors_with_a_reason(live_app: Application) -> None:
    url = live_app.endpoint.http_url
    assert await get_json(f"{url}/healthz") == (200, {"status": "ok"})
    with pytest.raises(CommandError, match=r"(?s)answered 404.*no such webhook"):
        await post_json(f"{url}/i/none", {})
    with pytest.raises(CommandError, match="does not answer") as caught:
        await get_json("http://127.0.0.1:1/")
    assert caught.value.code == 3
    with pytest.raises(CommandError, match="does not answer"):
        await get_json(f"{url}/metrics")  # is no JSON


def test_who_asks_has_a_name_even_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Any:
        raise OSError("no username")

    assert who()
    monkeypatch.setattr("getpass.getuser", nobody)
    assert who() == "operator"
