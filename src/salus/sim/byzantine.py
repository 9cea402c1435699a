"""Byzantine replicas: an honest replica inside, and a liar at the network port that holds its key.

*equivocate* proposes different blocks to different replicas and votes for every block it hears of; *withhold* keeps messages
from some; *replay* sends old messages of anyone again; *amnesia* leaves its prepared certificate out of view-changes;
*garbage* sends altered bytes; *bad-block* proposes blocks that break the rules.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from salus.consensus.block import PRE_PREPARE, Block, transaction_root, vote_bytes
from salus.consensus.pbft.crypto import Signer
from salus.consensus.pbft.messages import (
    UNSIGNED,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Signed,
    ViewChange,
    decode_message,
    signed,
)
from salus.errors import CodecError

MAX_MEMORY: Final = 200
"""Messages remembered for replays, and block ids for double votes."""

Outgoing = list[tuple[int, bytes]]


class Liar:
    """What leaves a Byzantine replica.

    :param peers: indices of the other replicas.
    :param bad_transaction: one that no honest replica may vote for.
    """

    def __init__(
        self,
        network: bytes,
        signer: Signer,
        behaviours: tuple[str, ...],
        peers: list[int],
        random: Random,
        bad_transaction: bytes,
    ) -> None:
        self._network = network
        self._signer = signer
        self._behaviours = frozenset(behaviours)
        self._peers = peers
        self._random = random
        self._bad_transaction = bad_transaction
        self._memory: list[bytes] = []
        self._ids: dict[tuple[int, int], list[bytes]] = {}

    def hear(self, data: bytes) -> None:
        """A message on its way in."""
        self._remember(data)
        if "equivocate" in self._behaviours:
            message = _decode(data)
            if isinstance(message, PrePrepare | NewView | Prepare | Commit):
                self._note(message.height, message.view, message.block_id)

    def speak(self, targets: list[int], data: bytes) -> Outgoing:
        """What really goes out instead of ``data`` to ``targets``."""
        self._remember(data)
        out = [(target, version) for target in targets for version in self._versions(target, data)]
        if "withhold" in self._behaviours:
            out = [(target, d) for target, d in out if self._random.random() < 0.5]
        if "replay" in self._behaviours and self._memory and self._random.random() < 0.2:
            out.append((self._random.choice(self._peers), self._random.choice(self._memory)))
        if "garbage" in self._behaviours and self._random.random() < 0.2:
            out.append((self._random.choice(self._peers), self._spoil(data)))
        return out

    # --- lies ---

    def _versions(self, target: int, data: bytes) -> list[bytes]:
        message = _decode(data)
        if isinstance(message, PrePrepare | NewView):
            return [self._proposal(target, message, data)]
        if isinstance(message, Prepare | Commit) and "equivocate" in self._behaviours:
            return [data, *self._double(message)] if self._random.random() < 0.7 else [*self._double(message)[::-1], data]
        if isinstance(message, ViewChange) and "amnesia" in self._behaviours:
            forgetful = msgspec.structs.replace(message, proof=None, block=None)
            return [signed(forgetful, self._network, self._signer).encode()]
        return [data]

    def _proposal(self, target: int, message: PrePrepare | NewView, data: bytes) -> bytes:
        split = "equivocate" in self._behaviours and target % 2 == 1
        bad = "bad-block" in self._behaviours and self._random.random() < 0.5
        if not split and not bad:
            return data
        block = Block.decode(message.block)
        transactions = (*block.transactions, self._bad_transaction) if bad else block.transactions
        header = msgspec.structs.replace(
            block.header, time_ms=block.header.time_ms + 1, transaction_root=transaction_root(transactions, block.misbehaviour)
        )
        block_id = header.id()
        self._note(message.height, message.view, block_id)
        encoded = msgspec.structs.replace(block, header=header, transactions=transactions).encode()
        other = msgspec.structs.replace(message, block_id=block_id, block=encoded, signature=UNSIGNED)
        if isinstance(other, NewView):
            vote = vote_bytes(self._network, PRE_PREPARE, message.height, message.view, block_id)
            other = msgspec.structs.replace(other, pre_prepare=self._signer.sign(vote))
        return signed(other, self._network, self._signer).encode()

    def _double(self, message: Prepare | Commit) -> list[bytes]:
        self._note(message.height, message.view, message.block_id)
        others = [i for i in self._ids[message.height, message.view] if i != message.block_id]
        return [signed(msgspec.structs.replace(message, block_id=i), self._network, self._signer).encode() for i in others[:4]]

    def _spoil(self, data: bytes) -> bytes:
        spoiled = bytearray(data)
        spoiled[self._random.randrange(len(spoiled))] ^= 1 << self._random.randrange(8)
        return bytes(spoiled[: self._random.randrange(len(spoiled)) + 1]) if self._random.random() < 0.3 else bytes(spoiled)

    # --- memory ---

    def _note(self, height: int, view: int, block_id: bytes) -> None:
        ids = self._ids.setdefault((height, view), [])
        if block_id not in ids and len(ids) < MAX_MEMORY:
            ids.append(block_id)
        while len(self._ids) > MAX_MEMORY:
            del self._ids[next(iter(self._ids))]

    def _remember(self, data: bytes) -> None:
        if "replay" in self._behaviours:
            if len(self._memory) < MAX_MEMORY:
                self._memory.append(data)
            else:
                self._memory[self._random.randrange(MAX_MEMORY)] = data


def _decode(data: bytes) -> Signed | None:
    try:
        return decode_message(data)
    except CodecError:
        return None
