"""What a node keeps of the sharing half: durable before it is promised, private, bounded, overwritten when it is erased."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salus.abpre.threshold.epoch_keys import SharingSecret
from salus.errors import DamagedFile, Refused, StorageError
from salus.node.sharing import pending as pending_module
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.errands import ERRANDS_MAX, Errands
from salus.node.sharing.pending import PendingStore
from salus.node.sharing.shares import ShareStore

ABOUT, DIGEST = b"a" * 32, b"d" * 32


def test_encryption_keys_are_private_and_the_same_after_a_restart(tmp_path: Path) -> None:
    store = ShareStore(tmp_path / "shares")
    assert store.secret(3) is None
    made = store.make_secret(3, os.urandom)
    assert store.make_secret(3, os.urandom) is made
    path = tmp_path / "shares" / "3.keys"
    assert path.stat().st_mode & 0o777 == 0o600
    again = ShareStore(tmp_path / "shares").secret(3)
    assert again is not None
    assert (again.E, again.Er) == (made.E, made.Er)
    assert "e=" not in repr(store) + repr(made) + repr(again)


def test_erased_keys_are_gone_from_disk_and_memory(tmp_path: Path) -> None:
    store = ShareStore(tmp_path / "shares")
    made: SharingSecret = store.make_secret(3, os.urandom)
    store.erase_keys(3)
    store.erase_shares(3)
    assert store.secret(3) is None
    assert store.epochs() == []
    assert list((tmp_path / "shares").iterdir()) == []
    with pytest.raises(Refused, match="erased"):
        _ = made.e


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 64])
def test_damaged_keys_are_named_at_the_start(tmp_path: Path, damage: bytes) -> None:
    ShareStore(tmp_path / "shares").make_secret(3, os.urandom)
    (tmp_path / "shares" / "3.keys").write_bytes(damage)
    with pytest.raises((DamagedFile, Refused)) as error:
        ShareStore(tmp_path / "shares")
    assert "3.keys" in str(error.value)


def test_keys_that_others_can_read_are_not_used(tmp_path: Path) -> None:
    ShareStore(tmp_path / "shares").make_secret(3, os.urandom)
    (tmp_path / "shares" / "3.keys").chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        ShareStore(tmp_path / "shares")


def test_attachments_survive_a_restart_and_leave_nothing_when_erased(tmp_path: Path) -> None:
    store = AttachmentStore(tmp_path / "c", 48)
    store.keep(ABOUT, DIGEST, b"c" * 48, now_ms=1000)
    store.keep(ABOUT, DIGEST, b"c" * 48, now_ms=2000)
    assert store.since_ms(ABOUT, DIGEST) == 1000
    again = AttachmentStore(tmp_path / "c", 48)
    assert again.read(ABOUT, DIGEST) == b"c" * 48
    assert again.held() == [(ABOUT, DIGEST)]
    assert again.digests(ABOUT) == [DIGEST]
    again.name(ABOUT, DIGEST)
    again.erase(ABOUT, DIGEST)
    assert len(again) == 0
    assert list((tmp_path / "c").iterdir()) == []
    with pytest.raises(Refused) as refusal:
        again.read(ABOUT, DIGEST)
    assert refusal.value.reason == "not-found"


def test_attachments_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salus.node.sharing.attachments.UNNAMED_MAX", 2)
    store = AttachmentStore(tmp_path / "c", 48)
    for size in (0, 49):
        with pytest.raises(Refused) as refusal:
            store.keep(ABOUT, DIGEST, bytes(size), 0)
        assert refusal.value.reason == "too-large"
    for place in range(2):
        store.keep(bytes([place]) * 16, DIGEST, b"c", 0)
    with pytest.raises(Refused) as refusal:
        store.keep(ABOUT, DIGEST, b"c", 0)
    assert refusal.value.reason == "no-room"
    store.name(bytes(16), DIGEST)
    store.keep(ABOUT, DIGEST, b"c", 0)


def test_pending_transactions_wait_until_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_module, "PENDING_MAX", 2)
    store = PendingStore(tmp_path / "pending")
    store.keep(ABOUT, b"one", 1000)
    store.keep(DIGEST, b"two", 5000)
    store.keep(ABOUT, b"one", 9000)
    with pytest.raises(Refused) as refusal:
        store.keep(b"x" * 32, b"three", 1)
    assert refusal.value.reason == "pool-full"
    assert list(store.waiting(2000)) == [(ABOUT, b"one")]
    store.touch(ABOUT, 3000)
    assert list(store.waiting(2000)) == []
    again = PendingStore(tmp_path / "pending")
    assert dict(again.waiting(1)) == {ABOUT: b"one", DIGEST: b"two"}
    again.drop(ABOUT)
    again.drop(ABOUT)
    assert ABOUT not in again
    assert len(PendingStore(tmp_path / "pending")) == 1


def test_a_pending_transaction_that_somebody_removed_is_passed_over(tmp_path: Path) -> None:
    store = PendingStore(tmp_path / "pending")
    store.keep(ABOUT, b"one", 0)
    (tmp_path / "pending" / ABOUT.hex()).unlink()
    assert list(store.waiting(1)) == []
    store.drop(ABOUT)


def test_errands_that_nobody_runs_are_given_up_not_hoarded() -> None:
    errands = Errands()
    given_up: list[int] = []
    for number in range(ERRANDS_MAX + 3):
        errands.leave("somebody", "method", b"", lambda data, failure, number=number: given_up.append(number))  # type: ignore[misc]
    assert given_up == [0, 1, 2]
    first = errands.take()
    assert first is not None
    first.done(None, None)
    assert given_up[-1] == 3
