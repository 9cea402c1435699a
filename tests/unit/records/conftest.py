"""Helpers shared by the tests of records."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = REPOSITORY / "tests" / "golden" / "records"


def shared_data() -> Path:
    """Where the public sample records lie: beside the checkout, or where SALUS_SHARED says."""
    root = Path(os.environ.get("SALUS_SHARED", REPOSITORY.parent / "shared"))
    return root / "data"


@pytest.fixture
def samples() -> Path:
    data = shared_data()
    if not data.is_dir():
        pytest.skip(f"no sample records at {data}: set SALUS_SHARED")
    return data


def seeded(seed: str) -> Callable[[int], bytes]:
    """A reproducible source of random bytes."""
    state = hashlib.shake_256(seed.encode())
    drawn = 0

    def draw(count: int) -> bytes:
        nonlocal drawn
        drawn += count
        return state.digest(drawn)[-count:] if count else b""

    return draw
