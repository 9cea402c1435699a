"""Passphrases in the desktop's keyring, for those who want it: optional, and imported only when asked for."""

from __future__ import annotations

import base64
import binascii
import importlib
from pathlib import Path
from typing import Any, Final

from salus.errors import WalletError

_SERVICE: Final = "salus-wallet"


def passphrase_from_keyring(directory: Path) -> bytes | None:
    """The passphrase kept for the wallet in ``directory``, or ``None``.

    :raises WalletError: the package ``keyring`` is not installed, or the keyring refuses.
    """
    keyring = _keyring()
    try:
        kept = keyring.get_password(_SERVICE, _account(directory))
    except keyring.errors.KeyringError as error:
        raise WalletError(f"the keyring refuses ({error}); give the passphrase by --passphrase-file") from None
    if kept is None:
        return None
    try:
        return base64.b64decode(kept, validate=True)
    except binascii.Error:
        raise WalletError("the keyring's entry for this wallet is damaged; remove it and give the passphrase again") from None


def keep_in_keyring(directory: Path, passphrase: bytes) -> None:
    """Keep the passphrase of the wallet in ``directory``.

    :raises WalletError: the package ``keyring`` is not installed, or the keyring refuses.
    """
    keyring = _keyring()
    try:
        keyring.set_password(_SERVICE, _account(directory), base64.b64encode(passphrase).decode())
    except keyring.errors.KeyringError as error:
        raise WalletError(f"the keyring refuses ({error}); the passphrase was not kept") from None


def remove_from_keyring(directory: Path) -> None:
    """Forget the passphrase of the wallet in ``directory``; harmless if there is none.

    :raises WalletError: the package ``keyring`` is not installed, or the keyring refuses.
    """
    keyring = _keyring()
    try:
        if keyring.get_password(_SERVICE, _account(directory)) is not None:
            keyring.delete_password(_SERVICE, _account(directory))
    except keyring.errors.KeyringError as error:
        raise WalletError(f"the keyring refuses ({error}); the passphrase may still be kept") from None


def _account(directory: Path) -> str:
    return str(directory.resolve())


def _keyring() -> Any:
    try:
        importlib.import_module("keyring.errors")
        return importlib.import_module("keyring")
    except ImportError:
        raise WalletError("the keyring is not installed; run: pip install 'salus[keyring]'") from None
