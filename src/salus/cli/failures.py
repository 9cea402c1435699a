"""What a command says when it fails: one line on stderr, with ``--json`` also an object on stdout.

A failure has a *reason*: a code of :data:`salus.errors.REASONS` where a party refused something, else one of
:data:`FAILURES`. Programs look at the reason, people read the message.
"""

from __future__ import annotations

import errno
import json
import re
import sqlite3
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from salus.cli.main import FAILED, INTERRUPTED
from salus.errors import (
    REASONS,
    ConfigError,
    ConsensusError,
    DamagedFile,
    FormatError,
    Refused,
    SalusError,
    StorageError,
    TransportError,
    WalletError,
    WrongPassphrase,
)

FAILURES: Final[dict[str, str]] = {
    "usage": "The command was not understood: see its `--help`.",
    "settings": "An option, an environment variable or the configuration file is wrong.",
    "wrong-passphrase": "The wallet is intact, but the passphrase does not open it.",
    "damaged": "A file was altered or cut short; restore it from a backup.",
    "storage": "Something on disk is missing, cannot be read, or cannot be written (a full disk, for instance).",
    "wallet": "The wallet is missing, not enrolled, or cannot do this.",
    "format": "A file is not of the format that the command needs.",
    "unreachable": "A party did not answer in time; what was sent may still be carried out. Run the command again.",
    "consensus": "The nodes cannot agree: no quorum, or a clock that is wrong.",
    "not-verified": "What was checked does not hold; the message says what.",
    "simulation": "A simulated network broke an invariant; the output names the seed.",
    "interrupted": "Ctrl-C: nothing is half-done, the next command goes on from here.",
    "failed": "The command could not do its work; the message says why.",
    "internal": "A fault of this program; please report it. `--verbose` shows where.",
}
"""Reason -> what it means, beside the reasons of refusals."""

_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ConfigError, "settings"),
    (WrongPassphrase, "wrong-passphrase"),
    (DamagedFile, "damaged"),
    (StorageError, "storage"),
    (WalletError, "wallet"),
    (FormatError, "format"),
    (TransportError, "unreachable"),
    (ConsensusError, "consensus"),
    (SalusError, "failed"),
)
_TIME_MS: Final = re.compile(r"(?<![\w.])[12][0-9]{12}(?![\w.])")
"""UTC milliseconds between the years 2001 and 2065, as ledger and nodes write them."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class CommandFailed(SalusError):
    """A command's own finding, e.g. that something does not verify.

    :param reason: a code of :data:`FAILURES`.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def describe(error: BaseException) -> tuple[str, str]:
    """Reason and message of an error; the message is one line without control characters."""
    if isinstance(error, CommandFailed):
        return error.reason, one_line(str(error))
    if isinstance(error, Refused):
        return error.reason, one_line(_of_refusal(error))
    for kind, reason in _KINDS:
        if isinstance(error, kind):
            return reason, one_line(str(error))
    if isinstance(error, OSError):
        advice = "free some space and repeat" if error.errno in _NO_ROOM else "check the path and its permissions"
        where = f"{error.filename}: " if error.filename else ""
        return "storage", one_line(f"{where}{error.strerror or error}; {advice}")
    if isinstance(error, sqlite3.Error):
        return "storage", one_line(f"a database in the home failed ({error}); free some space or repair the disk, and repeat")
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" in {frame.name} ({frame.filename}:{frame.lineno})" for frame in place)
    # the text of a foreign error may quote what it was given
    return "internal", f"a fault of this program: {type(error).__name__}{where}; please report it (--verbose shows more)"


def _of_refusal(refused: Refused) -> str:
    """A refusal for people: times as dates, and where only a name is given, what is the matter with it."""
    detail = _TIME_MS.sub(
        lambda found: f"{datetime.fromtimestamp(int(found[0]) / 1000, UTC):%Y-%m-%d %H:%M:%S UTC}", refused.detail
    )
    if detail and " " not in detail:
        return f"{refused.reason}: {detail}: {REASONS[refused.reason]}"
    return f"{refused.reason}: {detail or REASONS[refused.reason]}"


def report(reason: str, message: str, as_json: bool, extra: dict[str, Any] | None = None) -> None:
    """Say what failed.

    :param extra: facts that must not be lost although the command failed, e.g. a new wallet's recovery phrase.
    """
    print(f"salus: {message}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": {"reason": reason, "message": message}, **(extra or {})}))


def report_interruption(as_json: bool, extra: dict[str, Any] | None = None) -> int:
    """Say that Ctrl-C ended the command; returns the exit status."""
    report("interrupted", "interrupted; nothing is half-done, and the next command goes on from here", as_json, extra)
    return INTERRUPTED


def report_error(error: Exception, as_json: bool, verbose: bool, extra: dict[str, Any] | None = None) -> int:
    """Say what an error was; returns the exit status."""
    reason, message = describe(error)
    if verbose and reason == "internal":
        frames = traceback.extract_tb(error.__traceback__)
        print("".join(traceback.format_list(frames)), end="", file=sys.stderr)
    report(reason, message, as_json, extra)
    return FAILED


def one_line(text: str) -> str:
    """Text for a terminal: no line breaks, no control characters (they could come from another party)."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
