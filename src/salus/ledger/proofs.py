"""What a light client checks: certified headers, inclusion, presence and absence.

It knows the genesis, so the network and the first validator set; it believes no node. A header is believed if a quorum of
the set it names signed it, and the set is one that the client was led to: the first, or the next of a certified header.
Members of an old set who turn bad after they left could still sign headers for clients that have not heard of the change
(the long-range problem of every proof of stake): :class:`HeaderChain` therefore never goes back, and callers refuse
headers older than their own bound.
"""

from __future__ import annotations

from collections.abc import Iterable

from salus.consensus.block import CertifiedHeader, ValidatorSet, verify_decided
from salus.errors import refuse_unless
from salus.ledger import queries as q
from salus.ledger.apply import application_hash
from salus.ledger.log_entries import log_entry
from salus.ledger.merkle_log import ConsistencyProof, verify_consistency, verify_inclusion
from salus.ledger.merkle_map import verify_absence, verify_presence
from salus.ledger.state import state_key
from salus.merkle import leaf_hash


def verify_certified(certified: CertifiedHeader, network: bytes, validators: ValidatorSet) -> None:
    """Check that a quorum of ``validators`` decided this header.

    :raises Refused: ``no-quorum``, ``bad-signature``, ``unknown-party``.
    """
    verify_decided(certified.header, certified.certificate, network, validators)


def verify_roots(certified: CertifiedHeader, log_count: int, log_root: bytes, state_root: bytes) -> None:
    """Check that both roots, and the number of log entries, are those whose hash the certified header carries (proofs, step 2).

    :raises Refused: ``bad-proof``.
    """
    covered = application_hash(log_count, log_root, state_root) == certified.header.application_hash
    refuse_unless(covered, "bad-proof", "the roots or the number of log entries are not those that the certified header covers")


def verify_state(proof: q.StateProof, query: q.StateQuery, network: bytes, validators: ValidatorSet) -> tuple[bytes | None, ...]:
    """Check an answer about state keys; returns the values, None where absence is proven.

    The values are those after the block in front of ``proof.certified``.

    :raises Refused: ``bad-proof``, ``no-quorum``, ``bad-signature``, ``unknown-party``.
    """
    verify_certified(proof.certified, network, validators)
    verify_roots(proof.certified, proof.log_count, proof.log_root, proof.state_root)
    refuse_unless(len(proof.values) == len(query.raw_keys), "bad-proof", "not as many values as keys were asked for")
    for raw, found in zip(query.raw_keys, proof.values, strict=True):
        key = state_key(query.kind, raw)
        if found.value is None:
            verify_absence(found.proof, key, proof.state_root)
        else:
            verify_presence(found.proof, key, found.value, proof.state_root)
    return tuple(found.value for found in proof.values)


def verify_transaction(proof: q.TransactionProof, tx_hash: bytes, network: bytes, validators: ValidatorSet) -> None:
    """Check that a transaction of this hash is committed at the height and index named, with the result named.

    :raises Refused: ``bad-proof``, ``no-quorum``, ``bad-signature``, ``unknown-party``.
    """
    verify_certified(proof.certified, network, validators)
    verify_roots(proof.certified, proof.log_count, proof.log_root, proof.state_root)
    entry = leaf_hash(log_entry(proof.height, proof.index, tx_hash, proof.result))
    refuse_unless(proof.height < proof.certified.header.height, "bad-proof", "the header does not cover that height yet")
    refuse_unless(proof.inclusion.count == proof.log_count, "bad-proof", "the inclusion proof is for a log of another length")
    verify_inclusion(proof.inclusion, entry, proof.log_root)


def verify_growth(proof: ConsistencyProof, earlier: q.StateProof, later: q.StateProof) -> None:
    """Check that the log under one verified answer is a prefix of the log under a later one: nothing was taken back.

    :raises Refused: ``bad-proof``.
    """
    counts = (proof.first, proof.second) == (earlier.log_count, later.log_count)
    refuse_unless(counts, "bad-proof", "the consistency proof is between logs of other lengths")
    verify_consistency(proof, earlier.log_root, later.log_root)


class HeaderChain:
    """Follows certified headers, and the validator sets that they name.

    :ivar validators: set of the next height. :ivar last: the newest header followed, None at genesis.
    """

    def __init__(self, network: bytes, genesis_hash: bytes, validators: ValidatorSet) -> None:
        self._network = network
        self._genesis_hash = genesis_hash
        self.validators = validators
        self.last: CertifiedHeader | None = None

    def follow(self, certified: CertifiedHeader, next_validators: ValidatorSet | None = None) -> None:
        """Check the next header: height, previous id, time, validator set, certificate.

        :param next_validators: set of the height after it, needed if it changes there.
        :raises Refused: ``bad-proof``, ``no-quorum``, ``bad-signature``, ``unknown-party``.
        """
        header = certified.header
        before = None if self.last is None else self.last.header
        height = 0 if before is None else before.height
        refuse_unless(header.height == height + 1, "bad-proof", f"header {header.height} does not follow {height}")
        previous = self._genesis_hash if before is None else before.id()
        refuse_unless(header.previous_id == previous, "bad-proof", f"header {header.height} names another previous block")
        later = before is None or header.time_ms > before.time_ms
        refuse_unless(later, "bad-proof", f"header {header.height} is not later than the one before it")
        promised = before is None or header.validators_hash == before.next_validators_hash
        refuse_unless(promised, "bad-proof", f"header {header.height} names another validator set than was promised")
        verify_certified(certified, self._network, self.validators)
        following = next_validators or self.validators
        led = following.hash() == header.next_validators_hash
        refuse_unless(led, "bad-proof", f"the validator set after height {header.height} is not the one it names")
        self.validators = following
        self.last = certified

    def follow_all(self, headers: Iterable[CertifiedHeader]) -> None:
        """Follow headers while the set does not change."""
        for certified in headers:
            self.follow(certified)
