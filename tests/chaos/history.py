"""What clients were told: the only thing that the checker believes beside the database.

Each operation has one record. ``ok`` and ``fail`` were answered; ``info`` is a real outcome too: it
was sent and nobody knows. What is sent again keeps its record, and a later answer decides.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["invoke", "ok", "fail", "info"]


@dataclass
class Operation:
    """One event of one worker, however often it was sent.

    Attributes:
        token: The run token that it was sent with.
        run: The run.
        event: Name of the event.
        payload: What was sent, the same each time.
        outcome: What the client knows.
        answer: Response of the last reply.
        sent: How often it was sent.
    """

    token: str
    run: str
    event: str
    payload: dict[str, Any]
    outcome: Outcome = "invoke"
    answer: Any = None
    sent: int = 0


@dataclass
class Offer:
    """A run that a claim handed out, and to whom."""

    run: str
    token: str
    worker: str


@dataclass
class History:
    """Everything that was sent and said.

    Attributes:
        operations: Events of workers.
        offers: Runs handed out.
        accepted: Runs that webhook calls were told of.
        doubtful: Webhook calls whose answer did not come.
        pipelines: Pipelines that were accepted.
        surprises: What no client should ever see.
    """

    operations: list[Operation] = field(default_factory=list[Operation])
    offers: list[Offer] = field(default_factory=list[Offer])
    accepted: list[str] = field(default_factory=list[str])
    doubtful: int = 0
    pipelines: list[str] = field(default_factory=list[str])
    surprises: list[str] = field(default_factory=list[str])

    def invoke(self, token: str, run: str, event: str, payload: dict[str, Any]) -> Operation:
        """Note an operation before it is sent."""
        self.operations.append(Operation(token, run, event, payload))
        return self.operations[-1]

    def summary(self) -> dict[str, Any]:
        """How many operations ended how."""
        counted = Counter(operation.outcome for operation in self.operations)
        again = sum(operation.sent - 1 for operation in self.operations if operation.sent > 1)
        return {
            **counted,
            "sent_again": again,
            "refused": Counter(str(x.answer) for x in self.operations if x.outcome == "fail"),
            "offers": len(self.offers),
            "accepted": len(self.accepted),
            "doubtful": self.doubtful,
            "pipelines": len(self.pipelines),
        }
