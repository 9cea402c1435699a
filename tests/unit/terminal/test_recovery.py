"""Backups hold no one-time secret; a restored wallet learns from the ledger what happened since."""

import hashlib

import pytest

from salus.codec import encode
from salus.consultation.credentials import Credential
from salus.consultation.envelope import EnvelopeDraft
from salus.consultation.registration import Domain
from salus.errors import DamagedFile, StorageError, WalletError, WrongPassphrase
from salus.files import Busy, HomeLock
from salus.groups.ristretto255 import random_scalar
from salus.terminal import recovery, sealed
from salus.terminal.recovery import UNREADABLE, backup, nullifier_of, reconcile, restore, to_reconcile
from salus.terminal.sealed import CHEAP_COST, UnknownVersion
from salus.terminal.wallet import WALLET_FILE, Wallet, WrongNetwork
from salus.terminal.wallet_content import IN_USE, SPENT, UNUSED

from .wallets import NETWORK, PASSPHRASE, QUARTER, consultation, create, credentials, patient_content, seeded, slot


@pytest.fixture
def backed_up(tmp_path):
    """A wallet with one consultation under way and three slots, its backup, its recovery phrase."""
    wallet, phrase = create(tmp_path / "w", patient_content(4))
    wallet.one_time.put("consultation-one", b"one-time secrets of one")
    wallet.one_time.put("slot-1", b"one-time secret e_1")
    wallet.update(
        lambda c: (
            c.with_credential_state(QUARTER, 0, IN_USE)
            .with_credential_state(QUARTER, 1, SPENT)
            .with_consultation(consultation("one", 0, "stored"))
            .with_consultation(consultation("done", 1, "answered"))
            .with_slots([slot(1, "open"), slot(2, "replied"), slot(3, "taken")])
        )
    )
    backup(wallet, tmp_path / "backup", now_ms=77)
    yield wallet, tmp_path / "backup", phrase
    wallet.close()


def restored(tmp_path, path, **how):
    how = how or {"passphrase": PASSPHRASE}
    return restore(tmp_path / "r", path, network=NETWORK, cost=CHEAP_COST, **how)


def test_a_backup_restores_by_passphrase_or_phrase(tmp_path, backed_up):
    wallet, path, phrase = backed_up
    by_passphrase = restored(tmp_path, path)
    assert by_passphrase.made_ms == 77
    assert by_passphrase.wallet.content == recovery.without_used_secrets(wallet.content).with_setting(recovery.RESTORED, "77")
    by_passphrase.wallet.close()
    Wallet.open(tmp_path / "r", PASSPHRASE).close()
    by_phrase = restore(tmp_path / "r2", path, phrase=phrase, new_passphrase=b"new", cost=CHEAP_COST)
    by_phrase.wallet.close()
    Wallet.open(tmp_path / "r2", b"new").close()
    Wallet.open_with_phrase(tmp_path / "r2", phrase).close()
    with pytest.raises(WrongPassphrase):
        Wallet.open(tmp_path / "r2", PASSPHRASE)


def test_a_backup_holds_no_one_time_key_and_no_secret_of_a_used_credential(tmp_path, backed_up):
    wallet, path, _ = backed_up
    file = sealed.parse(path.read_bytes(), "backup")
    opened = sealed.open_content(wallet._data_key, file, "backup", "backup")
    assert b"one-time secret" not in opened
    used, unused = wallet.content.credential(QUARTER, 0), wallet.content.credential(QUARTER, 2)
    s = Credential.from_secret(used.secret).s.encode()
    assert s not in opened
    assert used.secret not in opened
    assert Credential.from_secret(unused.secret).s.encode() in opened  # so that the search above would have found it
    with restored(tmp_path, path).wallet as again:
        assert again.one_time.names() == ()
        assert [(c.index, c.state, bool(c.secret)) for c in again.content.credentials] == [
            (0, SPENT, False), (1, SPENT, False), (2, UNUSED, True), (3, UNUSED, True),
        ]  # fmt: skip


def test_restoring_refuses_what_it_cannot_do_and_makes_nothing(tmp_path, backed_up):
    _, path, phrase = backed_up
    whole = path.read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-5])
    (tmp_path / "wallet-as-backup").write_bytes((tmp_path / "w" / WALLET_FILE).read_bytes())
    for file, error, how in (
        (path, WrongPassphrase, {"passphrase": b"wrong"}),
        (path, WalletError, {"phrase": phrase}),
        (path, WalletError, {"phrase": "abandon " * 24, "new_passphrase": b"n"}),
        (path, WrongPassphrase, {"phrase": "abandon " * 23 + "art", "new_passphrase": b"n"}),
        (path, WalletError, {"passphrase": PASSPHRASE, "phrase": phrase}),
        (path, WalletError, {"new_passphrase": b"n"}),
        (tmp_path / "cut", DamagedFile, {"passphrase": PASSPHRASE}),
        (tmp_path / "wallet-as-backup", DamagedFile, {"passphrase": PASSPHRASE}),
        (tmp_path / "nowhere", StorageError, {"passphrase": PASSPHRASE}),
    ):
        with pytest.raises(error):
            restored(tmp_path, file, **how)
        assert not (tmp_path / "r").exists(), how
    with pytest.raises(WrongNetwork):
        restore(tmp_path / "r", path, passphrase=PASSPHRASE, network=bytes(32))
    with pytest.raises(WalletError, match="already"):
        restore(tmp_path / "w", path, passphrase=PASSPHRASE)


def test_a_backup_of_a_newer_version_is_not_called_damaged(tmp_path, backed_up):
    wallet, _, _ = backed_up
    path = tmp_path / "newer"
    path.write_bytes(wallet.seal_beside("backup", encode(("wallet.backup", 2, 1))).to_bytes())
    with pytest.raises(UnknownVersion):
        restored(tmp_path, path)


def test_backups_are_never_overwritten(tmp_path, backed_up):
    wallet, path, _ = backed_up
    before = path.read_bytes()
    with pytest.raises(WalletError, match="exists already"):
        backup(wallet, path, now_ms=78)
    assert path.read_bytes() == before


def test_restoring_into_a_busy_directory(tmp_path, backed_up):
    _, path, _ = backed_up
    with HomeLock(tmp_path / "r"), pytest.raises(Busy):
        restored(tmp_path, path)
    assert not (tmp_path / "r" / WALLET_FILE).exists()


def test_what_must_be_compared_with_the_ledger(tmp_path, backed_up):
    wallet, path, _ = backed_up
    here = to_reconcile(wallet)
    assert (here.consultations, [s.sn for s in here.slots]) == ((), [3])  # the original has its one-time keys
    with restored(tmp_path, path).wallet as again:
        todo = to_reconcile(again)
        assert [entry.index for entry, _ in todo.credentials] == [2, 3]
        assert [c.id for c in todo.consultations] == ["one"]
        assert [s.sn for s in todo.slots] == [1, 3]


def test_reconciling_marks_what_was_used_and_lists_what_can_no_longer_be_opened(tmp_path, backed_up):
    wallet, path, _ = backed_up
    later = Credential.from_secret(wallet.content.credential(QUARTER, 3).secret)
    used_later = nullifier_of(NETWORK, later)
    ledger = {used_later: consultation("two", 0, "stored")}
    asked = []

    def seen(nf):
        asked.append(nf)
        return ledger.get(nf)

    with restored(tmp_path, path).wallet as again:
        result = reconcile(again, seen)
        assert len(asked) == 2
        assert [c.index for c in result.used] == [3]
        assert [(c.id, c.state) for c in result.unreadable] == [("one", UNREADABLE), ("two", UNREADABLE)]
        assert again.content.consultation("two").nullifier == used_later
        assert again.content.consultation("two").index == 3
        assert again.content.credential(QUARTER, 3) == wallet.content.credential(QUARTER, 3).__class__(QUARTER, 3, SPENT, b"")
        assert [c.index for c in again.content.unused_credentials()] == [2]
        assert [s.sn for s in result.slots] == [1, 3]
        repeated = reconcile(again, seen)
        assert (repeated.used, repeated.unreadable) == ((), ())


def test_the_nullifier_is_the_one_that_a_request_shows():
    random = seeded(b"nf")
    (credential,) = credentials(1, random)
    domain = Domain(NETWORK, credential.W)  # any point serves as the centre's key here
    draft = EnvelopeDraft(domain, credential, 1, 5, random_scalar(random), random(32))
    assert nullifier_of(NETWORK, credential) == draft.nf
    assert nullifier_of(hashlib.sha256(b"another network").digest(), credential) != draft.nf


def test_states_are_those_of_the_terminals():
    doctor = pytest.importorskip("salus.terminal.doctor")
    patient = pytest.importorskip("salus.terminal.patient")
    assert frozenset(patient.OPEN_STATES) == recovery.CONSULTATION_NEEDS_KEYS
    assert frozenset({doctor.OPEN, doctor.TAKEN, doctor.REPLYING}) == recovery.SLOT_NEEDS_KEYS
    assert patient.UNREADABLE == recovery.UNREADABLE
    assert patient._one_time("x") == recovery.consultation_file("x")
    assert doctor._slot_file(3) == recovery.slot_file(3)
