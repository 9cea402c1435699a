"""Verify a whole ledger from genesis and an export, and from nothing else.

Steps (docs/protocol/ledger.md, "verification"), for each block:

1. The body is the one that the header commits to, the proposer the one whose turn it was.
2. The header follows the one before it; a quorum of the validator set signed it; so did a quorum the one before it, by
   the certificate that the block carries.
3. The header carries the application hash that replaying all blocks before it gave.
4. The block is replayed: every public check of every transaction passes.

The application hash after the last block is computed, not certified: the next header would carry it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from salus.consensus.block import Block, Certificate, CertifiedHeader, block_input, check_body, verify_decided
from salus.errors import CodecError, ConsensusError, DamagedFile, Refused, SalusError, refuse_unless
from salus.ledger.application import LedgerApplication, replayed
from salus.ledger.export import read_export_stream
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.proofs import HeaderChain
from salus.ledger.transactions import Registry


class LedgerReport(msgspec.Struct, frozen=True):
    """What was verified.

    :ivar height, time_ms: of the last block. :ivar application_hash: after it.
    :ivar transactions: number by kind.
    """

    network: bytes
    height: int
    time_ms: int
    application_hash: bytes
    transactions: dict[str, int]


def verify_export(genesis: Genesis, file: BinaryIO, registry: Registry = REGISTRY) -> LedgerReport:
    """Verify genesis and every block of an export by signatures and replay.

    :raises Refused: with the reason of the first thing that does not verify; the detail names the block.
    :raises DamagedFile: the file is truncated or no export.
    """
    return verify_records(genesis, read_export_stream(file, genesis.network(), genesis.hash()), registry)


def verify_records(genesis: Genesis, records: Iterable[tuple[bytes, bytes]], registry: Registry = REGISTRY) -> LedgerReport:
    """:func:`verify_export` of (block record, certificate) from height 1 on, wherever they come from."""
    genesis.verify()
    verifier = _Verifier(genesis, replayed(genesis, registry))
    for record, certificate in records:
        verifier.block(record, certificate)
    return verifier.report()


class _Verifier:
    def __init__(self, genesis: Genesis, application: LedgerApplication) -> None:
        self.network = genesis.network()
        self._application = application
        self._chain = HeaderChain(self.network, genesis.hash(), genesis.validators())
        self._voters = genesis.validators()
        self._next = genesis.validators()
        self._counts: dict[str, int] = {}

    def block(self, record: bytes, certificate_bytes: bytes) -> None:
        """Verify the next block."""
        height = self._application.info().height + 1
        try:
            block, certificate = Block.decode(record), Certificate.decode(certificate_bytes)
            self._verify(block, certificate)
        except CodecError as error:
            raise DamagedFile(f"block {height} of the export is damaged: {error.detail}") from None
        except Refused as refusal:
            raise Refused(refusal.reason, f"block {height}: {refusal.detail}") from None
        self._replay(block, record, certificate_bytes)

    def _verify(self, block: Block, certificate: Certificate) -> None:
        header = block.header
        # step 1
        check_body(block)
        validators = self._chain.validators
        turn = validators.primary(header.height, header.view).name
        refuse_unless(header.proposer == turn, "not-authorised", f"{header.proposer} proposed in the turn of {turn}")
        # step 2
        before = self._chain.last
        first = before is None
        refuse_unless((block.previous_certificate is None) == first, "bad-proof", "only block 1 carries no certificate")
        carried = block.previous_certificate
        if before is not None and carried is not None and carried != before.certificate:
            verify_decided(before.header, carried, self.network, self._voters)
        self._voters = validators
        self._chain.follow(CertifiedHeader(header, certificate), self._next)
        # step 3
        replay = self._application.info().application_hash
        same = header.application_hash == replay
        refuse_unless(same, "bad-proof", "the header carries another application hash than replay gives")

    def _replay(self, block: Block, record: bytes, certificate: bytes) -> None:
        """Step 4."""
        application = self._application
        try:
            done = application.finalise_block(block_input(block, self._voters))
        except ConsensusError as error:
            raise Refused("bad-evidence", str(error)) from None
        application.commit(record, certificate)
        # Changes by block H are active at H + 2: the header of H + 1 names them first.
        self._next = self._next.changed(done.validator_updates)
        for raw in block.transactions:
            kind = application.transaction(raw).message.KIND
            self._counts[kind] = self._counts.get(kind, 0) + 1

    def report(self) -> LedgerReport:
        """What was verified so far."""
        info = self._application.info()
        counts = dict(sorted(self._counts.items()))
        return LedgerReport(self.network, info.height, info.last_time_ms, info.application_hash, counts)


def main(arguments: list[str]) -> int:
    """``python -m salus.ledger.verify GENESIS EXPORT``: prints one JSON object; status 1 if it does not verify, 2 for usage."""
    if len(arguments) != 2:
        print("usage: python -m salus.ledger.verify GENESIS EXPORT", file=sys.stderr)
        return 2
    try:
        genesis = Genesis.decode(Path(arguments[0]).read_bytes())
        with Path(arguments[1]).open("rb") as file:
            report = verify_export(genesis, file)
    except (SalusError, OSError) as error:
        print(f"not verified: {error}", file=sys.stderr)
        return 1
    result = {
        "ledger_verified": True,
        "network": report.network.hex(),
        "height": report.height,
        "time_ms": report.time_ms,
        "application_hash": report.application_hash.hex(),
        "transactions": report.transactions,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
