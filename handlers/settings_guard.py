"""Settings of who is let in, for how long and how often; part of the settings of a deployment."""

from datetime import datetime
from typing import Annotated

from handlers.settings_fields import field
from handlers.settings_rates import RateSettings
from handlers.settings_secrets import credentials_key_problem, rsa_key_problem


class GuardSettings(RateSettings, frozen=True, kw_only=True):
    """Keys that were replaced, and revocations."""

    worker_secret_previous: Annotated[
        str,
        field(
            "WORKER_SECRET_PREVIOUS",
            "The worker secret before this one: workers that still have it are let in until"
            " `CHANNEL_SERVER_PREVIOUS_UNTIL`, and keys that were derived from it count until then"
            " too.",
            secret=True,
        ),
    ] = ""
    worker_runs_private_key_previous: Annotated[
        str,
        field(
            "WORKER_RUNS_PRIVATE_KEY_PREVIOUS",
            "The RSA key before this one, private or public (PEM, base64-encoded): run tokens that"
            " it signed count until `CHANNEL_SERVER_PREVIOUS_UNTIL`. A private one signs for"
            " workers that have the previous secret.",
            secret=True,
        ),
    ] = ""
    user_secret_previous: Annotated[
        str,
        field(
            "CHANNEL_SERVER_USER_SECRET_PREVIOUS",
            "The secret of dashboard tokens before this one; they count until"
            " `CHANNEL_SERVER_PREVIOUS_UNTIL`.",
            secret=True,
        ),
    ] = ""
    credentials_key_previous: Annotated[
        str,
        field(
            "CHANNEL_SERVER_CREDENTIALS_KEY_PREVIOUS",
            "The key of credential bodies before this one; needed until `channel-server keys"
            " rotate-credentials` has encrypted all of them anew.",
            secret=True,
        ),
    ] = ""
    previous_until: Annotated[
        str,
        field(
            "CHANNEL_SERVER_PREVIOUS_UNTIL",
            "When the previous secrets and keys of tokens end, as `2026-12-01T00:00:00Z`; needed as"
            " soon as one is set.",
        ),
    ] = ""
    revocation_recheck: Annotated[
        float,
        field(
            "CHANNEL_SERVER_REVOCATION_RECHECK",
            "Time after which the list of revoked tokens is read again when no notice comes.",
            unit="s",
            gt=0,
            le=30,
        ),
    ] = 15.0

    def previous_end(self) -> float | None:
        """Unix seconds at which previous keys of tokens end; None unless it is set and readable."""
        try:
            moment = datetime.fromisoformat(self.previous_until)
        except ValueError:
            return None
        return None if moment.tzinfo is None else moment.timestamp()

    def previous_problems(self, current: dict[str, str]) -> list[str]:
        """One sentence for each previous secret that cannot be used.

        Args:
            current: the current secrets by the name of the variable of the previous one.
        """
        given = {
            "WORKER_SECRET_PREVIOUS": self.worker_secret_previous,
            "WORKER_RUNS_PRIVATE_KEY_PREVIOUS": self.worker_runs_private_key_previous,
            "CHANNEL_SERVER_USER_SECRET_PREVIOUS": self.user_secret_previous,
        }
        problems = [
            f"{name} is the same as the current one."
            for name, value in (given | {_CREDENTIALS: self.credentials_key_previous}).items()
            if value and value == current.get(name)
        ]
        if self.previous_until and self.previous_end() is None:
            problems.append(f"{_UNTIL} must be a time with its zone, as 2026-12-01T00:00:00Z.")
        elif any(given.values()) and not self.previous_until:
            names = ", ".join(name for name, value in given.items() if value)
            problems.append(f"{_UNTIL} is not set; it says when {names} ends.")
        checks = (
            rsa_key_problem(
                "WORKER_RUNS_PRIVATE_KEY_PREVIOUS",
                self.worker_runs_private_key_previous,
                public=True,
            ),
            credentials_key_problem(_CREDENTIALS, self.credentials_key_previous),
        )
        return [*problems, *(problem for problem in checks if problem is not None)]


_UNTIL = "CHANNEL_SERVER_PREVIOUS_UNTIL"
_CREDENTIALS = "CHANNEL_SERVER_CREDENTIALS_KEY_PREVIOUS"
