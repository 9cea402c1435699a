"""The shelf of a wallet: sealed, replaced whole, bound to its name and wallet."""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.codec import Bytes32, Message
from salus.errors import DamagedFile, WalletError
from salus.terminal.sealed import CHEAP_COST
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import WalletContent

PASSPHRASE = b"a passphrase for tests"


class Thing(Message, frozen=True):
    KIND = "test.shelf-thing"

    value: Bytes32


class Other(Message, frozen=True):
    KIND = "test.shelf-other"

    value: Bytes32


def wallet_in(directory: Path) -> Wallet:
    content = WalletContent("patient", "alice", "Alice", bytes(32), bytes(32))
    return Wallet.create(directory, content, PASSPHRASE, cost=CHEAP_COST)[0]


def thing(n: int) -> Thing:
    return Thing(bytes([n]) * 32)


def test_what_is_put_comes_back_and_is_replaced(tmp_path: Path) -> None:
    with wallet_in(tmp_path / "w") as wallet:
        shelf = Shelf(wallet)
        assert shelf.get("thing-a", Thing) is None
        shelf.put("thing-a", thing(1))
        shelf.put("thing-b", thing(2))
        shelf.put("thing-a", thing(3))
        assert shelf.get("thing-a", Thing) == thing(3)
        assert sorted(t.value[0] for t in shelf.all("thing-", Thing)) == [2, 3]
        assert shelf.count("thing-") == 2
        assert shelf.remove("thing-a")
        assert not shelf.remove("thing-a")
        assert shelf.count("thing-") == 1
    with Wallet.open(tmp_path / "w", PASSPHRASE) as wallet:
        assert Shelf(wallet).get("thing-b", Thing) == thing(2)


def test_a_file_in_anothers_place_is_refused(tmp_path: Path) -> None:
    with wallet_in(tmp_path / "w") as wallet:
        shelf = Shelf(wallet)
        shelf.put("thing-a", thing(1))
        (first,) = (tmp_path / "w" / "sharing").iterdir()
        shelf.put("thing-b", thing(2))
        (second,) = (p for p in (tmp_path / "w" / "sharing").iterdir() if p != first)
        second.write_bytes(first.read_bytes())
        with pytest.raises(DamagedFile):
            shelf.get("thing-b", Thing)
        with pytest.raises(DamagedFile):
            shelf.get("thing-a", Other)


def test_every_altered_byte_is_noticed(tmp_path: Path) -> None:
    with wallet_in(tmp_path / "w") as wallet:
        shelf = Shelf(wallet)
        shelf.put("thing-a", thing(1))
        (path,) = (tmp_path / "w" / "sharing").iterdir()
        data = path.read_bytes()
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(DamagedFile):
                shelf.get("thing-a", Thing)


def test_another_wallet_opens_nothing_and_names_nothing(tmp_path: Path) -> None:
    with wallet_in(tmp_path / "a") as one, wallet_in(tmp_path / "b") as two:
        shelf, other = Shelf(one), Shelf(two)
        shelf.put("thing-a", thing(1))
        (path,) = (tmp_path / "a" / "sharing").iterdir()
        assert one.private_name("sharing", "thing-a") in path.name
        assert one.private_name("sharing", "thing-a") != two.private_name("sharing", "thing-a")
        (tmp_path / "b" / "sharing" / path.name).write_bytes(path.read_bytes())
        with pytest.raises(DamagedFile):
            other.all("thing-", Thing)


def test_a_closed_wallet_and_odd_names_are_refused(tmp_path: Path) -> None:
    wallet = wallet_in(tmp_path / "w")
    shelf = Shelf(wallet)
    for name in ("", "../x", "A-b", "x" * 101):
        with pytest.raises(WalletError):
            shelf.put(name, thing(1))
    wallet.close()
    with pytest.raises(WalletError):
        shelf.put("thing-a", thing(1))
