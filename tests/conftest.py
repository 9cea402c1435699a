"""What every test shares: a clean environment, the sample records, and two ways of drawing random examples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Each run of the default tests draws the same examples; the long ones draw new ones every time.
settings.register_profile(
    "default", deadline=None, derandomize=True, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", deadline=None, max_examples=3000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of whoever runs the tests reaches them, and nothing is written to their directories."""
    for name in list(os.environ):
        if name.startswith("SALUS_") and name != "SALUS_SHARED":
            monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.getbasetemp() / name.lower()))


def shared_directory() -> Path:
    """Where the sample records are: ``SALUS_SHARED``, else ``../shared/data`` beside the checkout."""
    return Path(os.environ.get("SALUS_SHARED", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of sample records; a test that asks for it is skipped, with a word why, where there is none."""
    directory = shared_directory()
    if not directory.is_dir():
        pytest.skip(f"no sample records in {directory}; set SALUS_SHARED to a directory that has them")
    return directory


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout."""
    return ROOT
