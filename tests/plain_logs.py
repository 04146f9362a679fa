"""How tests log: for people, with plain tracebacks; drawing one takes longer than most tests."""

import structlog


def use() -> None:
    """Log like this from now on, whatever was configured."""
    structlog.reset_defaults()
    drawn = structlog.get_config()["processors"][:-1]
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*drawn, plain])
