"""The printed chain as an engine's application: Algorithms 8 and 10 at the pool and in proposals, the chain's rules in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from salus.codec import decode, encode
from salus.consensus.block import Block, transaction_hash
from salus.consensus.interface import ApplicationInfo, BlockInput, BlockVerdict, CheckResult, FinalisedBlock
from salus.consensus.pbft.durable import Disk, VoteLog
from salus.consultation.published.chain import MediBchain
from salus.consultation.published.messages import Directory
from salus.consultation.published.parties import ValidationNode
from salus.errors import ConsensusError, Refused
from salus.network.printed.messages import Genesis, decode_ordered

BLOCKS: Final = "blocks.log"


class PrintedApplication:
    """See the module; implements :class:`salus.consensus.interface.Application`.

    :param genesis: what the network starts from.
    :param node: the validation node, which knows theta.
    :param disk: where decided blocks are kept.
    :param body: gives the ciphertext of a digest that this node holds, or None.
    :raises DamagedFile: the block log was altered.
    """

    def __init__(self, genesis: Genesis, node: ValidationNode, disk: Disk, body: Callable[[bytes], bytes | None]) -> None:
        self._directory: Directory = genesis.directory
        self._node = node
        self._body = body
        self._chain = MediBchain()
        self._height, self._time_ms = 0, genesis.time_ms
        self._blocks: dict[int, tuple[bytes, bytes]] = {}
        self._finalised: tuple[BlockInput, MediBchain] | None = None
        self._log = VoteLog(disk, BLOCKS)
        for entry in self._log.records:
            record, certificate = decode(entry)
            header, transactions = (block := Block.decode(record)).header, block.transactions
            self._take(header.height, header.time_ms, self._applied(transactions), record, certificate)

    @property
    def chain(self) -> MediBchain:
        """The committed chain."""
        return self._chain

    def info(self) -> ApplicationInfo:
        """The last commit."""
        return ApplicationInfo(self._height, self._chain.digest, self._time_ms)

    def check_transactions(self, transactions: Sequence[bytes], time_ms: int) -> list[CheckResult]:
        """Phases 7 and 10, step 1: the chain's rules, and Algorithm 8 or 10 over the whole transaction."""
        return [self._check(data) for data in transactions]

    def prepare_proposal(
        self,
        height: int,
        time_ms: int,
        proposer: str,
        missed: tuple[str, ...],
        misbehaviour: tuple[bytes, ...],
        transactions: Sequence[bytes],
        max_bytes: int,
    ) -> list[bytes]:
        """Those that pass the checks and apply one after the other."""
        chain, chosen, size = self._chain.copy(), [], 0
        for data in transactions:
            if size + len(data) > max_bytes or not self._check(data).accepted:
                continue
            try:
                self._append(chain, data)
            except Refused:
                # It clashes with an earlier one of this block; it is offered again and refused by the pool.
                continue
            chosen.append(data)
            size += len(data)
        return chosen

    def validate_proposal(self, block: BlockInput, *, secret_checks: bool) -> BlockVerdict:
        """Whether every transaction applies in order, and, for a fresh proposal, passes Algorithm 8 or 10."""
        if block.height != self._height + 1 or block.time_ms <= self._time_ms:
            return BlockVerdict(False, "bad-time", "not the next block")
        for result in map(self._check, block.transactions) if secret_checks else ():
            if not result.accepted:
                return BlockVerdict(False, result.reason, result.detail)
        try:
            self._applied(block.transactions)
        except Refused as refusal:
            return BlockVerdict(False, refusal.reason, refusal.detail)
        return BlockVerdict(True)

    def finalise_block(self, block: BlockInput) -> FinalisedBlock:
        """Apply to a working copy."""
        chain = self._applied(block.transactions)
        self._finalised = (block, chain)
        return FinalisedBlock(chain.digest, tuple(b"" for _ in block.transactions), (), chain.digest != self._chain.digest)

    def commit(self, block_record: bytes, certificate: bytes) -> None:
        """Append block and certificate, fsynced; the state follows from replay."""
        if self._finalised is None:
            raise ConsensusError("commit without a finalised block")
        block, chain = self._finalised
        self._log.append(encode((block_record, certificate)))
        self._log.sync()
        self._finalised = None
        self._take(block.height, block.time_ms, chain, block_record, certificate)

    def block_record(self, height: int) -> tuple[bytes, bytes] | None:
        """Block and certificate, None if unknown."""
        return self._blocks.get(height)

    def query(self, path: str, data: bytes) -> bytes:
        """``height``: 8 bytes. No proofs: the printed chain has no state tree.

        :raises Refused: ``not-found`` for another path.
        """
        if path != "height":
            raise Refused("not-found", path)
        return self._height.to_bytes(8, "big")

    def snapshot(self) -> bytes:
        """None is offered: a node that lags fetches blocks."""
        return b""

    def restore(self, snapshot: bytes, application_hash: bytes, height: int, time_ms: int) -> None:
        """Always refused; see :meth:`snapshot`."""
        raise Refused("bad-body", "the printed chain has no snapshots")

    def _check(self, data: bytes) -> CheckResult:
        tx_hash = transaction_hash(data)
        try:
            ordered = decode_ordered(data)
            self._chain.check(self._directory, ordered.transaction.encode())
            C = self._body(ordered.digest)
            if C is None:
                raise Refused("missing-body")
            self._node.verify(self._directory, ordered.whole(C))
        except Refused as refusal:
            return CheckResult(tx_hash, refusal.reason, refusal.detail)
        return CheckResult(tx_hash)

    def _applied(self, transactions: Sequence[bytes]) -> MediBchain:
        chain = self._chain.copy()
        for data in transactions:
            self._append(chain, data)
        return chain

    def _append(self, chain: MediBchain, data: bytes) -> None:
        chain.append(self._directory, decode_ordered(data).transaction.encode(), data)

    def _take(self, height: int, time_ms: int, chain: MediBchain, record: bytes, certificate: bytes) -> None:
        self._chain = chain
        self._height, self._time_ms = height, time_ms
        self._blocks[height] = (record, certificate)
