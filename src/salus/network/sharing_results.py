"""Results of the sharing half as plain values, and ids as people write them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.sharing.share_state import Share
from salus.terminal.sharing.access import Obstacle, told
from salus.terminal.sharing.entries import DelegationEntry, RecordEntry

Result = dict[str, Any]
PREFIX_MIN: Final = 8
"""Hexadecimal digits of an id that a person has to type at least."""


def resolve(text: str, size: int, known: Iterable[bytes], what: str) -> bytes:
    """An id in hexadecimal: whole, or enough of its beginning to tell it from the others that this wallet knows.

    :raises Refused: ``bad-encoding`` if it is none, ``not-found`` if it begins no id or several.
    """
    if len(text) == 2 * size:
        return whole_id(text, size, what)
    digits = len(text) >= PREFIX_MIN and all(c in "0123456789abcdef" for c in text)
    refuse_unless(digits, "bad-encoding", f"the id of a {what} has {2 * size} hexadecimal digits; write {PREFIX_MIN} at least")
    matching = list(dict.fromkeys(one for one in known if one.hex().startswith(text)))
    refuse_unless(bool(matching), "not-found", f"no {what} known here begins with {text[:64]}; list them, or write the id whole")
    refuse_unless(len(matching) == 1, "not-found", f"{len(matching)} ids of a {what} begin with {text[:64]}; write more digits")
    return matching[0]


def whole_id(text: str, size: int, what: str) -> bytes:
    """An id in hexadecimal, whole.

    :raises Refused: ``bad-encoding``.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != size or raw.hex() != text:
        raise Refused("bad-encoding", f"the id of a {what} has {2 * size} lower-case hexadecimal digits")
    return raw


def record_result(entry: RecordEntry) -> Result:
    """An owner's record."""
    return {
        "rid": entry.rid.hex(),
        "state": entry.state,
        "category": entry.category,
        "period": entry.period,
        "quarter": entry.quarter,
        "policy": entry.policy,
        "file_name": entry.file_name,
        "media_type": entry.media_type,
        "bytes": entry.size_bytes,
        "keywords": entry.keywords,
        "keywords_left_out": entry.left_out,
        "keywords_problem": entry.keywords_problem,
        "discoverable": bool(entry.discoverable),
        "version": entry.version,
        "supersedes": entry.supersedes.hex() if entry.supersedes else None,
        "put_ms": entry.put_ms,
        "tx": entry.tx_hash.hex(),
    }


def delegation_result(entry: DelegationEntry) -> Result:
    """An owner's delegation."""
    return {
        "id": entry.delegation.hex(),
        "state": entry.state,
        "to": entry.policy,
        "category": entry.category,
        "period": entry.period,
        "expires_ms": entry.expires_ms,
        "made_ms": entry.made_ms,
        "tx": entry.tx_hash.hex(),
    }


def share_result(id_: bytes, share: Share) -> Result:
    """A share."""
    return {
        "id": id_.hex(),
        "rid": share.rid.hex(),
        "reader": share.institution,
        "purpose": share.purpose,
        "status": share.status,
        "via": share.via,
        "reason": share.reason,
        "emergency": bool(share.emergency),
        "delegation": share.delegation.hex() if share.delegation else None,
        "asked_ms": share.asked_ms,
        "decided_ms": share.decided_ms,
    }


def obstacle_result(obstacle: Obstacle) -> Result:
    """What stands in the way of a share, also in words for people."""
    return {
        "way": obstacle.way,
        "reason": obstacle.reason,
        "delegation": obstacle.delegation.hex() if obstacle.delegation else None,
        "missing": list(obstacle.missing),
        "remarks": list(obstacle.remarks),
        "told": told(obstacle),
    }


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
