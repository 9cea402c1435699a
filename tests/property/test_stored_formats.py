"""Every stored format has a golden file: what a release wrote opens in the next, and is still written the same.

A new message type is told to be stored (``python tests/golden/stored/make.py``) or only sent (``tests/golden/stored/sent.txt``);
one that is neither fails here, as does one whose encoding changed under its old version.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from golden.stored import make
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.pending import PendingStore
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.wallet import Wallet
from support.filled import filled
from support.instances import all_message_types

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "stored"
KEPT: dict[str, str] = json.loads((GOLDEN / "messages.json").read_text())
STORED = make.stored_types()


def test_every_message_type_has_a_golden_encoding_or_is_never_stored() -> None:
    assert sorted(STORED.keys() - KEPT.keys()) == [], "run tests/golden/stored/make.py, or add the kind to sent.txt"
    kinds = {cls.KIND for cls in all_message_types()}
    assert sorted(make.sent() - kinds) == [], "sent.txt names what is no message any more"


def test_nothing_is_forgotten_of_what_was_once_stored() -> None:
    """A golden encoding goes when nobody can have it any more: its type, in that version, is there."""
    assert sorted(KEPT.keys() - STORED.keys()) == []


@pytest.mark.parametrize("name", KEPT)
def test_it_is_read_and_written_as_it_was(name: str) -> None:
    data, cls = bytes.fromhex(KEPT[name]), STORED[name]
    read = cls.decode(data)
    assert read == filled(cls)
    assert read.encode() == data


def test_a_terminal_opens_its_golden_shelf(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "home" / "wallet", tmp_path / "w")
    with Wallet.open(tmp_path / "w", make.PASSPHRASE, network=bytes(32)) as wallet:
        shelf = Shelf(wallet)
        for name, cls in make.SHELF.items():
            assert shelf.get(name, cls) == filled(cls), name


def test_every_sort_of_entry_is_on_the_golden_shelf() -> None:
    ours = {cls for cls in all_message_types() if cls.__module__ == "salus.terminal.sharing.entries"}
    assert sorted(cls.KIND for cls in ours - set(make.SHELF.values())) == []


def test_a_node_finds_its_golden_attachments_and_pending_transactions(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "home" / "node", tmp_path / "n")
    for sort, size in (("delegations", 48), ("metadata", 600)):
        store = AttachmentStore(tmp_path / "n" / sort, size)
        assert store.held() == [(bytes([1]) * 32, bytes([2]) * 32)]
        assert store.read(*store.held()[0]) == bytes(range(48))
    pending = PendingStore(tmp_path / "n" / "pending")
    assert list(pending.waiting(1)) == [(hashlib.sha256(make.TRANSACTION).digest(), make.TRANSACTION)]


@pytest.mark.parametrize("name", make.RAW)
def test_files_of_one_message(name: str) -> None:
    data = (GOLDEN / "home" / name).read_bytes()
    assert make.RAW[name].decode(data) == filled(make.RAW[name])


def test_the_golden_files_are_what_this_version_writes(tmp_path: Path) -> None:
    assert make.messages() == (GOLDEN / "messages.json").read_text()
    make.write_home(tmp_path)
    written = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(GOLDEN / "home"): p.read_bytes() for p in (GOLDEN / "home").rglob("*") if p.is_file()}
    assert written == kept
