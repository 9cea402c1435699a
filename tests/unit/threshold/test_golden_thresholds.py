"""Formats of the thresholds that are stored: golden files of version 1 are read, mean the same as ever, and are written alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.abpre.threshold.alpha import AlphaDeal, AlphaPublic, AlphaSharing, PointShare, check_alpha_deal, open_point_share
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.delegations import SealedDelegation, check_attachment, check_delegation
from salus.abpre.threshold.epoch_keys import SharingSecret
from salus.abpre.threshold.key_collecting import BadPartialKey, judge_partial_key, open_partial_key
from salus.abpre.threshold.key_issuing import IssuedPartial, KeyDemand, KeyRequest, check_demand
from salus.abpre.threshold.partials import PartialClaim, PartialTransformation, check_partial_claim
from salus.abpre.threshold.receipts import Deletion, RevocationReceipt
from salus.abpre.threshold.scalar_deals import ScalarDeal, ScalarPublic, ScalarShare, ScalarSharing, check_scalar_deal
from salus.codec import Message
from support.threshold_world import NETWORK

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "threshold"
MESSAGES: dict[str, type[Message]] = {
    "committee": Committee,
    "alpha-deal": AlphaDeal,
    "alpha-sharing": AlphaSharing,
    "z-deal": ScalarDeal,
    "z-sharing": ScalarSharing,
    "oprf-sharing": ScalarSharing,
    "key-request": KeyRequest,
    "partial-key": IssuedPartial,
    "key-demand": KeyDemand,
    "key-evidence": BadPartialKey,
    "delegation": SealedDelegation,
    "partial": PartialTransformation,
    "partial-claim": PartialClaim,
    "deletion": Deletion,
    "receipt": RevocationReceipt,
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_read_and_write_the_same(name):
    assert MESSAGES[name].decode(golden(name)).encode() == golden(name)


def test_every_golden_file_is_read_here():
    secrets = {"sharing-secret", "point-share", "z-share", "oprf-share", "one-time-key", "c"}
    assert {path.stem for path in GOLDEN.glob("*.bin")} == MESSAGES.keys() | secrets


def test_a_nodes_files_still_open_what_the_ledger_holds():
    committee = Committee.decode(golden("committee"))
    public = AlphaPublic(AlphaSharing.decode(golden("alpha-sharing")))
    secret = SharingSecret.from_secret(1, golden("sharing-secret"))
    share = PointShare.from_secret(public, 1, golden("point-share"))
    assert open_point_share(committee, public, committee.seat(1).name, secret).S == share.S
    assert share.export_secret() == golden("point-share")
    for purpose in ("z", "oprf"):
        scalar = ScalarShare.from_secret(
            ScalarPublic(ScalarSharing.decode(golden(f"{purpose}-sharing"))), 1, golden(f"{purpose}-share")
        )
        assert scalar.export_secret() == golden(f"{purpose}-share")


def test_what_the_ledger_holds_still_verifies():
    committee = Committee.decode(golden("committee"))
    public = AlphaPublic(AlphaSharing.decode(golden("alpha-sharing")))
    check_alpha_deal(NETWORK, committee, AlphaDeal.decode(golden("alpha-deal")))
    check_scalar_deal(NETWORK, committee, ScalarDeal.decode(golden("z-deal")))
    request = KeyRequest.decode(golden("key-request"))
    key = BoxKey.from_secret(golden("one-time-key"))
    open_partial_key(NETWORK, committee, request, key, IssuedPartial.decode(golden("partial-key")))
    check_demand(NETWORK, committee, request, KeyDemand.decode(golden("key-demand")))
    evidence = BadPartialKey.decode(golden("key-evidence"))
    assert judge_partial_key(NETWORK, committee, public, request, evidence) == evidence.partial.node
    delegation = SealedDelegation.decode(golden("delegation"))
    check_delegation(NETWORK, delegation)
    check_attachment(NETWORK, delegation, golden("c"))
    check_partial_claim(NETWORK, committee, PartialClaim.decode(golden("partial-claim")))
