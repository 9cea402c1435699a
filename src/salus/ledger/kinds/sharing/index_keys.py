"""Index keys of scopes, published for a sharing policy.

Steps: docs/protocol/sharing-ledger.md, "records", step 8.
"""

from __future__ import annotations

from typing import Final

from salus import labels
from salus.abpre.capsules import CapsuleMessage, take_unchecked
from salus.abpre.threshold.partials import digest_of_capsule
from salus.codec import Bytes32, Message, encode
from salus.errors import refuse_unless
from salus.ledger.kinds.sharing import limits, lists
from salus.ledger.kinds.sharing.claims import require_scope_signature
from salus.ledger.kinds.sharing.constants import SHARING_VERSION
from salus.ledger.kinds.sharing.messages.records import IndexKeyPublication
from salus.ledger.kinds.sharing.records import require_policy_of
from salus.ledger.kinds.sharing.scope_keys import SUITE
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.signatures import AnyClaim, CapsuleClaim, decoded_capsule
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.search.index_keys import SealedIndexKey
from salus.symmetric import h2


class IndexKey(Message, frozen=True):
    """A scope's index key for a sharing policy.

    :ivar tx_hash, time_ms: of the publication.
    """

    KIND = "state.index-key"
    capsule: CapsuleMessage
    sealed: SealedIndexKey
    tx_hash: Bytes32
    time_ms: int


INDEX_KEYS: Final = Table("index-key", IndexKey, shared=False)
"""Raw key: x and :func:`policy_digest`."""


def index_aad(network: bytes, scope: bytes) -> bytes:
    """Additional data of the capsule that holds an index key: no record's, so nobody passes one off as the other."""
    return encode((labels.INDEX_CAPSULE, SUITE, network, scope))


def index_about(network: bytes, scope: bytes, capsule: CapsuleMessage) -> bytes:
    """What an index key published by policy is sealed about: the digest of its capsule, 32 bytes."""
    return digest_of_capsule(network, take_unchecked(decoded_capsule(capsule), index_aad(network, scope)))


def policy_digest(policy: str) -> bytes:
    """What names a policy in state keys: 32 bytes."""
    return h2(labels.POLICY_NAME, SUITE, policy)


class _PublishIndexKey:
    """Records, step 8."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[IndexKeyPublication]) -> list[AnyClaim]:
        message = tx.message
        scope = find_scope(view, message.scope)
        refuse_unless(message.sealed.scope == message.scope, "wrong-scope", "the sealed index key is another scope's")
        known = INDEX_KEYS.get(view, message.scope + policy_digest(message.capsule.policy))
        refuse_unless(known is None, "already-done", "the index key is published under this policy")
        limits.check_limit(view, context, limits.CHANGES, message.scope.hex(), 1)
        require_scope_signature(context.network, scope.V, message)
        require_policy_of(message.capsule, message.scope)
        return [CapsuleClaim(message.capsule, index_aad(context.network, message.scope), "the index key's capsule")]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[IndexKeyPublication]) -> None:
        message = tx.message
        limits.use(state, context, limits.CHANGES, message.scope.hex(), 1)
        digest = policy_digest(message.capsule.policy)
        INDEX_KEYS.put(state, message.scope + digest, IndexKey(message.capsule, message.sealed, tx.hash, context.time_ms))
        lists.append(state, lists.SCOPE_INDEX_KEYS, message.scope, digest)
        context.emit("index.published", message.scope)


KINDS: Final = (
    KindSpec(
        IndexKeyPublication,
        _PublishIndexKey(),
        since=SHARING_VERSION,
        spends=lambda m: encode((m.KIND, m.scope, policy_digest(m.capsule.policy))),
    ),
)
