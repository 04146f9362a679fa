"""Errors carry fields and make their own sentences."""

import pytest

from channel_server.errors import (
    BadReturn,
    ChannelServerError,
    EncodeError,
    MalformedFrame,
    NoReplyRef,
    NotJoined,
    ReservedEvent,
    UnhandledEvent,
    describe_event,
)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (EncodeError("payload", "too odd"), "cannot encode payload: too odd"),
        (MalformedFrame("no JSON", 1007, "json"), "malformed frame: no JSON"),
        (
            NotJoined("room:1", "push"),
            "push on 'room:1' before its join was answered; "
            "do it in joined(), or send_info() yourself a message in join()",
        ),
        (NoReplyRef("room:1"), "no message with a ref is being handled on 'room:1'"),
        (ReservedEvent("phx_join"), "event 'phx_join' is reserved by the protocol"),
        (BadReturn("result of join", "None", int), "result of join must be None, not int"),
        (UnhandledEvent("nope"), "no handler for event 'nope'"),
        (UnhandledEvent({"a": 1}), "no handler for event '<dict>'"),
    ],
)
def test_errors_say_what_happened(error: ChannelServerError, sentence: str) -> None:
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("field", "by_client"), [("ref", True), ("join_ref", True), ("payload", False)]
)
def test_only_refs_are_the_clients_choice(field: str, *, by_client: bool) -> None:
    assert EncodeError(field, "too long").by_client is by_client  # pyright: ignore[reportArgumentType] parametrized


def test_events_are_shortened_for_logs() -> None:
    assert describe_event("x" * 1000) == "x" * 100
    assert describe_event([1]) == "<list>"
