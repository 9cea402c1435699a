"""The coverage-guided fuzzer, in a process of its own because it instruments what it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "support.fuzz_decoders"]


def run_fuzzer(tmp_path: Path, seconds: int, seed: int) -> str:
    """Fuzz for a while and return what the fuzzer said; its output names the input that failed."""
    pytest.importorskip(
        "atheris", reason="atheris has no build for this Python or system; Python 3.11 and 3.12 on Linux have one"
    )
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    done = subprocess.run(
        [
            *COMMAND,
            corpus,
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-artifact_prefix={tmp_path}/",
            "-timeout=20",
        ],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"replay in {TESTS} with {' '.join(COMMAND)} FILE, the file named here:\n{output[-6000:]}"
    return output


def check_it_searched(output: str) -> None:
    runs = re.search(r"Done (\d+) runs", output)
    coverage = re.findall(r"cov: (\d+)", output)
    assert runs is not None
    assert int(runs[1]) > 1000
    assert int(coverage[-1]) > int(coverage[0]) / 2 > 10
    assert int(re.search(r"decoders: (\d+)", output)[1]) > 10


def test_every_decoder_for_some_seconds(tmp_path: Path) -> None:
    check_it_searched(run_fuzzer(tmp_path, seconds=10, seed=1))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_decoder_for_ten_minutes(tmp_path: Path) -> None:
    check_it_searched(run_fuzzer(tmp_path, seconds=600, seed=0))
