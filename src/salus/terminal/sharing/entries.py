"""What the shelf holds: typed, bounded; reprs show no content (:class:`salus.codec.Message`)."""

from __future__ import annotations

from typing import Annotated, Final

from salus.abpre.keys import KeyMessage
from salus.abpre.policy import TEXT_CHARACTERS_MAX
from salus.abpre.threshold.key_issuing import KeyRequest
from salus.codec import Bytes16, Bytes32, Label, Message, Name, Size
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.records.payload import FILE_NAME_BYTES_MAX
from salus.search.keyword import KEYWORD_BYTES_MAX
from salus.search.tokens import ELEMENTS_MAX

SENT: Final = "sent"
STORED: Final = "stored"
ERASED: Final = "erased"
SUPERSEDED: Final = "superseded"
REVOKED: Final = "revoked"
SCALAR_BYTES: Final = 32
FOUND_MAX: Final = 4096
"""Found records that a terminal remembers: some answers of a value node."""
Policy = Annotated[str, Size(0, TEXT_CHARACTERS_MAX)]


PROBLEM_BYTES_MAX: Final = 1024


class ScopeEntry(Message, frozen=True):
    """A scope that is open on the ledger; its key is derived.

    :ivar key: for ``own:<x>``, None until the authority has issued it.
    """

    KIND = "wallet.scope"

    category: Label
    period: Label
    key: KeyMessage | None


class RecordEntry(Message, frozen=True):
    """A record of this owner; what opens it is the scope's key.

    :ivar state: ``sent`` (outcome not known yet), ``stored``, ``superseded``, ``erased``.
    :ivar category, period: of its scope. :ivar quarter: of its clinical date, also where the scope is a whole category.
    :ivar policy: sharing policy in canonical text, empty for none.
    :ivar size_bytes: of the file. :ivar keywords: how many it is found by. :ivar left_out: how many more the file has.
    :ivar keywords_problem: why the file gave none, or not all. :ivar version: of the metadata.
    :ivar tx_hash: of the last transaction about it.
    """

    KIND = "wallet.record"

    rid: Bytes16
    state: Label
    category: Label
    period: Label
    quarter: Label
    policy: Policy
    file_name: Annotated[str, Size(0, FILE_NAME_BYTES_MAX)]
    media_type: Name
    size_bytes: int
    keywords: int
    left_out: int
    keywords_problem: Annotated[str, Size(0, PROBLEM_BYTES_MAX)]
    discoverable: int
    version: int
    supersedes: Bytes16 | None
    put_ms: int
    tx_hash: Bytes32


class DelegationEntry(Message, frozen=True):
    """A delegation that this owner made.

    :ivar state: ``sent``, ``stored``, ``revoked``.
    """

    KIND = "wallet.delegation"

    delegation: Bytes32
    state: Label
    category: Label
    period: Label
    policy: Policy
    expires_ms: int
    made_ms: int
    tx_hash: Bytes32


class AttributeKey(Message, frozen=True):
    """A key of attributes that was issued to this institution."""

    KIND = "wallet.attribute-key"

    key: KeyMessage
    issued_ms: int


class PendingKey(Message, frozen=True):
    """A request for a key under way, with its one-time secret."""

    KIND = "wallet.pending-key"

    core: KeyRequest
    er: Bytes32


class PendingOrder(Message, frozen=True):
    """An order of tokens under way: what was paid for is fetched after an interruption.

    :ivar blinds: 32 secret bytes a word: whoever knows them knows which words were asked.
    :ivar raw: the transaction, as it goes to the nodes.
    :ivar quarter, index: of the credential that an owner's order spends; 0, 0 for an institution's.
    """

    KIND = "wallet.pending-order"

    words: Annotated[tuple[Annotated[str, Size(1, KEYWORD_BYTES_MAX)], ...], Size(1, ELEMENTS_MAX)]
    blinds: Annotated[bytes, Size(SCALAR_BYTES, ELEMENTS_MAX * SCALAR_BYTES)]
    raw: Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES)]
    quarter: int
    index: int


class PendingOpening(Message, frozen=True):
    """A patient's first use of a scope under way.

    :ivar raw: the transaction. :ivar quarter, index: of the credential that it spends.
    """

    KIND = "wallet.pending-opening"

    raw: Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES)]
    quarter: int
    index: int


class ShareEntry(Message, frozen=True):
    """A record that this institution asked for; the one-time key of the request is a one-time file."""

    KIND = "wallet.share"

    share: Bytes32
    request: Bytes32
    rid: Bytes16
    purpose: Label
    asked_ms: int


class FoundRecords(Message, frozen=True):
    """Records that this institution's searches found, the latest first: the beginning of an id is then enough to ask for one."""

    KIND = "wallet.found-records"

    rids: Annotated[tuple[Bytes16, ...], Size(0, FOUND_MAX)]


class KnownIndexKey(Message, frozen=True):
    """A scope's index key, by a delegation or a policy that this institution satisfies."""

    KIND = "wallet.known-index-key"

    scope: Bytes32
    index_key: Bytes32


class Followed(Message, frozen=True):
    """How far the ledger was read for delegations and index keys.

    :ivar height: last block. :ivar keys: digest of the attributes held then; with others, it is read again.
    """

    KIND = "wallet.followed"

    height: int
    keys: Bytes32
