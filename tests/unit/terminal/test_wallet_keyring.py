"""The keyring is optional: kept, found, removed; absent or unwilling, it says so."""

import sys

import pytest

from salus.errors import WalletError
from salus.terminal.wallet_keyring import keep_in_keyring, passphrase_from_keyring, remove_from_keyring


@pytest.fixture
def ring(monkeypatch):
    """A keyring in memory; the tests never touch the one of whoever runs them."""
    keyring = pytest.importorskip("keyring", reason="the keyring is not installed: pip install 'salus[keyring]'")
    backend = pytest.importorskip("keyring.backend")

    class InMemory(backend.KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.kept = {}
            self.refuse = False

        def _check(self):
            if self.refuse:
                raise keyring.errors.KeyringLocked("locked")

        def get_password(self, service, username):
            self._check()
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self._check()
            self.kept[service, username] = password

        def delete_password(self, service, username):
            self._check()
            del self.kept[service, username]

    memory = InMemory()
    for name in ("get_password", "set_password", "delete_password"):
        monkeypatch.setattr(keyring, name, getattr(memory, name))
    return memory


def test_any_bytes_are_kept_for_one_directory(ring, tmp_path):
    passphrase = bytes(range(256))
    assert passphrase_from_keyring(tmp_path / "w") is None
    keep_in_keyring(tmp_path / "w", passphrase)
    assert passphrase_from_keyring(tmp_path / "x" / ".." / "w") == passphrase
    assert passphrase_from_keyring(tmp_path / "other") is None
    remove_from_keyring(tmp_path / "w")
    remove_from_keyring(tmp_path / "w")
    assert passphrase_from_keyring(tmp_path / "w") is None


def test_a_keyring_that_refuses_is_an_error_that_says_what_to_do(ring, tmp_path):
    keep_in_keyring(tmp_path, b"x")
    ring.refuse = True
    for call in (passphrase_from_keyring, remove_from_keyring, lambda d: keep_in_keyring(d, b"y")):
        with pytest.raises(WalletError, match="keyring refuses"):
            call(tmp_path)
    ring.refuse = False
    ring.kept = dict.fromkeys(ring.kept, "not base64 !")
    with pytest.raises(WalletError, match="damaged"):
        passphrase_from_keyring(tmp_path)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    for name in ("keyring", "keyring.errors"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (passphrase_from_keyring, remove_from_keyring, lambda d: keep_in_keyring(d, b"y")):
        with pytest.raises(WalletError, match=r"pip install 'salus\[keyring\]'"):
            call(tmp_path)
