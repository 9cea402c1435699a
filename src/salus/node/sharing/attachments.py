"""Attachments: what belongs to a transaction and may never enter a block, for blocks cannot forget.

Of a delegation that is c, of a record its sealed metadata. Each is a file by object, fsynced before this node signs that it has
it, and overwritten when the delegation is revoked or the record erased.
Steps: docs/protocol/sharing-thresholds.md, "delegations", step 6.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from salus.errors import Refused, refuse_unless
from salus.files import erase, make_private_directory, read_bounded, remove_leftovers, write_atomic

KEPT_MAX: Final = 1_000_000
"""Attachments of one sort: a directory of so many small files still opens in seconds."""
UNNAMED_MAX: Final = 4096
"""Attachments that no committed transaction names yet, of one sort; more at one time is a flood."""
UNNAMED_KEEP_MS: Final = 3600 * 1000
"""How long such an attachment is kept: its transaction follows in seconds."""
CROWDED_MS: Final = 60 * 1000
"""How long if others find no room: handing one in costs nothing, so it must not keep others out."""
_FILE: Final = re.compile(r"([0-9a-f]{32}|[0-9a-f]{64})\.([0-9a-f]{64})")


class AttachmentStore:
    """Attachments of one sort, by object and digest.

    :param directory: the node's own directory for them. :param bytes_max: of one.
    """

    def __init__(self, directory: Path, bytes_max: int) -> None:
        self._directory = directory
        self._bytes_max = bytes_max
        make_private_directory(directory)
        remove_leftovers(directory)
        names = [match for path in directory.iterdir() if (match := _FILE.fullmatch(path.name))]
        self._held = {(bytes.fromhex(name.group(1)), bytes.fromhex(name.group(2))) for name in names}
        self._unnamed: dict[tuple[bytes, bytes], int] = {}
        """Since when each waits for its transaction, in that order; of those from before a restart the ledger says whether it is
        named."""

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, about: bytes, digest: bytes) -> bool:
        """Whether the attachment of an object is here."""
        return (about, digest) in self._held

    def keep(self, about: bytes, digest: bytes, data: bytes, now_ms: int) -> None:
        """Make a checked attachment durable; again: nothing happens.

        :param about: id of the object. :param digest: of the attachment. :param now_ms: clock; it is unnamed since then.
        :raises Refused: ``too-large``, ``no-room``.
        """
        if (about, digest) in self._held:
            return
        refuse_unless(0 < len(data) <= self._bytes_max, "too-large", f"an attachment of {len(data)} bytes")
        self._make_room(now_ms)
        room = len(self._held) < KEPT_MAX and len(self._unnamed) < UNNAMED_MAX
        refuse_unless(room, "no-room", "too many attachments wait for their transactions; try again later")
        write_atomic(self._path(about, digest), data)
        self._held.add((about, digest))
        self._unnamed[(about, digest)] = now_ms

    def _make_room(self, now_ms: int) -> None:
        """In a crowd the one that has waited longest goes, if its transaction should have been there by now."""
        if len(self._unnamed) >= UNNAMED_MAX:
            oldest, since_ms = next(iter(self._unnamed.items()))
            if since_ms <= now_ms - CROWDED_MS:
                self.erase(*oldest)

    def name(self, about: bytes, digest: bytes) -> None:
        """A committed transaction names the attachment: it stays until it is erased."""
        self._unnamed.pop((about, digest), None)

    def read(self, about: bytes, digest: bytes) -> bytes:
        """An attachment.

        :raises Refused: ``not-found``. :raises StorageError: it cannot be read.
        """
        if (about, digest) not in self._held:
            raise Refused("not-found", f"no attachment of {about.hex()[:16]}.. here")
        return read_bounded(self._path(about, digest), self._bytes_max, "an attachment")

    def erase(self, about: bytes, digest: bytes) -> None:
        """Overwrite and remove an attachment, durably."""
        erase(self._path(about, digest))
        self._held.discard((about, digest))
        self._unnamed.pop((about, digest), None)

    def held(self) -> list[tuple[bytes, bytes]]:
        """(object, digest) of everything that is here."""
        return sorted(self._held)

    def digests(self, about: bytes) -> list[bytes]:
        """Digests of what is here of one object."""
        return sorted(digest for held, digest in self._held if held == about)

    def since_ms(self, about: bytes, digest: bytes) -> int:
        """Since when an attachment waits to be named; 0 if it is named, or was here when the node started."""
        return self._unnamed.get((about, digest), 0)

    def _path(self, about: bytes, digest: bytes) -> Path:
        return self._directory / f"{about.hex()}.{digest.hex()}"
