"""Challenger and oracles of the two games, for any suite that implements :class:`Scheme`.

Game 1: the adversary does not know the centre's master secret and may replace any user's public key (an outsider, or a
member, in a setting where nobody vouches for public keys). Game 2: it knows the master secret, hence every partial key,
and may not replace public keys (the centre itself). Both get every oracle of section V.B. The adversary wins by a request
(or reply) that nodes and doctor (or nodes and patient) accept as a user's, who did not send it.

The paper does not say which queries about the victim are allowed; without a limit the game is trivial. Here, as in the model it
cites (Al-Riyami and Paterson 2003): not both halves of the victim's secret key; in game 1 not the partial key of a user
whose key was replaced; in game 2 not the secret value of the victim; nothing that Send handed out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar

TYPE_I = 1
TYPE_II = 2


class QueryError(Exception):
    """The adversary asked for what its game does not give."""


@dataclass(frozen=True)
class PublicUser:
    """What anybody may know of a user.

    :ivar P, Q: the public key, 32 bytes each. :ivar W: P + alpha*Pub + Q, 32 bytes.
    :ivar pid: a patient's static anonym (the adversary is given it; really only doctor and centre see it).
    """

    name: str
    role: str
    P: bytes
    Q: bytes
    W: bytes
    pid: bytes = b""
    quarter: int = 0


@dataclass(frozen=True)
class Session:
    """One honest run that Send started.

    :ivar request, reply: as sent; the reply is None until Send has answered for the doctor.
    """

    patient: str
    doctor: str
    sn: int
    request: Any
    reply: Any = None


@dataclass(frozen=True)
class Forgery:
    """What the adversary outputs.

    :ivar kind: ``"request"`` (in the name of a patient) or ``"reply"`` (in the name of a doctor).
    :ivar victim: whose name it bears. :ivar partner: who is to accept it, besides the nodes.
    :ivar session: the request that a forged reply answers.
    """

    kind: str
    victim: str
    partner: str
    transaction: Any
    session: Session | None = None


@dataclass(frozen=True)
class Verdict:
    """Who accepted the forgery, and whether that wins."""

    node: str
    partner: str
    fair: bool

    @property
    def won(self) -> bool:
        """Nodes and partner both accepted, and the queries were fair."""
        return self.fair and self.node == self.partner == "accepted"

    @property
    def won_at_nodes(self) -> bool:
        """The nodes accepted, and the queries were fair."""
        return self.fair and self.node == "accepted"


class Scheme(Protocol):
    """What a suite offers the challenger."""

    suite: str

    def users(self) -> list[str]: ...
    def public(self, user: str) -> PublicUser: ...
    def replace(self, user: str, P: bytes, Q: bytes) -> None: ...
    def master(self) -> Scalar: ...
    def secret_value(self, user: str) -> Scalar: ...
    def partial_key(self, user: str) -> Scalar: ...
    def send_request(self, patient: str, doctor: str, sn: int) -> tuple[Session, Scalar, bytes]: ...
    def send_reply(self, session: Session) -> tuple[Session, Scalar, bytes]: ...
    def node_accepts(self, forgery: Forgery) -> None: ...
    def partner_accepts(self, forgery: Forgery) -> None: ...
    def same(self, one: Any, two: Any) -> bool: ...
    def hash(self, label: str, *fields: Any) -> bytes: ...
    def encrypt(self, key: Point, message: bytes) -> bytes: ...


@dataclass
class Challenger:
    """Answers the adversary's queries, keeps the lists of the paper's proof, and judges the forgery.

    :ivar kind: :data:`TYPE_I` or :data:`TYPE_II`.
    :ivar corruptible_partner: judge key-compromise impersonation too: the partner's key may be known.
    """

    scheme: Scheme
    kind: int
    corruptible_partner: bool = False
    queries: dict[str, int] = field(default_factory=dict)
    hash_list: list[tuple[tuple[Any, ...], bytes]] = field(default_factory=list)
    encryption_list: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    _secret_values: set[str] = field(default_factory=set)
    _partial_keys: set[str] = field(default_factory=set)
    _replaced: set[str] = field(default_factory=set)
    _sent: list[Any] = field(default_factory=list)
    _ephemeral: dict[int, Scalar] = field(default_factory=dict)
    _session_keys: dict[int, bytes] = field(default_factory=dict)

    # --- setup ---

    def master_secret(self) -> Scalar:
        """The master secret: game 2 only."""
        self._count("master")
        if self.kind != TYPE_II:
            raise QueryError("a type I adversary does not know the master secret")
        return self.scheme.master()

    # --- oracles of section V.B ---

    def hash(self, label: str, *fields: Any) -> bytes:
        """Hash query: h_2 (H2), answered from the list."""
        self._count("hash")
        value = self.scheme.hash(label, *fields)
        self.hash_list.append(((label, *fields), value))
        return value

    def encrypt(self, key: Point, message: bytes) -> bytes:
        """Symmetric encryption query."""
        self._count("symmetric-encryption")
        ciphertext = self.scheme.encrypt(key, message)
        self.encryption_list.append((message, key.encode(), ciphertext))
        return ciphertext

    def ephemeral(self, session: Session) -> Scalar:
        """Extract ephemeral key reveal query: the one-time key of the latest message of an honest session."""
        self._count("ephemeral-key-reveal")
        return self._ephemeral[id(session)]

    def secret_value(self, user: str) -> Scalar:
        """Extract secret value query: x_U."""
        self._count("secret-value")
        if user in self._replaced:
            raise QueryError("the secret value of a replaced key is the adversary's own")
        self._secret_values.add(user)
        return self.scheme.secret_value(user)

    def partial_key(self, user: str) -> Scalar:
        """Extract partial secret key query: y_U."""
        self._count("partial-secret-key")
        self._partial_keys.add(user)
        return self.scheme.partial_key(user)

    def public_key(self, user: str) -> PublicUser:
        """Request public key query."""
        self._count("public-key")
        return self.scheme.public(user)

    def replace(self, user: str, P: bytes, Q: bytes) -> None:
        """Replace public key query: game 1 only."""
        self._count("replace")
        if self.kind != TYPE_I:
            raise QueryError("a type II adversary cannot replace public keys")
        self._replaced.add(user)
        self.scheme.replace(user, P, Q)

    def send_request(self, patient: str, doctor: str, sn: int) -> Session:
        """Send query for a patient: its Transaction 1 to that doctor."""
        self._count("send")
        session, ephemeral, key = self.scheme.send_request(patient, doctor, sn)
        return self._remember(session, session.request, ephemeral, key)

    def send_reply(self, session: Session) -> Session:
        """Send query for a doctor: its Transaction 2 to an honest request."""
        self._count("send")
        answered, ephemeral, key = self.scheme.send_reply(session)
        return self._remember(answered, answered.reply, ephemeral, key)

    def reveal(self, session: Session) -> bytes:
        """Reveal query: the session key of an honest session."""
        self._count("reveal")
        return self._session_keys[id(session)]

    def corrupt(self, user: str) -> tuple[Scalar, Scalar]:
        """Corrupt query: the user's whole secret key (x_U, y_U)."""
        self._count("corrupt")
        return self.secret_value(user), self.partial_key(user)

    # --- the end of the game ---

    def judge(self, forgery: Forgery) -> Verdict:
        """Whether nodes and partner accept the forgery, and whether the queries leave it one."""
        return Verdict(
            _outcome(self.scheme.node_accepts, forgery), _outcome(self.scheme.partner_accepts, forgery), self._fair(forgery)
        )

    def _fair(self, forgery: Forgery) -> bool:
        victim, partner = forgery.victim, forgery.partner
        halves = (victim in self._secret_values) + (victim in self._partial_keys)
        if self.kind == TYPE_II:
            # Every partial key is known to whoever knows the master secret.
            fair = victim not in self._secret_values
        else:
            fair = halves < 2 and not (victim in self._replaced and victim in self._partial_keys)
        if not self.corruptible_partner:
            fair = fair and not (partner in self._secret_values and (partner in self._partial_keys or self.kind == TYPE_II))
        return fair and not any(self.scheme.same(forgery.transaction, sent) for sent in self._sent)

    def _remember(self, session: Session, transaction: Any, ephemeral: Scalar, key: bytes) -> Session:
        self._sent.append(transaction)
        self._ephemeral[id(session)], self._session_keys[id(session)] = ephemeral, key
        self._kept = [*getattr(self, "_kept", []), session]  # ids stay valid while the sessions live
        return session

    def _count(self, query: str) -> None:
        self.queries[query] = self.queries.get(query, 0) + 1


def _outcome(check: Any, forgery: Forgery) -> str:
    try:
        check(forgery)
    except Refused as refusal:
        return refusal.reason
    return "accepted"
