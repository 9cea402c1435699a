"""The invariants, checked as every commit happens and again at the end.

Agreement: no two honest replicas commit different blocks at a height. Durability: what was acknowledged is never lost,
and nothing is applied twice. Justice: no honest replica is convicted of equivocation. Progress: every wish comes true
once the network has healed.
"""

from __future__ import annotations

import msgspec


class Broken(Exception):
    """An invariant does not hold."""


class Checker(msgspec.Struct):
    """What is known to be true of the network.

    :ivar decided: height -> (block id, application hash after it) as first committed by an honest replica.
    :ivar committed: transaction hash -> height.
    :ivar acknowledged: replica -> highest height it told anyone about.
    """

    decided: dict[int, tuple[bytes, bytes]] = msgspec.field(default_factory=dict)
    committed: dict[bytes, int] = msgspec.field(default_factory=dict)
    acknowledged: dict[int, int] = msgspec.field(default_factory=dict)
    forbidden: frozenset[bytes] = frozenset()

    def on_commit(self, node: int, height: int, block_id: bytes, application_hash: bytes, tx_hashes: tuple[bytes, ...]) -> None:
        """An honest replica committed a block and tells its clients."""
        expected = self.acknowledged.get(node, 0) + 1
        if height != expected:
            raise Broken(f"node-{node} commits height {height}, after height {expected - 1}")
        self.acknowledged[node] = height
        before = self.decided.setdefault(height, (block_id, application_hash))
        if before[0] != block_id:
            raise Broken(
                f"agreement: node-{node} commits {block_id.hex()[:12]} at height {height}, another {before[0].hex()[:12]}"
            )
        if before[1] != application_hash:
            raise Broken(f"agreement: node-{node} reaches another application hash at height {height}")
        for tx_hash in tx_hashes:
            if self.committed.setdefault(tx_hash, height) != height:
                raise Broken(f"transaction {tx_hash.hex()[:12]} is committed at heights {self.committed[tx_hash]} and {height}")
            if tx_hash in self.forbidden:
                raise Broken(f"a transaction that breaks the rules is committed at height {height}")

    def on_restored(self, node: int, height: int) -> None:
        """An honest replica took over the state of a snapshot."""
        if height < self.acknowledged.get(node, 0):
            raise Broken(f"durability: node-{node} went back from height {self.acknowledged[node]} to {height}")
        self.acknowledged[node] = height

    def on_start(self, node: int, height: int, application_hash: bytes) -> None:
        """An honest replica (re)started with the state after ``height`` on its disk."""
        acknowledged = self.acknowledged.get(node, 0)
        if height < acknowledged:
            raise Broken(f"durability: node-{node} acknowledged height {acknowledged} and restarts with {height}")
        known = self.decided.get(height)
        if height and known is not None and known[1] != application_hash:
            raise Broken(f"durability: node-{node} restarts at height {height} with another state")
        # What is on its disk was decided before the crash, though it had no time to say so.
        self.acknowledged[node] = height
