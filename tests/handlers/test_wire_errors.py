"""Section 10: the two shapes of error replies, and the reasons."""

from typing import Any

import pytest

from handlers.wire_errors import blank, refusal, wrap
from schema.refused import Refused

FINAL = frozenset({"final_dataclip_id"})
MISSING = {"final_dataclip_id": ["does not exist"]}


@pytest.mark.parametrize(
    ("refused", "wrapped", "response"),
    [
        (Refused({"state": ["is invalid"]}), frozenset[str](), {"state": ["is invalid"]}),
        (Refused(MISSING), frozenset[str](), MISSING),
        (Refused(MISSING), FINAL, {"errors": MISSING}),
        (
            Refused({"final_dataclip_id": ["is invalid"]}),
            FINAL,
            {"final_dataclip_id": ["is invalid"]},
        ),
        (Refused({"state": ["is invalid"]}), FINAL, {"state": ["is invalid"]}),
        (Refused({}, "not_found"), frozenset[str](), {"reason": "not_found"}),
        (Refused({}, "lease_lost"), FINAL, {"reason": "lease_lost"}),
        (Refused({}, "internal"), FINAL, {"reason": "internal_error"}),
        (Refused({}, "invalid"), FINAL, {"reason": "internal_error"}),
        (Refused({}, "busy"), FINAL, {"reason": "busy", "retryable": True}),
        (Refused({}, "unavailable"), FINAL, {"reason": "unavailable", "retryable": True}),
    ],
)
def test_a_refusal_has_the_shape_that_workers_know(
    refused: Refused, wrapped: frozenset[str], response: Any
) -> None:
    reply = refusal(refused, wrapped)
    assert (reply.status, reply.response) == ("error", response)


def test_a_check_made_by_hand_is_wrapped() -> None:
    assert wrap({"id": ["nope"]}).response == {"errors": {"id": ["nope"]}}
    assert blank("id").response == {"errors": {"id": ["This field can't be blank."]}}
