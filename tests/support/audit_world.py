"""Access logs with every kind of entry, and the files that auditors get of them."""

from __future__ import annotations

from salus.ledger import queries as q
from salus.ledger.access_export import AccessExport, carried_transactions, fetch_scope
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from support.sharing_world import CLINIC, HOSPITAL, POLICY, SharingChain

EMERGENCY_POLICY = "role:emergency@2025"


def audit_file(chain: SharingChain, *scopes: bytes, category: str = "lab", period: str = "2025Q3") -> AccessExport:
    """What an owner hands to an auditor, fetched from a node."""
    ask = chain.application.query
    proofs = tuple(fetch_scope(ask, scope, category, period) for scope in scopes)
    carried = []
    for tx_hash in carried_transactions(proofs):
        proof = q.TransactionProof.decode(ask(q.TRANSACTION, q.TransactionQuery(tx_hash, 1).encode()))
        assert proof.transaction is not None
        carried.append(proof.transaction)
    return AccessExport(chain.world.genesis, proofs, tuple(carried))


def eventful(chain: SharingChain, name: str = "owner") -> ScopeKey:
    """A scope of which every kind of act is logged at least once; the last block is there to prove the state before it."""
    owner = chain.owner(name)
    own_key = chain.key(owner)
    random = chain.world.random
    by_policy, closed = chain.put(owner, POLICY), chain.put(owner)
    chain.judged(HOSPITAL, {by_policy: None}, purpose="research")  # granted by policy
    delegation = chain.delegate(owner, own_key)
    (share,), _ = chain.judged(HOSPITAL, {closed: delegation})  # granted through the delegation
    chain.commit(chain.grant_of(share))
    chain.judged(CLINIC, {closed: delegation}, purpose="payment")  # denied: unsatisfied
    standing = chain.delegate(owner, own_key, EMERGENCY_POLICY)
    (urgent,), _ = chain.judged(CLINIC, {closed: standing}, emergency="found unconscious", owner=owner)
    chain.commit(chain.grant_of(urgent))
    (waiting,), _ = chain.judged(HOSPITAL, {closed: None})
    chain.commit(signed_by_scope(ms.ShareConsent(waiting, delegation, UNSIGNED), owner, random))
    chain.commit(chain.grant_of(waiting))
    (refused,), _ = chain.judged(CLINIC, {closed: None}, purpose="patient-request")
    chain.commit(signed_by_scope(ms.ShareRefusal(refused, UNSIGNED), owner, random))
    chain.commit(chain.revocation(owner, delegation))
    repolicied = mr.RecordRepolicy(by_policy, 2, chain.capsule(owner, by_policy, "role:nurse@2025"), UNSIGNED)
    chain.commit(signed_by_scope(repolicied, owner, random))
    rotated = mr.RecordRotate(closed, 2, chain.content(owner, closed), UNSIGNED)
    chain.commit(signed_by_scope(rotated, owner, random))
    chain.commit(chain.record(owner, POLICY, supersedes=by_policy))
    chain.commit(signed_by_scope(mr.RecordErase(closed, 3, UNSIGNED), owner, random))
    chain.later(1000)
    return owner
