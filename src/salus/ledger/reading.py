"""Who may read a record's body and sealed metadata: the reader of a committed grant, and the owner.

One rule for clouds and nodes. Steps: docs/protocol/sharing-ledger.md, "shares", step 9.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from salus import labels
from salus.consultation.registration import INSTITUTION, MemberKey, verify_member_signature
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_verify
from salus.groups.ristretto255 import decode_point
from salus.ledger.client import LedgerClient
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing.records import Record, find_record
from salus.ledger.kinds.sharing.scope_keys import SUITE, ScopeKey
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.kinds.sharing.share_state import check_servable
from salus.ledger.sharing_api import ReadProof
from salus.ledger.state import StateView
from salus.symmetric import Random

PROOF_AGE_MS: Final = 5 * 60 * 1000
"""How far the clocks of reader and keeper may differ; for so long an overheard proof reads the same ciphertext again."""
_UNSIGNED: Final = bytes(64)


def prove_reader(
    network: bytes, member: MemberKey, rid: bytes, share: bytes, party: str, now_ms: int, random: Random
) -> ReadProof:
    """An institution shows a granted share to one cloud or node.

    :param party: who is asked. :param now_ms: clock, UTC milliseconds.
    """
    draft = ReadProof(rid, share, member.name, None, party, now_ms, _UNSIGNED)
    return replace(draft, signature=member.sign(network, labels.SIG_READ, draft.signed(), random))


def prove_owner(key: ScopeKey, rid: bytes, party: str, now_ms: int, random: Random) -> ReadProof:
    """An owner shows the key of a record's scope to one cloud or node."""
    draft = ReadProof(rid, None, "", key.V, party, now_ms, _UNSIGNED)
    return replace(draft, signature=key.sign(draft.signed(), random))


def check_reader(view: StateView, network: bytes, proof: ReadProof, party: str, now_ms: int, time_ms: int) -> Record:
    """Whether a reader may have a record's body and metadata now.

    :param party: who is asked. :param now_ms: its clock. :param time_ms: block time of the state.
    :return: the record.
    :raises Refused: ``wrong-request`` (shown to another party, or too old), ``bad-signature``, ``unknown-record``,
        ``record-erased``, and as :func:`salus.ledger.kinds.sharing.share_state.check_servable`.
    """
    refuse_unless(proof.party == party, "wrong-request", f"the proof was made for {proof.party}")
    fresh = abs(now_ms - proof.time_ms) <= PROOF_AGE_MS
    refuse_unless(fresh, "wrong-request", "the proof is too old, or the clocks differ by minutes")
    record = find_record(view, proof.rid)
    if proof.V is not None:
        _check_owner(view, network, proof, record)
    elif proof.share is not None:
        W = live_party(view, INSTITUTION, proof.reader).W
        verify_member_signature(network, labels.SIG_READ, proof.reader, W, proof.signed(), proof.signature)
        check_servable(view, proof.share, proof.reader, proof.rid, time_ms)
    else:
        raise Refused("not-granted", "neither a share nor the owner's key is shown")
    return record


def _check_owner(view: StateView, network: bytes, proof: ReadProof, record: Record) -> None:
    V = find_scope(view, record.scope).V
    refuse_unless(proof.V == V, "not-granted", "the record is of another scope")
    schnorr_verify(labels.SIG_SCOPE, SUITE, decode_point(V, "V"), (network, V), proof.signed(), proof.signature)


class ProvenView:
    """The ledger's state as a party without a ledger of its own sees it: every value proven under a certified header.

    :param ledger: asks nodes that it does not believe.
    """

    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger = ledger
        self._known: dict[tuple[str, bytes], bytes | None] = {}

    def get(self, kind: str, raw: bytes) -> bytes | None:
        """The value under (kind, raw key), or None, which is proven too."""
        key = (kind, raw)
        if key not in self._known:
            self._known[key] = self._ledger.raw_state(kind, raw)
        return self._known[key]

    def prefetch(self, kind: str, raws: Iterable[bytes]) -> None:
        """Fetch several values of a kind together: many of them cost a question each otherwise."""
        wanted = [raw for raw in dict.fromkeys(raws) if (kind, raw) not in self._known]
        for raw, value in zip(wanted, self._ledger.raw_states(kind, wanted), strict=True):
            self._known[(kind, raw)] = value
