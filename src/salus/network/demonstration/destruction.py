"""A cloud's medium is lost: whatever it held, and its memory of it."""

from __future__ import annotations

from pathlib import Path

from salus.cloud.key import KEY_FILE
from salus.network.home import GENESIS_FILE


def destroy_cloud(directory: Path) -> int:
    """Remove every file of a cloud that does not run, except its key and the genesis, which its operator keeps elsewhere too.

    :return: how many files were removed.
    """
    removed = 0
    for path in sorted(directory.rglob("*"), reverse=True):  # what is inside a directory comes before it
        if path.is_dir():
            path.rmdir()
        elif path.parent != directory or path.name not in (KEY_FILE, GENESIS_FILE):
            path.unlink()
            removed += 1
    return removed
