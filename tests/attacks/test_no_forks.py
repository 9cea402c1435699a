"""Claim: no forks (the paper's "birthday collision resilience"): honest nodes never commit different blocks at a height.

Not one seed may break it, with crashes, partitions and replicas that equivocate; with a quorum of 2f the same seeds fork.
"""

from __future__ import annotations

import pytest

from salus.consensus.block import ValidatorSet
from salus.consensus.pbft.rules import Rules
from salus.sim.run import Outcome, run_seed

SEEDS = range(40)


class SmallQuorum(Rules):
    """The repair taken out: two quorums of 2f need not share an honest member."""

    def quorum(self, validators: ValidatorSet) -> int:
        return max(1, 2 * validators.faulty)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [run_seed(seed) for seed in SEEDS]


def test_honest_nodes_never_commit_different_blocks(outcomes):
    assert [(outcome.seed, outcome.broken) for outcome in outcomes if outcome.broken] == []


def test_it_was_tried(outcomes):
    """The seeds exercise what could fork a chain."""
    for count in ("byzantine_replicas", "equivocations_caught", "view_changes", "partitions", "crashes"):
        assert sum(getattr(outcome.counts, count) for outcome in outcomes) > 0, count
    assert all(outcome.counts.commits > 0 for outcome in outcomes)


def test_with_a_smaller_quorum_the_chain_forks():
    broken = [run_seed(seed, rules=SmallQuorum()).broken for seed in SEEDS]
    assert any(what.startswith("agreement") for what in broken)
