"""Who holds the shares of the key of tokens, as every party reads it from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol

from salus import labels
from salus.codec import Bytes32, Message, Name, Size
from salus.errors import refuse_unless
from salus.groups.proofs import schnorr_verify
from salus.groups.ristretto255 import Point, Scalar, decode_point
from salus.groups.sharing import interpolate_point
from salus.symmetric import Random

SEATS_MAX: Final = 127
"""Seats of a committee; the thresholds of sharing have the same bound, with reasons."""


class Signer(Protocol):
    """A node that signs under its long-term key."""

    @property
    def name(self) -> str:
        """The name under which the ledger knows the key."""

    def sign(self, network: bytes, label: str, message: Any, random: Random) -> bytes:
        """Schnorr signature over (label, suite, network, name, key, R, message): 64 bytes."""


class KeyHolder(Message, frozen=True):
    """A node with a share of the key of tokens.

    :ivar index: place of its share, from 1. :ivar W: long-term key, of its signatures. :ivar share: public share ``k_i*G``.
    """

    KIND = "search.key-holder"

    index: int
    name: Name
    W: Bytes32
    share: Bytes32


class TokenKey(Message, frozen=True):
    """The key of tokens and its holders in one epoch. The key outlives its holders; its shares change with them.

    :ivar threshold: t, answers that are needed. :ivar public: ``k*G``. :ivar holders: by ascending index.
    """

    KIND = "search.token-key"

    epoch: int
    threshold: int
    public: Bytes32
    holders: Annotated[tuple[KeyHolder, ...], Size(1, SEATS_MAX)]

    def holder(self, index: int) -> KeyHolder | None:
        """The holder of an index."""
        return next((holder for holder in self.holders if holder.index == index), None)


def check_token_key(key: TokenKey) -> None:
    """Everyone's check of a committee: distinct holders, and public shares that lie on one polynomial whose value at 0 is the
    public key (tokens, step 1).

    :raises Refused: ``bad-token-key``, ``bad-point``.
    """
    indices = [holder.index for holder in key.holders]
    ascending = all(a < b for a, b in zip([0, *indices], [*indices, 2**32], strict=True))
    refuse_unless(ascending, "bad-token-key", "the indices of the holders ascend from 1")
    refuse_unless(1 <= key.threshold <= len(indices), "bad-token-key", f"{key.threshold} of {len(indices)} holders are needed")
    for what in ("name", "W", "share"):
        distinct = len({getattr(holder, what) for holder in key.holders}) == len(indices)
        refuse_unless(distinct or (what == "share" and key.threshold == 1), "bad-token-key", f"two holders with one {what}")
    shares = [decode_point(holder.share, f"share of {holder.name}") for holder in key.holders]
    few, some = indices[: key.threshold], shares[: key.threshold]
    refuse_unless(interpolate_point(few, some) == decode_point(key.public, "public key"), "bad-token-key", "not the key's shares")
    for index, share in zip(indices[key.threshold :], shares[key.threshold :], strict=True):
        refuse_unless(interpolate_point(few, some, at=index) == share, "bad-token-key", f"share {index} is of another key")


def token_key(
    epoch: int, threshold: int, public: Point, shares: Mapping[int, Point], nodes: Mapping[int, tuple[str, bytes]]
) -> TokenKey:
    """A checked :class:`TokenKey` from what the ledger holds.

    :param shares: public share of each index. :param nodes: name and long-term key W of each index.
    :raises Refused: ``bad-token-key``.
    """
    holders = tuple(KeyHolder(i, *nodes[i], shares[i].encode()) for i in sorted(shares))
    key = TokenKey(epoch, threshold, public.encode(), holders)
    check_token_key(key)
    return key


class KeyShare:
    """A node's share of the key of tokens in one epoch; shows nothing of it.

    :ivar index: place of the share. :ivar epoch: epoch of the committee.
    """

    __slots__ = ("epoch", "index", "k")

    def __init__(self, epoch: int, index: int, k: Scalar) -> None:
        self.epoch = epoch
        self.index = index
        self.k = k

    def __repr__(self) -> str:
        return f"KeyShare(epoch={self.epoch}, index={self.index})"


def verify_signature(network: bytes, holder: KeyHolder, message: Any, signature: bytes) -> None:
    """Check a node's signature of an evaluation.

    :raises Refused: ``bad-signature``, ``bad-point``, ``bad-scalar``.
    """
    # Long-term keys are those of the consultation, and their signatures name its suite.
    fields = (network, holder.name, holder.W)
    schnorr_verify(labels.SIG_EVALUATION, labels.SUITE_R1, decode_point(holder.W, "W"), fields, message, signature)
