"""Refusals that the mock of a recording invented, provoked from our server.

* 41: the run has been started before, at another time: `already started`.
* 42: the job is of no workflow, so the step does not exist, and nothing that names it is taken.
* 45: the final dataclip is unknown.
"""

from typing import Any

from channel_server.testing.fixture import Expect, Send, Step


def provoke(name: str, steps: list[Step]) -> None:
    """Change the steps of the recordings 41, 42 and 45; leave all others alone."""
    number = name.split("-", maxsplit=1)[0]
    if number == "41":
        _start_twice(steps)
    elif number == "42":
        _foreign_job(steps)
    elif number == "45":
        _unknown_final_dataclip(steps)


def _requests(steps: list[Step], event: str) -> list[Send]:
    return [step for step in steps if isinstance(step, Send) and step.frame[3] == event]


def _reply_to(steps: list[Step], request: Send) -> Expect:
    return next(
        step
        for step in steps
        if isinstance(step, Expect)
        and step.conn == request.conn
        and step.frame[1:4] == [request.frame[1], request.frame[2], "phx_reply"]
    )


def _refuse(steps: list[Step], request: Send, errors: dict[str, Any]) -> None:
    _reply_to(steps, request).frame[4] = {"status": "error", "response": errors}


def _start_twice(steps: list[Step]) -> None:
    request = _requests(steps, "run:start")[0]
    index = steps.index(request)
    join_ref, ref, topic, event, payload = request.frame
    earlier = payload | {"timestamp": str(int(payload["timestamp"]) - 1_000_000)}
    first = [join_ref, f"{ref}-first", topic, event, earlier]
    reply = [join_ref, f"{ref}-first", topic, "phx_reply", {"status": "ok", "response": None}]
    steps[index:index] = [Send(0, request.conn, first), Expect(0, request.conn, reply)]
    _refuse(steps, request, {"state": ["already started"]})


def _foreign_job(steps: list[Step]) -> None:
    start = _requests(steps, "step:start")[0]
    start.frame[4]["job_id"] = "{{uuid:foreign_job}}"
    _refuse(steps, start, {"job_id": ["does not exist"]})
    for log in _requests(steps, "run:log"):
        if "step_id" in log.frame[4]:
            _refuse(steps, log, {"step_id": ["must be associated with the run"]})
    complete = _requests(steps, "step:complete")[0]
    complete.frame[4]["job_id"] = "{{uuid:foreign_job}}"
    _refuse(steps, complete, {"step_id": ["not found"]})
    final = _requests(steps, "run:complete")[0]
    _refuse(steps, final, {"errors": {"final_dataclip_id": ["does not exist"]}})


def _unknown_final_dataclip(steps: list[Step]) -> None:
    request = _requests(steps, "run:complete")[0]
    request.frame[4]["final_dataclip_id"] = "{{uuid:unknown_dataclip}}"
    _refuse(steps, request, {"errors": {"final_dataclip_id": ["does not exist"]}})
