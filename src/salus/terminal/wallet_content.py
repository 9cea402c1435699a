"""What a wallet remembers: typed, canonical, bounded. Secrets are redacted in every repr.

One-time secrets are not here but in files of their own (:mod:`salus.terminal.wallet_one_time`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from salus.codec import Bytes32, Label, Message, Name, Size, Text
from salus.consultation.enrolment import EnrolmentStatement, PatientId
from salus.consultation.registration import MemberRecord
from salus.errors import WalletError

CREDENTIALS_MAX: Final = 64 * 16
"""Sixteen quarters of credentials; older ones are dropped."""
CONSULTATIONS_MAX: Final = 4096
SLOTS_MAX: Final = 16_384
CONTACTS_MAX: Final = 4096
SETTINGS_MAX: Final = 256

UNUSED: Final = 0
IN_USE: Final = 1
SPENT: Final = 2


class Setting(Message, frozen=True):
    """One setting of this party."""

    KIND = "wallet.setting"

    key: Label
    value: Text


class Contact(Message, frozen=True):
    """A party met before: its public key as seen on the ledger then."""

    KIND = "wallet.contact"

    role: Label
    name: Name
    display_name: Annotated[str, Size(0, 128)]
    public_key: Bytes32


class MemberEntry(Message, frozen=True):
    """Long-term key of a doctor, institution, node or cloud: public record and s."""

    KIND = "wallet.member"

    record: MemberRecord
    secret: Bytes32

    def __repr__(self) -> str:
        return f"MemberEntry({self.record.role} {self.record.name})"


class PatientEntry(Message, frozen=True):
    """A patient's identity, enrolment key f and the centre's signature on (identity, F)."""

    KIND = "wallet.patient"

    identity: PatientId
    enrolment_secret: Bytes32
    statement: EnrolmentStatement | None

    def __repr__(self) -> str:
        return "PatientEntry(..)"


class CredentialEntry(Message, frozen=True):
    """One credential.

    :ivar state: :data:`UNUSED`, :data:`IN_USE` (a request with it may be on its way) or :data:`SPENT`.
    :ivar secret: :meth:`salus.consultation.credentials.Credential.export_secret`; empty once erased.
    """

    KIND = "wallet.credential-entry"

    quarter: int
    index: int
    state: int
    secret: Annotated[bytes, Size(0, 1024)]

    def __repr__(self) -> str:
        return f"CredentialEntry(quarter={self.quarter}, index={self.index}, state={self.state})"


class ConsultationEntry(Message, frozen=True):
    """The public part of one consultation of a patient; its secrets are the one-time file named ``id``.

    :ivar id: local id, also the name of its one-time file.
    :ivar state: word of the patient's flow, e.g. ``sent``, ``stored``, ``answered``, ``declined``, ``unreadable``.
    :ivar quarter, index: the credential it used.
    :ivar deadline_ms: valid_until, block time.
    """

    KIND = "wallet.consultation"

    id: Label
    state: Label
    doctor: Name
    day: Annotated[str, Size(0, 10)]
    sn: int
    tx_hash: Bytes32
    nullifier: Bytes32
    quarter: int
    index: int
    deadline_ms: int
    body_digest: Bytes32
    body_size_bytes: int
    file_name: Annotated[str, Size(0, 255)]


class SlotEntry(Message, frozen=True):
    """The public part of one slot of a doctor; e_sn is the one-time file ``slot-<sn>``.

    :ivar state: word of the doctor's flow, e.g. ``open``, ``taken``, ``replied``, ``closed``.
    :ivar request_tx, reply_tx: hashes of Transaction 1 and 2, once there are any.
    """

    KIND = "wallet.slot"

    sn: int
    day: Annotated[str, Size(10, 10)]
    key: Bytes32
    state: Label
    request_tx: Bytes32 | None
    reply_tx: Bytes32 | None


class WalletContent(Message, frozen=True):
    """The long-term part of a wallet.

    :ivar network: id of the network the wallet belongs to. :ivar genesis: digest of its genesis, to recognise it by.
    """

    KIND = "wallet.content"

    role: Label
    name: Name
    display_name: Annotated[str, Size(0, 128)]
    network: Bytes32
    genesis: Bytes32
    member: MemberEntry | None = None
    patient: PatientEntry | None = None
    credentials: Annotated[tuple[CredentialEntry, ...], Size(0, CREDENTIALS_MAX)] = ()
    consultations: Annotated[tuple[ConsultationEntry, ...], Size(0, CONSULTATIONS_MAX)] = ()
    slots: Annotated[tuple[SlotEntry, ...], Size(0, SLOTS_MAX)] = ()
    contacts: Annotated[tuple[Contact, ...], Size(0, CONTACTS_MAX)] = ()
    settings: Annotated[tuple[Setting, ...], Size(0, SETTINGS_MAX)] = ()

    def __repr__(self) -> str:
        return f"WalletContent({self.role} {self.name})"

    def replace(self, **changes: Any) -> WalletContent:
        """A copy with some fields replaced."""
        return msgspec.structs.replace(self, **changes)

    def setting(self, key: str, default: str = "") -> str:
        """Value of a setting."""
        return next((s.value for s in self.settings if s.key == key), default)

    def with_setting(self, key: str, value: str) -> WalletContent:
        """A copy with one setting set."""
        return self.replace(settings=(*(s for s in self.settings if s.key != key), Setting(key, value)))

    def without_setting(self, key: str) -> WalletContent:
        """A copy without one setting."""
        return self.replace(settings=tuple(s for s in self.settings if s.key != key))

    def with_contact(self, contact: Contact) -> WalletContent:
        """A copy with one contact added or replaced."""
        others = (c for c in self.contacts if (c.role, c.name) != (contact.role, contact.name))
        return self.replace(contacts=(*others, contact))

    def unused_credentials(self, quarter: int | None = None) -> tuple[CredentialEntry, ...]:
        """Credentials that were never used, of one quarter or of all."""
        return tuple(c for c in self.credentials if c.state == UNUSED and quarter in (None, c.quarter))

    def credential(self, quarter: int, index: int) -> CredentialEntry:
        """One credential.

        :raises WalletError: there is none of that number.
        """
        for entry in self.credentials:
            if (entry.quarter, entry.index) == (quarter, index):
                return entry
        raise WalletError(f"the wallet has no credential {index} of quarter {quarter}")

    def with_credentials(self, entries: Iterable[CredentialEntry]) -> WalletContent:
        """A copy with credentials added or replaced (by quarter and index)."""
        by_number = {(c.quarter, c.index): c for c in self.credentials} | {(c.quarter, c.index): c for c in entries}
        return self.replace(credentials=tuple(by_number[number] for number in sorted(by_number)))

    def with_credential_state(self, quarter: int, index: int, state: int) -> WalletContent:
        """A copy with one credential's state changed; :data:`SPENT` also drops its secret.

        :raises WalletError: there is none, or the state would go back.
        """
        entry = self.credential(quarter, index)
        if state < entry.state:
            raise WalletError(f"credential {index} of quarter {quarter} was used already and cannot become unused again")
        secret = b"" if state == SPENT else entry.secret
        return self.with_credentials([CredentialEntry(quarter, index, state, secret)])

    def consultation(self, id: str) -> ConsultationEntry:
        """One consultation by its local id.

        :raises WalletError: there is none.
        """
        for entry in self.consultations:
            if entry.id == id:
                return entry
        raise WalletError(f"there is no consultation {id}; list them with: salus consultation replies")

    def with_consultation(self, entry: ConsultationEntry) -> WalletContent:
        """A copy with one consultation added or replaced (by id)."""
        known = any(c.id == entry.id for c in self.consultations)
        kept = tuple(entry if c.id == entry.id else c for c in self.consultations)
        return self.replace(consultations=kept if known else (*kept, entry))

    def with_slots(self, entries: Iterable[SlotEntry]) -> WalletContent:
        """A copy with slots added or replaced (by sn)."""
        by_sn = {s.sn: s for s in self.slots} | {s.sn: s for s in entries}
        return self.replace(slots=tuple(by_sn[sn] for sn in sorted(by_sn)))
