"""Networks over the real ledger: registrations, slots, an epoch, anonymous requests, with all checks and real signatures."""

from __future__ import annotations

import os

import pytest

from salus.sim.ledger_workload import LedgerWorkload
from salus.sim.run import run_seeds
from salus.sim.scenario import draw

SEEDS = 40


def test_every_invariant_holds() -> None:
    report = run_seeds(0, SEEDS, jobs=2, application="ledger")
    assert not report.failures, "\n".join(f"{f.what}\nreplay: {f.replay}" for f in report.failures)
    for what in ("view_changes", "crashes", "power_losses", "partitions", "equivocations_caught", "catch_ups"):
        assert report.exercised[what] > 0


def test_some_networks_get_as_far_as_consultations() -> None:
    kinds = set()
    for seed in range(SEEDS):
        for wish in LedgerWorkload(draw(seed)).wishes:
            kinds |= {t.split(b"\x00\x00\x00")[2][1:20] for t in wish.transactions}
    assert any(b"consultation.reques" in kind for kind in kinds), kinds


@pytest.mark.long
def test_hundreds_of_seeds() -> None:
    report = run_seeds(1000, int(os.environ.get("SIM_SEEDS", "1000")), jobs=2, application="ledger")
    assert not report.failures, "\n".join(f"{f.what}\nreplay: {f.replay}" for f in report.failures)
