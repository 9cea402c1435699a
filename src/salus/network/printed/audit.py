"""Verifying a printed ledger from its genesis and an export alone: signatures, order, and the chain's rules."""

from __future__ import annotations

import msgspec

from salus.consensus.block import Block, BlockHeader, Certificate, check_body, verify_decided
from salus.consultation.published.chain import MediBchain
from salus.errors import refuse_unless
from salus.network.printed.messages import Export, Genesis, decode_ordered


class AuditReport(msgspec.Struct, frozen=True):
    """What an audit found.

    :ivar height: last block. :ivar transactions: chained. :ivar application_hash: after the last block.
    :ivar proven_height: last block whose state a certified header carries (the hash of h is in header h + 1).
    """

    height: int
    transactions: int
    application_hash: bytes
    proven_height: int


def verify_export(genesis: Genesis, export: Export) -> AuditReport:
    """Check every block of an export against the genesis.

    Each header follows the one before, its certificate is a quorum's, the body is the header's, each transaction obeys the
    chain's public rules, and each header carries the digest of the chain before it. What cannot be checked from outside is
    that M_i1 and M_k1 hold: that needs theta, so the printed protocol's ledger convinces its own nodes only.

    :raises Refused: ``bad-encoding``, ``bad-signature``, ``no-quorum``, or a rule's own reason.
    """
    network, chain = genesis.directory.network, MediBchain()
    previous_id, previous_certificate = genesis.id(), b""
    for height, exported in enumerate(export.blocks, start=1):
        block, certificate = Block.decode(exported.block), Certificate.decode(exported.certificate)
        header: BlockHeader = block.header
        refuse_unless(header.height == height, "bad-encoding", f"block {header.height} in the place of {height}")
        refuse_unless(header.previous_id == previous_id, "bad-encoding", f"block {height} does not follow the one before")
        verify_decided(header, certificate, network, genesis.validators)
        check_body(block)
        refuse_unless(header.application_hash == chain.digest, "bad-encoding", f"header {height} carries another state")
        for data in block.transactions:
            chain.append(genesis.directory, decode_ordered(data).transaction.encode(), data)
        previous_id, previous_certificate = header.id(), exported.certificate
    proven = len(export.blocks) - 1 if previous_certificate else 0
    return AuditReport(len(export.blocks), chain.height, chain.digest, proven)
