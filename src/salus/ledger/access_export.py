"""A file for auditors: access logs of one owner's scopes, with everything that proves them but the name of the network.

One message, which whoever knows the network (its id, or its genesis file) verifies without asking anyone. Steps:
docs/protocol/sharing-ledger.md, "access log", steps 4 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec

from salus.codec import MAX_ENCODED_BYTES, Message, Size
from salus.consensus.block import transaction_hash
from salus.errors import Refused, refuse_unless
from salus.ledger import queries as q
from salus.ledger.access_proofs import AccessLogProof, Ask, fetch_access_log, verify_access_proof
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.sharing.access_log import DELEGATED, PUT, REPOLICIED, ROTATED, AccessEntry
from salus.ledger.kinds.sharing.scopes import SCOPES, Scope
from salus.ledger.proofs import verify_state
from salus.ledger.transactions import MAX_TRANSACTION_BYTES

SCOPES_MAX: Final = 4096
"""Scopes of one file: eight categories for more quarters than anybody lives."""
TRANSACTIONS_MAX: Final = 1 << 16
"""Transactions of one file; 64 MiB in all is the narrower bound."""
CARRIED: Final = (PUT, REPOLICIED, ROTATED, DELEGATED)
"""Acts whose transactions say more than the entry: policies and times."""
BYTES_MAX: Final = MAX_ENCODED_BYTES
HEAD_BYTES: Final = 32
"""First bytes of a file, which tell what it is meant to be."""

Word = Annotated[str, Size(0, 64)]
Raw = Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES)]


class ScopeProof(Message, frozen=True):
    """One scope.

    :ivar category, period: what the owner says of it: the ledger knows neither.
    :ivar opened: the map's word that the scope is open, and whose if it is an institution's.
    """

    KIND = "access.scope"

    category: Word
    period: Word
    opened: q.StateProof
    log: AccessLogProof


class AccessExport(Message, frozen=True):
    """The file.

    :ivar genesis: names the validators that sign headers; believed for its id alone.
    :ivar scopes: each once. :ivar transactions: that entries name, each once; those that nodes still keep.
    """

    KIND = "access.export"

    genesis: Genesis
    scopes: Annotated[tuple[ScopeProof, ...], Size(1, SCOPES_MAX)]
    transactions: Annotated[tuple[Raw, ...], Size(0, TRANSACTIONS_MAX)]


class AuditedScope(msgspec.Struct, frozen=True):
    """A scope whose log was proven complete.

    :ivar category, period: the owner's word. :ivar institution: the owner's proven name, empty for a patient.
    :ivar opened_ms: block time. :ivar as_of_ms, height: of the state that the log is complete in.
    """

    scope: bytes
    category: str
    period: str
    institution: str
    opened_ms: int
    entries: tuple[AccessEntry, ...]
    as_of_ms: int
    height: int


class AuditedAccess(msgspec.Struct, frozen=True):
    """A file that verified.

    :ivar network: id, 32 bytes. :ivar chain: short name. :ivar transactions: encodings by hash.
    """

    network: bytes
    chain: str
    scopes: tuple[AuditedScope, ...]
    transactions: Mapping[bytes, bytes]


def fetch_scope(ask: Ask, scope: bytes, category: str, period: str) -> ScopeProof:
    """Fetch what proves one scope's log (access log, step 2).

    :raises Refused: as :func:`salus.ledger.access_proofs.fetch_access_log`.
    """
    opened = q.StateProof.decode(ask(q.STATE, q.StateQuery(SCOPES.kind, (scope,)).encode()))
    return ScopeProof(category, period, opened, fetch_access_log(ask, scope))


def carried_transactions(scopes: Sequence[ScopeProof]) -> list[bytes]:
    """Hashes of the transactions that a file with these scopes carries, in the order of entries, each once."""
    hashes = (e.tx_hash for scope in scopes for e in scope.log.entries if e.act in CARRIED)
    return list(dict.fromkeys(hashes))


def encode_access_export(export: AccessExport) -> bytes:
    """The file's bytes.

    :raises Refused: ``too-large``.
    """
    size = sum(map(len, export.transactions)) + sum(400 * len(scope.log.entries) for scope in export.scopes)
    refuse_unless(size < BYTES_MAX, "too-large", "these logs do not fit into one file; export one category or quarter at a time")
    return export.encode()


def is_access_export(head: bytes) -> bool:
    """Whether a file that begins so is meant to be one of these."""
    return AccessExport.KIND.encode() in head[:HEAD_BYTES]


def verify_access_export(export: AccessExport, network: bytes, not_before_ms: int = 0) -> AuditedAccess:
    """Verify a file (access log, steps 4 to 6).

    :param network: id of the network that the verifier trusts: of its own genesis, or heard through another channel.
    :param not_before_ms: headers older than this are refused.
    :raises Refused: ``bad-evidence`` (another network's; transactions that no entry names), ``bad-proof`` (the detail names
        scope and entry), ``unknown-scope``, ``no-quorum``, ``bad-signature``, ``unknown-party``, ``bad-time``.
    """
    # step 4: the id is a hash of all keys
    found = export.genesis.network()
    refuse_unless(found == network, "bad-evidence", f"the file is of network {found.hex()}, not of {network.hex()}")
    export.genesis.verify()
    names = [scope.log.scope for scope in export.scopes]
    refuse_unless(len(set(names)) == len(names), "bad-evidence", "a scope is in the file twice")
    scopes = tuple(_verified(export.genesis, scope, not_before_ms) for scope in export.scopes)
    # step 6
    named = {e.tx_hash for scope in scopes for e in scope.entries if e.act in CARRIED}
    transactions = {transaction_hash(raw): raw for raw in export.transactions}
    once = len(transactions) == len(export.transactions)
    refuse_unless(once and transactions.keys() <= named, "bad-evidence", "the file carries transactions that no entry names")
    return AuditedAccess(network, export.genesis.core.chain, scopes, transactions)


def _verified(genesis: Genesis, proof: ScopeProof, not_before_ms: int) -> AuditedScope:
    """Step 5."""
    network, validators, x = genesis.network(), genesis.validators(), proof.log.scope
    try:
        (value,) = verify_state(proof.opened, q.StateQuery(SCOPES.kind, (x,)), network, validators)
        refuse_unless(value is not None, "unknown-scope", "no such scope is open")
        log = verify_access_proof(proof.log, x, network, validators, not_before_ms)
    except Refused as refused:
        said = f" ({proof.category} {proof.period})" if proof.category else ""
        raise Refused(refused.reason, f"scope {x.hex()[:16]}{said}: {refused.detail}") from None
    opened = Scope.decode(value or b"")
    return AuditedScope(
        x, proof.category, proof.period, opened.institution, opened.opened_ms, log.entries, log.as_of_ms, log.height
    )
