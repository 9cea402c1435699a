"""Deliberately broken replicas: the simulator must catch each of them, or its checks check nothing."""

from __future__ import annotations

import pytest

from salus.consensus.block import ValidatorSet
from salus.consensus.pbft.messages import PreparedProof
from salus.consensus.pbft.rules import Rules
from salus.sim.command import as_object, as_text
from salus.sim.run import Failure, Outcome, Report, replay_command, run_seed

MAX_SEEDS = 1500
"""Seeds after which a broken replica should long have been caught (it takes ten to two hundred)."""


class QuorumOf2f(Rules):
    """Decides with one vote too few."""

    def quorum(self, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class UnsyncedVotes(Rules):
    """Sends its votes before they are on disk."""

    sends_wait_for_disk = False


class ForgottenCertificate(Rules):
    """Leaves its prepared certificate out of view-changes."""

    def carried(self, prepared: PreparedProof | None) -> PreparedProof | None:
        return None


def _first_caught(rules: Rules) -> Outcome:
    for seed in range(MAX_SEEDS):
        outcome = run_seed(seed, rules=rules)
        if outcome.broken:
            return outcome
    raise AssertionError(f"{type(rules).__name__} was not caught by {MAX_SEEDS} networks")


@pytest.mark.parametrize("broken", [QuorumOf2f, UnsyncedVotes, ForgottenCertificate])
def test_it_is_caught_and_replays(broken: type[Rules]) -> None:
    caught = _first_caught(broken())
    expected = ("agreement", "justice", "durability", "stopped", "committed at heights")
    assert any(word in caught.broken for word in expected), caught.broken
    again = run_seed(caught.seed, rules=broken())
    assert (again.broken, again.trace_hash) == (caught.broken, caught.trace_hash), "the same seed fails in the same way"
    assert not run_seed(caught.seed).broken, "an honest network survives the same faults"


def test_a_failure_is_printed_with_the_command_that_replays_it() -> None:
    assert replay_command(17, "toy") == "salus sim --seeds 1 --from 17"
    assert replay_command(17, "ledger") == "salus sim --seeds 1 --from 17 --application ledger"
    report = Report(0, 2, "toy", 2, 1.0, {"commits": 3}, [Failure(1, "agreement: ..", replay_command(1, "toy"))])
    text = as_text(report, [])
    assert "seed 1 FAILED: agreement" in text
    assert "replay it with: salus sim --seeds 1 --from 1" in text
    assert as_object(report, [])["failures"] == [{"seed": 1, "what": "agreement: ..", "replay": "salus sim --seeds 1 --from 1"}]
    assert "never happened" in as_text(report, ["crashes"])
