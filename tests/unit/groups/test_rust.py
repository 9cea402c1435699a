"""The extension's own tests: batch weights, wiping of secrets, the Merkle map against its definition."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


@pytest.mark.timeout(900)
def test_cargo_test(checkout: Path) -> None:
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip("this Python has no shared library that a Rust test program could be linked with")
    cargo = shutil.which("cargo") or pytest.fail("cargo is missing: install Rust from https://rustup.rs")
    library = str(sysconfig.get_config_var("LIBDIR"))
    environment = os.environ | {"PYO3_PYTHON": sys.executable, "LD_LIBRARY_PATH": library}
    command = [cargo, "test", "--release", "--locked", "--quiet", "--manifest-path", str(checkout / "rust/Cargo.toml")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 failed" in run.stdout
    assert any(int(line.split(" passed")[0].split()[-1]) >= 11 for line in run.stdout.splitlines() if " passed" in line)
