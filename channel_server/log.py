"""Structured logs that never show a secret.

Log events are named in the past tense: ``socket_connected``, ``socket_refused``,
``socket_disconnected``, ``protocol_error``, ``channel_joined``, ``join_refused``,
``event_handled`` (debug), ``channel_crashed``, ``service_crashed``, ``endpoint_started``,
``endpoint_drained``. :func:`configure` sets up structlog and the standard library alike, so lines
of other libraries look the same and are redacted too.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import Processor

FILTERED = "[FILTERED]"
"""What stands in the place of a secret."""

_SECRET_KEY = re.compile(
    r"(?:token|authorization|password|passwd|secret|cookie|private_key|api_key|credential)s?$",
    re.IGNORECASE,
)
_PARAMETER = re.compile(
    r"((?:token|password|secret|authorization|api_key)(?:%5D|\])?=)[^&\s\"']+", re.IGNORECASE
)
_BEARER = re.compile(r"(base64url\.bearer\.phx\.|bearer\s+)[\w\-+/=.~]+", re.IGNORECASE)
# From the start of a word, and never backing up: clients choose what is in a topic.
_JWT = re.compile(r"(?<![\w-])(?=[\w-]*eyJ[\w-]{5})[\w-]++(?:\.[\w-]*+){1,2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MAX_DEPTH = 8
_MAX_TEXT = 32 * 1024


def get_logger(name: str = "channel_server") -> BoundLogger:
    """A logger; cheap, and usable before :func:`configure`."""
    return cast("BoundLogger", structlog.get_logger(name))


def redact_text(text: str) -> str:
    """``text`` without tokens: query parameters, bearer values and JWTs become ``[FILTERED]``.

    Control characters are shown as escapes, so that no client writes to somebody's terminal; what
    is longer than 32 KiB is cut.
    """
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "..."
    if not text.isprintable():
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1{FILTERED}", text)
    if "eyJ" in text:
        text = _JWT.sub(FILTERED, text)
    return _BEARER.sub(rf"\1{FILTERED}", text) if "earer" in text.lower() else text


def redact_value(value: object, depth: int = 0) -> object:
    """``value`` with the secrets in it replaced; containers are copied, never changed.

    Deeper than 8 levels everything is replaced.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes | bytearray):
        return redact_text(bytes(value).decode(errors="backslashreplace"))
    if depth >= _MAX_DEPTH:
        return FILTERED
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {
            key: FILTERED if is_secret_key(key) else redact_value(item, depth + 1)
            for key, item in items
        }
    if isinstance(value, list | tuple):
        return [redact_value(item, depth + 1) for item in cast("list[object]", value)]
    return value


def is_secret_key(key: object) -> bool:
    """Whether the value under ``key`` must never be shown."""
    return isinstance(key, str) and _SECRET_KEY.search(key) is not None


def redact(
    _logger: object, _method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Structlog processor: replace secrets in every value of the line, the traceback included."""
    for key, value in event_dict.items():
        event_dict[key] = FILTERED if is_secret_key(key) else redact_value(value)
    return event_dict


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]


def configure(
    style: Literal["json", "console"] = "json",
    *,
    level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of the process to one stream, redacted; call it once, at the start.

    Args:
        style: One JSON object per line, or coloured lines for people.
        level: Lowest level shown: ``debug``, ``info``, ``warning``, ``error``.
        stream: Where to write; standard error if None.
    """
    target = stream if stream is not None else sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    quiet_libraries()


def quiet_libraries() -> None:
    """Keep other libraries from logging requests, whose paths and headers may hold tokens."""
    for name in ("websockets", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
