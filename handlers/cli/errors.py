"""What a command says when it cannot be done."""

from handlers.cli import exit_codes


class CommandError(Exception):
    """A command that cannot be done.

    Attributes:
        what: What happened, one sentence.
        why: The reason, in the words of whoever refused; may have several lines, may be empty.
        hint: What to do about it; may be empty.
        code: The exit code.
    """

    def __init__(
        self, what: str, *, why: str = "", hint: str = "", code: int = exit_codes.FAILED
    ) -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = why
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.hint) if part)


def usage(what: str, *, why: str = "", hint: str = "") -> CommandError:
    """Return an error of the command line, the configuration or a file."""
    return CommandError(what, why=why, hint=hint, code=exit_codes.USAGE)


def unavailable(what: str, *, why: str = "", hint: str = "") -> CommandError:
    """Return an error of something that cannot be reached now."""
    return CommandError(what, why=why, hint=hint, code=exit_codes.UNAVAILABLE)
