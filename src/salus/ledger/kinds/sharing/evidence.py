"""Evidence of wrong partials and false verdicts, judged in public (docs/protocol/sharing-ledger.md, "evidence")."""

from __future__ import annotations

from typing import Final

from salus import labels
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.transforming import BadPartial, judge_transformation
from salus.consultation.registration import NODE
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.misbehaviour import check_new, record_conviction
from salus.ledger.kinds.parties import PARTIES, Party, party_key
from salus.ledger.kinds.sharing.claims import member_claim
from salus.ledger.kinds.sharing.committee_state import committee_of, scalar_public
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.messages.shares import CheckVerdict, FalseVerdict
from salus.ledger.kinds.sharing.share_state import SHARE_REQUESTS, closes_ms, find_share, shown_target
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

FALSE_PARTIAL: Final = "false-partial"
"""Offence of a node that signed a bad partial transformation."""
FALSE_VERDICT: Final = "false-verdict"
"""Offence of a check node that signed a verdict that is not true, or two that differ."""


class _BadPartial:
    """Evidence, step 1."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[BadPartial]) -> list[AnyClaim]:
        partial = tx.message.partial
        check_new(view, partial.node, FALSE_PARTIAL, partial.share)
        share = find_share(view, partial.share)
        over_ms = closes_ms(view, share) + sharing_constants(view).grant_ms + context.constants.evidence_window_ms
        refuse_unless(context.time_ms < over_ms, "expired", f"evidence about this share was heard until {over_ms}")
        target = shown_target(view, context.network, partial.share, partial.epoch, tx.message.capsule)
        public = scalar_public(view, partial.epoch, Z)
        judge_transformation(committee_of(view, partial.epoch), target, public, tx.message)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[BadPartial]) -> None:
        record_conviction(state, context, tx.message.partial.node, FALSE_PARTIAL, tx.message.partial.share)


class _FalseVerdict:
    """Evidence, step 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[FalseVerdict]) -> list[AnyClaim]:
        verdict, other = tx.message.verdict, tx.message.other
        check_new(view, verdict.node, FALSE_VERDICT, _subject(verdict))
        party = _node(view, verdict.node)
        claims: list[AnyClaim] = [member_claim(context, party, verdict, labels.SIG_VERDICT)]
        if other is None:
            asked = SHARE_REQUESTS.get(view, verdict.tx_hash)
            if asked is None or asked.height != verdict.height:
                raise Refused("bad-evidence", "the ledger holds no verdict on that transaction at that height")
            refuse_unless(asked.outcomes != verdict.outcomes, "bad-evidence", "the verdict is true")
            return claims
        same = (other.node, other.tx_hash, other.height) == (verdict.node, verdict.tx_hash, verdict.height)
        refuse_unless(same and other.outcomes != verdict.outcomes, "bad-evidence", "the verdicts do not differ")
        return [*claims, member_claim(context, party, other, labels.SIG_VERDICT)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[FalseVerdict]) -> None:
        verdict = tx.message.verdict
        record_conviction(state, context, verdict.node, FALSE_VERDICT, _subject(verdict))


def _node(view: StateView, name: str) -> Party:
    """A node, revoked or not: leaving does not undo what was signed."""
    party = PARTIES.get(view, party_key(NODE, name))
    if party is None:
        raise Refused("unknown-party", f"node {name}")
    return party


def _subject(verdict: CheckVerdict) -> bytes:
    return verdict.tx_hash + verdict.height.to_bytes(8, "big")


KINDS: Final = (
    KindSpec(BadPartial, _BadPartial(), since=SHARING_VERSION),
    KindSpec(FalseVerdict, _FalseVerdict(), since=SHARING_VERSION),
)
