"""Helpers shared by the tests of records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.sensor_world import seeded as seeded

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
