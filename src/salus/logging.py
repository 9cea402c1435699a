"""Structured logging on stderr, set up once, with secrets taken out on the way.

Modules log with ``structlog.get_logger()``: an event name and key-value pairs, e.g.
``log.info("block committed", height=7, transactions=12)``. The redaction here is a second net, not the first: no
secret and no patient's identity is handed to a logger on purpose. Values are shown only if their type and the name of
their key are harmless, so that a forgotten field comes out as a placeholder and not as a key.
"""

from __future__ import annotations

import logging as stdlib_logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath
from typing import Any, Final, Literal, TextIO

import structlog

from salus.errors import SalusError

REDACTED: Final = "***"
MAX_TEXT_CHARACTERS: Final = 500
"""A log line is for a person; a longer text is cut."""
MAX_ITEMS: Final = 20
"""Elements shown of a list or a mapping, for the same reason."""
MAX_DEPTH: Final = 4
"""Nesting shown; events are flat, and errors carry one level."""
MAX_FRAMES: Final = 20
MAX_CHAIN: Final = 4
"""Frames of each exception, and exceptions of a chain, that a traceback shows."""

_SECRET_WORDS: Final = (
    r"secret|pass(word|phrase|wd)?|private|theta|seed|mnemonic|phrase|recovery|token|scalar|share|credential|key|keys"
    r"|pid|hp|patient|identity|nonce|plaintext|payload|diagnosis|code|authorization|cookie"
)
_SECRET_KEY: Final = re.compile(rf"(?:^|[_.-])(?:{_SECRET_WORDS})(?:$|[_.-])|^[abegkqrswxyz]$", re.IGNORECASE)
_PUBLIC_KEYS: Final = frozenset({"public_key", "reason_code", "exit_code", "event", "level", "timestamp", "logger", "exception"})

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "human", "json"]


def setup_logging(level: Level = "warning", format: Format = "auto", stream: TextIO | None = None) -> None:
    """Configure logging of the whole process; calling it again replaces the previous setup.

    :param level: least level of Salus's own events.
    :param format: ``human``, ``json`` (one object a line), or ``auto``: human if the stream is a terminal.
    :param stream: default ``sys.stderr``; stdout belongs to results.
    """
    target = sys.stderr if stream is None else stream
    human = format == "human" or (format == "auto" and target.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_traceback_text),
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if human
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = stdlib_logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Libraries that read records quote what they read in their warnings: a patient's name, for instance. Some set a level
    # of their own when they are imported, so the root's level alone does not keep them quiet.
    handler.addFilter(lambda record: record.name.split(".")[0] == "salus" or record.levelno >= stdlib_logging.ERROR)
    root = stdlib_logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(stdlib_logging.ERROR)
    stdlib_logging.getLogger("salus").setLevel(level.upper())


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor: keep what is harmless by key and by type, and put a placeholder for the rest."""
    for key in list(event):
        if key.startswith("_"):
            continue
        event[key] = _harmless(key, event[key], 0)
    return event


def _traceback_text(exc_info: structlog.typing.ExcInfo) -> str:
    """Where an exception came from, without what its locals or a foreign message hold."""
    lines: list[str] = []
    error: BaseException | None = exc_info[1]
    for _ in range(MAX_CHAIN):
        if error is None:
            break
        frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
        lines += [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        lines.append(_error_text(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def _error_text(error: BaseException) -> str:
    # The project's own errors never hold a secret; the text of a foreign one quotes its input as often as not.
    return f"{type(error).__name__}: {error}" if isinstance(error, SalusError) else type(error).__name__


def _harmless(key: str, value: Any, depth: int) -> Any:
    if key not in _PUBLIC_KEYS and _SECRET_KEY.search(key):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARACTERS or key == "exception" else value[:MAX_TEXT_CHARACTERS] + ".."
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return _error_text(value)
    if isinstance(value, PurePath):
        return str(value)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {str(k): _harmless(str(k), v, depth + 1) for k, v in list(value.items())[:MAX_ITEMS]}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [_harmless(key, v, depth + 1) for v in value[:MAX_ITEMS]]
    return f"<{type(value).__name__}>"
