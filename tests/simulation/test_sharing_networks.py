"""Networks that share, over the real ledger: a committee deals its keys on the chain while messages are lost and nodes crash."""

from __future__ import annotations

import os

import pytest

from salus.sim.run import run_seeds
from salus.sim.sharing_parties import sharing_parties

SEEDS = 12


def test_every_invariant_holds() -> None:
    report = run_seeds(0, SEEDS, jobs=2, application="sharing")
    assert not report.failures, "\n".join(f"{f.what}\nreplay: {f.replay}" for f in report.failures)
    for what in ("view_changes", "crashes", "partitions"):
        assert report.exercised[what] > 0


def test_the_wishes_reach_from_the_committee_to_shares() -> None:
    wishes = b"".join(t for wish in sharing_parties(4, 4).wishes for t in wish)
    for kind in (b"sharing.key", b"dkg.deal", b"sharing.fix", b"record.put", b"key.request", b"share.request", b"record.erase"):
        assert kind in wishes


@pytest.mark.long
def test_hundreds_of_seeds() -> None:
    report = run_seeds(1000, int(os.environ.get("SIM_SEEDS", "300")), jobs=2, application="sharing")
    assert not report.failures, "\n".join(f"{f.what}\nreplay: {f.replay}" for f in report.failures)
