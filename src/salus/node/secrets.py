"""A node's secrets: long-term keys in one file, and e_j and theta of each epoch in files of their own.

The files of an epoch are erased when a block past its grace is committed, so that a node key stolen later opens no past
sender; they are never in a database or a backup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus.codec import Bytes32, Message, Size
from salus.consultation.registration import MemberKey, MemberRecord
from salus.consultation.shared_value import EpochSecret, check_theta
from salus.errors import DamagedFile, Refused
from salus.files import erase, make_private_directory, read_key_file, remove_leftovers, write_key_file
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_scalar
from salus.symmetric import Random

KEY_FILE: Final = "node.key"
EPOCHS_DIRECTORY: Final = "epochs"
_EPOCH_FILE: Final = re.compile(r"(\d{1,18})\.(key|theta)")


class NodeKeyFile(Message, frozen=True):
    """Content of ``node.key``.

    :ivar s: the member key's secret. :ivar consensus_seed: Ed25519 seed. :ivar bls_secret: for receipts that add up.
    """

    KIND = "node.key-file"

    record: MemberRecord
    s: Bytes32
    consensus_seed: Bytes32
    bls_secret: Annotated[bytes, Size(0, 32)]

    def __repr__(self) -> str:
        return f"NodeKeyFile({self.record.name})"


class NodeSecrets:
    """The secrets of one node.

    :param directory: the node's own directory.
    :param Pub: the centre's public key.
    :raises DamagedFile: a key file was altered.
    """

    def __init__(self, directory: Path, Pub: Point) -> None:
        data = read_key_file(directory / KEY_FILE, "the node's key")
        try:
            content = NodeKeyFile.decode(data)
            self.member = MemberKey.from_secret(content.record, content.s, Pub)
        except Refused as refused:
            raise DamagedFile(f"{directory / KEY_FILE}: {refused.detail}; restore it from the node's own backup") from None
        self.consensus_seed = content.consensus_seed
        self.bls_secret = content.bls_secret
        self._epochs = directory / EPOCHS_DIRECTORY
        make_private_directory(self._epochs)
        remove_leftovers(self._epochs)
        self._thetas: dict[int, tuple[Scalar, bytes]] = {}
        for epoch in self.epochs():  # a damaged file is named now, not when it is needed
            self.epoch_secret(epoch)
            self._held(epoch)

    @property
    def consensus_public(self) -> bytes:
        """Ed25519 public key, 32 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.consensus_seed).public_key().public_bytes_raw()

    def epoch_secret(self, epoch: int) -> EpochSecret | None:
        """e_j of an epoch, or None if there is none (yet, or any more)."""
        path = self._path(epoch, "key")
        return EpochSecret(epoch, _read_scalar(path, "an epoch key")) if path.exists() else None

    def make_epoch_secret(self, epoch: int, random: Random) -> EpochSecret:
        """Draw e_j and make it durable before its public key is posted; the same again if it was drawn before."""
        known = self.epoch_secret(epoch)
        if known is not None:
            return known
        secret = EpochSecret.generate(epoch, random)
        write_key_file(self._path(epoch, "key"), secret.export_secret())
        return secret

    def theta(self, epoch: int, T: bytes) -> Scalar | None:
        """The epoch's shared value, or None if this node lacks the one of T.

        Whose T says which: a deal that was voided before its epoch started leaves a theta that is nobody's.
        """
        held = self._held(epoch)
        return held[0] if held is not None and held[1] == T else None

    def _held(self, epoch: int) -> tuple[Scalar, bytes] | None:
        held = self._thetas.get(epoch)
        if held is None:
            path = self._path(epoch, "theta")
            if not path.exists():
                return None
            theta = _read_scalar(path, "a shared value")
            held = self._thetas[epoch] = (theta, base_mul(theta).encode())
        return held

    def holds_theta(self, epoch: int) -> bool:
        """Whether any shared value is kept for the epoch."""
        return self._held(epoch) is not None

    def keep_theta(self, epoch: int, theta: Scalar, T: bytes) -> None:
        """Make theta durable (fsynced), before it is acknowledged (shared value, step 8); that of a voided deal is erased.

        :raises Refused: ``bad-deal`` if it is not the one of T.
        """
        check_theta(theta, T)
        if self.theta(epoch, T) is None:
            self._thetas.pop(epoch, None)
            erase(self._path(epoch, "theta"))
            write_key_file(self._path(epoch, "theta"), theta.encode())
            self._thetas[epoch] = (theta, T)

    def erase_epoch(self, epoch: int) -> None:
        """Erase e_j and theta of an epoch whose grace is over."""
        self._thetas.pop(epoch, None)
        for kind in ("theta", "key"):
            erase(self._path(epoch, kind))

    def epochs(self) -> list[int]:
        """Epochs of which any secret is kept."""
        return sorted({int(m.group(1)) for p in self._epochs.iterdir() if (m := _EPOCH_FILE.fullmatch(p.name))})

    def _path(self, epoch: int, kind: str) -> Path:
        return self._epochs / f"{epoch}.{kind}"

    def __repr__(self) -> str:
        return f"NodeSecrets({self.member.name})"


def _read_scalar(path: Path, what: str) -> Scalar:
    try:
        return decode_scalar(read_key_file(path, what), what)
    except Refused as refused:
        detail = f"{path} does not hold {what} ({refused.detail}); move it away: the node gets another one"
        raise DamagedFile(detail) from None
