"""Write the golden encodings of stored messages and files again: ``python tests/golden/stored/make.py`` from the checkout.

``messages.json`` has every message type that is stored anywhere, by kind and version, with something in every field. A type of
which ``sent.txt`` says that it only travels has none. ``home`` has the sharing half's own files as they lie on a disk: the shelf
of a wallet, a node's attachments, pending transactions and open items, what a cloud keeps beside bodies, pages of the index.
A release that changes a format keeps the encodings that are here, and adds its own under the new version.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))

from salus.cloud.sharing_records import RecordEntry as CloudEntry  # noqa: E402
from salus.cloud.wanted import WantedRecord  # noqa: E402
from salus.codec import Message  # noqa: E402
from salus.node.sharing.attachments import AttachmentStore  # noqa: E402
from salus.node.sharing.backlog import OpenItems  # noqa: E402
from salus.node.sharing.pending import PendingStore  # noqa: E402
from salus.search.answer import TokenBook  # noqa: E402
from salus.search.index import IndexPage  # noqa: E402
from salus.terminal.sealed import CHEAP_COST  # noqa: E402
from salus.terminal.sharing import entries as e  # noqa: E402
from salus.terminal.sharing.shelf import Shelf  # noqa: E402
from salus.terminal.wallet import Wallet  # noqa: E402
from salus.terminal.wallet_content import WalletContent  # noqa: E402
from support.filled import filled  # noqa: E402
from support.instances import all_message_types  # noqa: E402

PASSPHRASE = b"golden passphrase"
SHELF: dict[str, type[Message]] = {
    "scope-vitals-2025q3": e.ScopeEntry,
    "record-0102": e.RecordEntry,
    "delegation-0102": e.DelegationEntry,
    "key-0102": e.AttributeKey,
    "pending-0102": e.PendingKey,
    "opening-vitals-2025q3": e.PendingOpening,
    "share-0102": e.ShareEntry,
    "index-0102": e.KnownIndexKey,
    "order": e.PendingOrder,
    "tokens": TokenBook,
    "followed": e.Followed,
    "found": e.FoundRecords,
}
"""What a terminal keeps of sharing, by the name it has there."""
RAW: dict[str, type[Message]] = {
    "node/open-items": OpenItems,
    "cloud/record": CloudEntry,
    "cloud/wanted": WantedRecord,
    "index/page": IndexPage,
}
"""Files that are one message."""
TRANSACTION = b"a pending transaction, as it was encoded"


def sent() -> set[str]:
    """Kinds of messages that only travel."""
    lines = (HERE / "sent.txt").read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def stored_types() -> dict[str, type[Message]]:
    """Every type that is not among them, by kind and version."""
    return {f"{cls.KIND}-{cls.VERSION}": cls for cls in all_message_types() if cls.KIND not in sent()}


def messages() -> str:
    """The text of ``messages.json``: encodings in hexadecimal."""
    found = {name: filled(cls).encode().hex() for name, cls in stored_types().items()}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def write_home(home: Path) -> None:
    """The files of ``home``, from one stream of random bytes."""
    stream, at = hashlib.shake_256(b"golden shelf").digest(1 << 16), 0

    def random(count: int, /) -> bytes:
        nonlocal at
        at += count
        return stream[at - count : at]

    content = WalletContent("patient", "ada", "Ada", bytes(32), bytes([1]) * 32)
    with Wallet.create(home / "wallet", content, PASSPHRASE, random=random, cost=CHEAP_COST)[0] as wallet:
        shelf = Shelf(wallet)
        for name, cls in SHELF.items():
            shelf.put(name, filled(cls))
    (home / "wallet" / "lock").unlink()
    for name, cls in RAW.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(filled(cls).encode())
    for sort, size in (("delegations", 48), ("metadata", 600)):
        AttachmentStore(home / "node" / sort, size).keep(bytes([1]) * 32, bytes([2]) * 32, bytes(range(48)), 1)
    PendingStore(home / "node" / "pending").keep(hashlib.sha256(TRANSACTION).digest(), TRANSACTION, 1)


if __name__ == "__main__":
    (HERE / "messages.json").write_text(messages())
    shutil.rmtree(HERE / "home", ignore_errors=True)
    (HERE / "home").mkdir()
    write_home(HERE / "home")
