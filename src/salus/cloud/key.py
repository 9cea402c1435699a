"""The cloud's key file: its public record and its secret, mode 0600."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from salus.codec import Bytes32, Message
from salus.consultation.registration import CLOUD, MemberKey, MemberRecord
from salus.errors import CodecError, DamagedFile, Refused, refuse_unless
from salus.files import read_key_file, write_key_file
from salus.groups.ristretto255 import Point

KEY_FILE: Final = "cloud.key"


class CloudKeyFile(Message, frozen=True):
    """What the file holds."""

    KIND = "cloud.key"

    record: MemberRecord
    secret: Bytes32

    def __repr__(self) -> str:
        return f"CloudKeyFile({self.record.name})"


def save_cloud_key(path: Path, key: MemberKey) -> None:
    """Write the key once.

    :raises StorageError: there is one already, or it cannot be written. :raises Refused: ``not-authorised`` for another role.
    """
    refuse_unless(key.role == CLOUD, "not-authorised", f"{key.name} is a {key.role}, not a cloud")
    write_key_file(path, CloudKeyFile(key.record(), key.export_secret()).encode())


def load_cloud_key(path: Path, Pub: Point) -> MemberKey:
    """Read the key.

    :param Pub: the centre's public key, from genesis.
    :raises StorageError: missing, unreadable or open to others. :raises DamagedFile: no cloud's key.
    :raises Refused: ``bad-partial-key`` if it belongs to another network.
    """
    try:
        stored = CloudKeyFile.decode(read_key_file(path, "the cloud's key"))
    except CodecError as error:
        raise DamagedFile(f"{path} holds no cloud's key ({error.detail}); restore it from a backup") from None
    try:
        return MemberKey.from_secret(stored.record, stored.secret, Pub)
    except Refused as error:
        if error.reason == "bad-partial-key":
            raise Refused(error.reason, f"{path}: {error.detail}") from None
        raise DamagedFile(f"{path} holds no cloud's key ({error.detail}); restore it from a backup") from None
