"""A node's secrets of the committees: encryption keys of an epoch and the shares dealt to them, in files of their own.

Each is durable before anything that depends on it is posted, has mode 0600 like every key file, and is overwritten when its
epoch's grace is over: e and er kept longer would reopen old shares from the chain (docs/protocol/sharing-thresholds.md,
"epoch keys", step 3).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from salus.abpre.threshold.alpha import AlphaPublic, PointShare
from salus.abpre.threshold.epoch_keys import SharingSecret
from salus.abpre.threshold.groups import PURPOSES
from salus.abpre.threshold.scalar_deals import ScalarPublic, ScalarShare
from salus.errors import DamagedFile, Refused
from salus.files import erase, make_private_directory, read_key_file, remove_leftovers, write_key_file
from salus.symmetric import Random

ALPHA: Final = "alpha"
_KEYS: Final = "keys"
_FILE: Final = re.compile(r"(\d{1,18})\.(keys|alpha|" + "|".join(PURPOSES) + ")")


class ShareStore:
    """Encryption keys and shares of one node, by epoch.

    :param directory: the node's own directory for them.
    :raises DamagedFile: a file was altered.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)
        remove_leftovers(directory)
        self._alpha: dict[int, PointShare] = {}
        self._scalars: dict[tuple[str, int], ScalarShare] = {}
        self._secrets: dict[int, SharingSecret] = {}
        for epoch in self.epochs():  # a damaged file is named now, not when it is needed
            self.secret(epoch)

    # --- encryption keys ---

    def secret(self, epoch: int) -> SharingSecret | None:
        """e and er of an epoch, or None if there are none (yet, or any more)."""
        known = self._secrets.get(epoch)
        if known is None and (path := self._path(epoch, _KEYS)).exists():
            try:
                known = SharingSecret.from_secret(epoch, read_key_file(path, "encryption keys of an epoch"))
            except Refused as refused:
                raise DamagedFile(f"{path}: {refused.detail}; move it away: the node waits for the next committee") from None
            self._secrets[epoch] = known
        return known

    def make_secret(self, epoch: int, random: Random) -> SharingSecret:
        """Draw e and er and make them durable before their public keys are posted; the same again if drawn before."""
        known = self.secret(epoch)
        if known is None:
            known = SharingSecret.generate(epoch, random)
            write_key_file(self._path(epoch, _KEYS), known.export_secret())
            self._secrets[epoch] = known
        return known

    # --- shares ---

    def alpha(self, public: AlphaPublic, index: int) -> PointShare | None:
        """The share of alpha of a sharing, or None if it is not kept.

        :raises DamagedFile: what is kept is not that share.
        """
        epoch = public.sharing.epoch
        held = self._alpha.get(epoch)
        if held is None and (path := self._path(epoch, ALPHA)).exists():
            try:
                held = PointShare.from_secret(public, index, read_key_file(path, "a share of alpha"))
            except Refused as refused:
                raise _not_the_share(path, refused) from None
            self._alpha[epoch] = held
        return held

    def keep_alpha(self, share: PointShare) -> None:
        """Make a share of alpha durable."""
        path = self._path(share.epoch, ALPHA)
        if not path.exists():
            write_key_file(path, share.export_secret())
        self._alpha[share.epoch] = share

    def scalar(self, public: ScalarPublic, index: int) -> ScalarShare | None:
        """The share of a scalar of a sharing, or None if it is not kept.

        :raises DamagedFile: what is kept is not that share.
        """
        purpose, epoch = public.sharing.purpose, public.sharing.epoch
        held = self._scalars.get((purpose, epoch))
        if held is None and (path := self._path(epoch, purpose)).exists():
            try:
                held = ScalarShare.from_secret(public, index, read_key_file(path, f"a share of {purpose}"))
            except Refused as refused:
                raise _not_the_share(path, refused) from None
            self._scalars[(purpose, epoch)] = held
        return held

    def keep_scalar(self, share: ScalarShare) -> None:
        """Make a share of a scalar durable."""
        path = self._path(share.epoch, share.purpose)
        if not path.exists():
            write_key_file(path, share.export_secret())
        self._scalars[(share.purpose, share.epoch)] = share

    def holds(self, epoch: int) -> tuple[str, ...]:
        """What is kept of an epoch: ``keys``, ``alpha``, ``z``, ``oprf``; for those who ask how the node is."""
        return tuple(kind for kind in (_KEYS, ALPHA, *PURPOSES) if self._path(epoch, kind).exists())

    # --- erasure ---

    def erase_keys(self, epoch: int) -> None:
        """Erase e and er of an epoch whose grace is over; the shares made with them go on."""
        secret = self._secrets.pop(epoch, None)
        if secret is not None:
            secret.wipe()
        erase(self._path(epoch, _KEYS))

    def erase_shares(self, epoch: int) -> None:
        """Erase the shares of a committee that has handed over (hand-over, step 6)."""
        alpha = self._alpha.pop(epoch, None)
        if alpha is not None:
            alpha.wipe()
        erase(self._path(epoch, ALPHA))
        for purpose in PURPOSES:
            scalar = self._scalars.pop((purpose, epoch), None)
            if scalar is not None:
                scalar.wipe()
            erase(self._path(epoch, purpose))

    def epochs(self) -> list[int]:
        """Epochs of which anything is kept."""
        return sorted({int(m.group(1)) for p in self._directory.iterdir() if (m := _FILE.fullmatch(p.name))})

    def _path(self, epoch: int, kind: str) -> Path:
        return self._directory / f"{epoch}.{kind}"

    def __repr__(self) -> str:
        return f"ShareStore(epochs={self.epochs()})"


def _not_the_share(path: Path, refused: Refused) -> DamagedFile:
    return DamagedFile(f"{path} does not hold this node's share ({refused.detail}); move it away: the node reads it again")
