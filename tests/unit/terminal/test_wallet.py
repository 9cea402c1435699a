"""Wallets: open, save, lock, change the passphrase, survive accidents, tell nothing."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from small_disk import fill

from salus.codec import encode
from salus.consultation.credentials import Credential
from salus.errors import DamagedFile, Refused, StorageError, WalletError, WrongPassphrase
from salus.files import Busy
from salus.terminal import sealed
from salus.terminal.sealed import CHEAP_COST, UnknownVersion
from salus.terminal.wallet import WALLET_FILE, Wallet, WrongNetwork
from salus.terminal.wallet_content import IN_USE, SPENT, UNUSED, Contact, CredentialEntry, WalletContent

from .wallets import NETWORK, PASSPHRASE, QUARTER, consultation, create, patient_content, slot


def test_a_wallet_opens_as_it_was_saved(tmp_path):
    content = patient_content()
    wallet, phrase = create(tmp_path / "w", content)
    with wallet:
        wallet.update(lambda c: c.with_setting("language", "en"))
        wallet.one_time.put("slot-1", b"e_sn")
    assert len(phrase.split()) == 24
    with Wallet.open(tmp_path / "w", PASSPHRASE, network=NETWORK) as again:
        assert again.content == content.with_setting("language", "en")
        assert again.one_time.get("slot-1") == b"e_sn"
    with Wallet.open_with_phrase(tmp_path / "w", phrase, network=NETWORK) as again:
        assert again.content.setting("language") == "en"


def test_its_files_are_private(tmp_path):
    wallet, _ = create(tmp_path / "w")
    with wallet:
        wallet.one_time.put("slot-1", b"e_sn")
    for path in (tmp_path / "w").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_each_failure_has_its_own_error(tmp_path):
    directory = tmp_path / "w"
    with pytest.raises(WalletError, match="no wallet"):
        Wallet.open(directory, PASSPHRASE)
    assert not directory.exists()
    create(directory)[0].close()
    with pytest.raises(WrongPassphrase):
        Wallet.open(directory, b"wrong")
    with pytest.raises(WrongNetwork, match=NETWORK.hex()[:16]):
        Wallet.open(directory, PASSPHRASE, network=bytes(32))
    with pytest.raises(WalletError, match="already"):
        create(directory)
    path = directory / WALLET_FILE
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", whole[:100] + b"\xff" + whole[101:]):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile):
            Wallet.open(directory, PASSPHRASE)
        assert path.read_bytes() == damaged
    path.write_bytes(whole)
    with Wallet.open(directory, PASSPHRASE):  # none of the failures kept the lock
        pass


def test_content_of_a_newer_version_is_not_called_damaged(tmp_path):
    wallet, _ = create(tmp_path / "w")
    value = list(wallet.content.to_value())
    value[1] = 2
    file = sealed.seal_content(wallet._data_key, "wallet", wallet.content.name, encode(tuple(value)), os.urandom, wallet._wraps)
    wallet.close()
    (tmp_path / "w" / WALLET_FILE).write_bytes(file.to_bytes())
    with pytest.raises(UnknownVersion):
        Wallet.open(tmp_path / "w", PASSPHRASE)


def test_two_processes_do_not_open_one_wallet(tmp_path):
    wallet, _ = create(tmp_path / "w")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_try_open, args=(tmp_path / "w", queue))
    process.start()
    kind, pid = queue.get(timeout=30)
    process.join()
    assert (kind, pid) == ("Busy", os.getpid())
    wallet.close()
    with Wallet.open(tmp_path / "w", PASSPHRASE):
        pass


def _try_open(directory: Path, queue: "multiprocessing.Queue[tuple[str, int]]") -> None:
    try:
        Wallet.open(directory, PASSPHRASE)
    except Busy as error:
        queue.put((type(error).__name__, error.pid))


def test_changing_the_passphrase(tmp_path):
    wallet, phrase = create(tmp_path / "w")
    with wallet:
        wallet.one_time.put("slot-1", b"e_sn")
        with pytest.raises(WalletError):
            wallet.change_passphrase(b"", cost=CHEAP_COST)
        wallet.change_passphrase(b"another", cost=CHEAP_COST)
        wallet.update(lambda c: c.with_setting("a", "b"))
    with pytest.raises(WrongPassphrase):
        Wallet.open(tmp_path / "w", PASSPHRASE)
    with Wallet.open(tmp_path / "w", b"another") as again:
        assert again.content.setting("a") == "b"
        assert again.one_time.get("slot-1") == b"e_sn"
    Wallet.open_with_phrase(tmp_path / "w", phrase).close()


def test_a_full_disk_leaves_wallet_memory_and_passphrase_as_they_were(small_disk):
    disk = small_disk(128)
    wallet, _ = create(disk / "w")
    before = wallet.content
    fill(disk)
    with pytest.raises(StorageError, match="No space left"):
        wallet.update(lambda c: c.with_setting("a", "b" * 4000))
    with pytest.raises(StorageError, match="No space left"):
        wallet.change_passphrase(b"another", cost=CHEAP_COST)
    with pytest.raises(StorageError, match="No space left"):
        wallet.one_time.put("slot-1", bytes(5000))
    assert wallet.content == before
    assert wallet.one_time.names() == ()
    wallet.close()
    with Wallet.open(disk / "w", PASSPHRASE) as again:
        assert again.content == before


def test_a_full_disk_makes_no_half_wallet(small_disk):
    disk = small_disk(64)
    fill(disk)
    with pytest.raises(StorageError):
        create(disk / "w")
    assert not (disk / "w" / WALLET_FILE).exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_killed_while_saving_leaves_the_old_wallet_or_the_new(tmp_path, when):
    create(tmp_path / "w")[0].close()
    program = f"""
        import os, signal
        from pathlib import Path
        from salus.terminal.wallet import Wallet
        wallet = Wallet.open(Path({str(tmp_path / "w")!r}), {PASSPHRASE!r})
        rename = os.rename
        def killed(a, b):
            if {when!r} == "after":
                rename(a, b)
            os.kill(os.getpid(), signal.SIGKILL)
        os.rename = killed
        wallet.update(lambda c: c.with_setting("a", "b"))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Wallet.open(tmp_path / "w", PASSPHRASE) as wallet:
        assert wallet.content.setting("a") == ("b" if when == "after" else "")
        assert not list((tmp_path / "w").glob(".*.tmp"))


def test_spent_secrets_leave_the_file_that_held_them(tmp_path):
    """Also the bytes of the replaced version are gone, not only its name."""
    wallet, _ = create(tmp_path / "w")
    with wallet, (tmp_path / "w" / WALLET_FILE).open("rb") as old_version:
        wallet.update(lambda c: c.with_credential_state(QUARTER, 0, SPENT))
        assert set(old_version.read()) == {0}
        assert wallet.content.credential(QUARTER, 0).secret == b""
        assert wallet.content.credential(QUARTER, 1).secret


def test_nothing_in_the_directory_shows_what_the_wallet_holds(tmp_path):
    content = patient_content().replace(display_name="Ada Canary Lovelace").with_setting("canary-key", "canary-value")
    wallet, _ = create(tmp_path / "w", content)
    with wallet:
        wallet.one_time.put("slot-1", b"one-time canary")
    secrets = [c.secret for c in content.credentials] + [b"canary", b"Canary", b"one-time canary", PASSPHRASE]
    for path in (p for p in (tmp_path / "w").rglob("*") if p.is_file()):
        data = path.read_bytes()
        for secret in secrets:
            for form in (secret, secret.hex().encode(), secret.decode("latin-1").encode("utf-16-le")):
                assert form not in data, path


def test_no_repr_shows_a_secret(tmp_path):
    wallet, phrase = create(tmp_path / "w")
    shown = " ".join(repr(x) for x in (wallet, wallet.content, wallet.content.patient, *wallet.content.credentials))
    secrets = [c.secret for c in wallet.content.credentials] + [wallet._data_key]
    assert wallet.content.patient is not None
    secrets.append(wallet.content.patient.enrolment_secret)
    wallet.close()
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
    assert phrase.split()[0] not in shown.split()


def test_one_time_secrets_are_written_once_and_erased_for_good(tmp_path):
    wallet, _ = create(tmp_path / "w")
    with wallet:
        one_time = wallet.one_time
        one_time.put("consultation-1", b"a and g")
        with pytest.raises(WalletError, match="never replaced"):
            one_time.put("consultation-1", b"other")
        assert one_time.names() == ("consultation-1",)
        path = tmp_path / "w" / "one-time" / "consultation-1.sealed"
        with path.open("rb") as still_open:
            assert one_time.erase("consultation-1")
            assert set(still_open.read()) == {0}
        assert not one_time.erase("consultation-1")
        with pytest.raises(Refused) as caught:
            one_time.get("consultation-1")
        assert caught.value.reason == "erased"
        for name in ("../wallet", "", "A", "a/b", ".hidden", "x" * 101):
            with pytest.raises(WalletError):
                one_time.put(name, b"x")


def test_damaged_renamed_and_foreign_one_time_files_are_refused(tmp_path):
    wallet, _ = create(tmp_path / "w")
    other, _ = create(tmp_path / "other")
    directory = tmp_path / "w" / "one-time"
    with wallet, other:
        wallet.one_time.put("slot-1", b"one")
        other.one_time.put("slot-1", b"foreign")
        whole = (directory / "slot-1.sealed").read_bytes()
        (directory / "slot-2.sealed").write_bytes(whole)
        with pytest.raises(Refused, match="holds the one-time keys slot-1"):
            wallet.one_time.get("slot-2")
        (directory / "slot-1.sealed").write_bytes(whole[:-1])
        with pytest.raises(DamagedFile):
            wallet.one_time.get("slot-1")
        (directory / "slot-1.sealed").write_bytes((tmp_path / "other" / "one-time" / "slot-1.sealed").read_bytes())
        with pytest.raises(DamagedFile, match="another wallet"):
            wallet.one_time.get("slot-1")


def test_a_closed_wallet_is_of_no_use(tmp_path):
    wallet, _ = create(tmp_path / "w")
    one_time = wallet.one_time
    wallet.close()
    wallet.close()
    with pytest.raises(WalletError, match="closed"):
        one_time.put("slot-1", b"x")
    with pytest.raises(WalletError, match="closed"):
        wallet.update(lambda c: c.with_setting("a", "b"))
    with pytest.raises(WalletError, match="closed"):
        wallet.change_passphrase(b"x", cost=CHEAP_COST)


def test_credentials_only_move_forward(tmp_path):
    content = patient_content()
    used = content.with_credential_state(QUARTER, 1, IN_USE)
    assert [c.index for c in used.unused_credentials(QUARTER)] == [0, 2]
    assert used.unused_credentials(QUARTER + 1) == ()
    assert Credential.from_secret(used.credential(QUARTER, 1).secret).index == 1
    spent = used.with_credential_state(QUARTER, 1, SPENT)
    assert spent.credential(QUARTER, 1) == CredentialEntry(QUARTER, 1, SPENT, b"")
    for state in (UNUSED, IN_USE):
        with pytest.raises(WalletError):
            spent.with_credential_state(QUARTER, 1, state)
    with pytest.raises(WalletError, match="no credential 9"):
        content.credential(QUARTER, 9)


def test_entries_are_added_and_replaced_by_their_key():
    content = patient_content(0)
    content = content.with_consultation(consultation("b", 0)).with_consultation(consultation("a", 1))
    content = content.with_consultation(consultation("b", 0, "stored"))
    assert [(c.id, c.state) for c in content.consultations] == [("b", "stored"), ("a", "sent")]
    with pytest.raises(WalletError, match="no consultation c"):
        content.consultation("c")
    content = content.with_slots([slot(5, "open"), slot(3, "open")]).with_slots([slot(5, "taken")])
    assert [(s.sn, s.state) for s in content.slots] == [(3, "open"), (5, "taken")]
    content = content.with_contact(Contact("doctor", "c/d", "D", bytes(32))).with_contact(
        Contact("doctor", "c/d", "E", bytes(32))
    )
    assert [c.display_name for c in content.contacts] == ["E"]
    assert content.with_setting("a", "1").with_setting("a", "2").setting("a") == "2"
    assert WalletContent.decode(content.encode()) == content


def test_a_content_over_its_bounds_is_refused_and_changes_nothing(tmp_path):
    wallet, _ = create(tmp_path / "w")
    with wallet:
        many = tuple(msgspec.structs.replace(slot(1, "open"), sn=n) for n in range(16_385))
        with pytest.raises(Refused, match="slots"):
            wallet.update(lambda c: c.replace(slots=many))
        assert wallet.content.slots == ()
