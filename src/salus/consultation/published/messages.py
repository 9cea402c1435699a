# ruff: noqa: N815 - fields bear the paper's names
"""Messages of the printed protocol, in the paper's names.

The tuples are the printed ones; what a receiver needs beside a tuple (pk_PA with Transaction 1) travels next to it in
an envelope of its own, so that nothing printed is changed in silence.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from salus.codec import Bytes32, Message, Name, Size

ID_BYTES: Final = 64
"""An identity is padded to this length before it is encrypted to the static anonym."""
PID_BYTES: Final = 12 + ID_BYTES + 16
"""Static anonym: nonce, padded identity, tag."""
MAX_DATA_BYTES: Final = 4 * 1024 * 1024
"""Health data of one visit. The printed protocol carries the whole ciphertext in the transaction, hence on the chain;
four mebibytes hold every demonstration record and keep a block of such transactions within one encoded value."""
MAX_NODES: Final = 1024
"""Validation nodes of one shared value: building f costs O(t^2)."""

Pid = Annotated[bytes, Size(PID_BYTES, PID_BYTES)]
Data = Annotated[bytes, Size(0, MAX_DATA_BYTES)]
SmallCiphertext = Annotated[bytes, Size(0, 4096)]
Ciphertext = Annotated[bytes, Size(0, 2 * MAX_DATA_BYTES + 4096)]
"""C_DO repeats m_PA beside m_DO, so it is up to twice as long as the data."""


class PublicKey(Message, frozen=True):
    """pk_U = (P_U, Q_U) of a registered user."""

    KIND: ClassVar[str] = "published.public-key"
    P: Bytes32
    Q: Bytes32


class RegistrationRequest(Message, frozen=True):
    """(ID_U, P_U). ``possession`` is a Schnorr proof of x_U, which the paper lacks (see :mod:`.registration`)."""

    KIND: ClassVar[str] = "published.registration"
    role: Name
    identity: Name
    P: Bytes32
    possession: Annotated[bytes, Size(0, 64)]


class RegistrationAnswer(Message, frozen=True):
    """(pid_PA, (y_PA, Q_PA)) of Algorithm 2; ``pid`` is empty for doctors and nodes (Algorithm 4)."""

    KIND: ClassVar[str] = "published.registered"
    pid: Annotated[bytes, Size(0, PID_BYTES)]
    y: Bytes32
    Q: Bytes32


class SharedValue(Message, frozen=True):
    """Output of Algorithm 6: (a_0, .., a_(t-1), R, pk_BC); the leading coefficient 1 is left out."""

    KIND: ClassVar[str] = "published.shared-value"
    coefficients: Annotated[tuple[Bytes32, ...], Size(1, MAX_NODES)]
    R: Bytes32
    pk_BC: Bytes32


class HealthData(Message, frozen=True):
    """m_PA = (pid_PA, data_PA, T^1_PA); the time is UTC milliseconds."""

    KIND: ClassVar[str] = "published.health-data"
    pid: Pid
    data: Data
    time_ms: int


class RequestPlaintext(Message, frozen=True):
    """What C_PA encrypts: (m_PA, h2(m_PA, key^1_PD), ID_DO, sn)."""

    KIND: ClassVar[str] = "published.C_PA"
    m_PA: HealthData
    check: Bytes32
    ID_DO: Name
    sn: int


class ReplyPlaintext(Message, frozen=True):
    """What C_DO encrypts: (m_PA, m_DO, h2(m_PA, m_DO, key^2_PD), ID_DO, pid_PA, sn).

    Algorithm 9 encrypts six elements and Algorithm 11 decrypts three; both sides here use the six. Likewise C_PA.
    """

    KIND: ClassVar[str] = "published.C_DO"
    m_PA: HealthData
    m_DO: Data
    check: Bytes32
    ID_DO: Name
    pid: Pid
    sn: int


class Transaction1(Message, frozen=True):
    """Transaction1 = (PID1, ID_DO, A_PA, C_PA, M_i1, M_i2, sn)."""

    KIND: ClassVar[str] = "published.transaction1"
    PID1: Pid
    ID_DO: Name
    A: Bytes32
    C: Ciphertext
    M_i1: Bytes32
    M_i2: Bytes32
    sn: int


class Transaction2(Message, frozen=True):
    """Transaction2 = (PID2, ID_DO, A_DO, C_DO, M_k1, M_k2, sn)."""

    KIND: ClassVar[str] = "published.transaction2"
    PID2: Pid
    ID_DO: Name
    A: Bytes32
    C: Ciphertext
    M_k1: Bytes32
    M_k2: Bytes32
    sn: int


class Request(Message, frozen=True):
    """Transaction 1 as broadcast: the tuple, and beside it pk_PA.

    Algorithms 8 and 9 take pk_PA as an input, but no printed message carries it. It is the same in every visit and
    travels in the clear, so it links all of a patient's transactions: a fault of the printed design, kept.
    """

    KIND: ClassVar[str] = "published.request"
    transaction: Transaction1
    pk_PA: PublicKey


class StorageKey(Message, frozen=True):
    """(PID, A, ID_DO): what the cloud files a transaction under, and what its response encrypts."""

    KIND: ClassVar[str] = "published.storage-key"
    PID: Pid
    A: Bytes32
    ID_DO: Name


class StorageResponse(Message, frozen=True):
    """(E_key(PID, A, ID_DO), pk_C), with key = sk_C * A."""

    KIND: ClassVar[str] = "published.storage-response"
    ciphertext: SmallCiphertext
    pk_C: Bytes32


class DirectoryEntry(Message, frozen=True):
    """A registered doctor or node: public by nature."""

    KIND: ClassVar[str] = "published.directory-entry"
    role: Name
    identity: Name
    key: PublicKey


class Directory(Message, frozen=True):
    """Everything public that a party needs: PP, pk_BC with the shared value, pk_C, and the keys of doctors and nodes."""

    KIND: ClassVar[str] = "published.directory"
    network: Bytes32
    Pub: Bytes32
    pk_C: Bytes32
    shared: SharedValue
    entries: Annotated[tuple[DirectoryEntry, ...], Size(0, 65536)]
