"""One node that lies in every way a node can: each lie is noticed, another node is used, consultations end well."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.consensus.block import Block, transaction_hash
from salus.errors import CodecError, Refused, TransportError
from salus.ledger import node_api as m
from salus.ledger import queries as q
from salus.network.actors import DoctorActor, PatientActor
from salus.network.embedded import EmbeddedNetwork
from salus.symmetric import h2
from support.embedded import DAY, enrolled_doctor, enrolled_patient, found_network
from support.interposed import Forward

Lie = Callable[[str, bytes, Forward], bytes]
"""(method, body, forward) -> answer."""


class Lying:
    """A transport on which some nodes lie; the others answer as they are."""

    def __init__(self, inner: Any, liars: dict[str, Lie]) -> None:
        self.inner = inner
        self.liars = liars
        self.asked: list[str] = []

    def call(self, party: str, method: str, body: bytes) -> bytes:
        lie = self.liars.get(party)
        if lie is None:
            return self.inner.call(party, method, body)  # type: ignore[no-any-return]
        self.asked.append(method)
        return lie(method, body, lambda data: self.inner.call(party, method, data))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.txt"
    path.write_text("pulse 71\n")
    return path


def put_between(network: EmbeddedNetwork, lie: Lie, *actors: PatientActor | DoctorActor, liars: int = 1) -> Lying:
    """Every party's calls to the first nodes meet the lie."""
    lying = Lying(network.transport, {node.name: lie for node in network.nodes[:liars]})
    for actor in actors:
        actor._around = network.surroundings(lying)
    for ledger in (network.cloud._ledger, network.centre._ledger):
        ledger._transport = lying
    return lying


def reason(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    return refusal.value.reason


# --- the lies ---


def refuse(reason: str) -> Lie:
    def lie(_method: str, _body: bytes, _forward: Forward) -> bytes:
        raise Refused(reason, "so says the liar")

    return lie


def answer(data: bytes) -> Lie:
    return lambda _method, _body, _forward: data


def silent(_method: str, _body: bytes, _forward: Forward) -> bytes:
    raise TransportError("no answer")


def nothing_is_there(method: str, body: bytes, forward: Forward) -> bytes:
    if method == m.QUERY:
        raise Refused("not-found")
    if method == m.BLOCKS:
        return m.Blocks(()).encode()
    if method == m.OUTCOME:
        return m.Outcome(m.UNKNOWN, 0, None, "", 0).encode()
    return forward(body)


def dropping(state: str) -> Lie:
    """Takes transactions, throws them away, and says that they are in some state."""

    def lie(method: str, body: bytes, forward: Forward) -> bytes:
        if method == m.SUBMIT:
            answers = (m.PoolAnswer(bytes(32), None, "") for _ in m.Submit.decode(body).transactions)
            return m.Submission(tuple(answers)).encode()
        if method == m.OUTCOME:
            reason = "used-credential" if state == m.REFUSED else None
            return m.Outcome(state, 3 if state == m.COMMITTED else 0, reason, "", 4).encode()
        return forward(body)

    return lie


def refusing_all_but_forwarding(method: str, body: bytes, forward: Forward) -> bytes:
    """Takes a transaction, and says that it did not: a terminal that believed it would erase the keys of a live request."""
    if method == m.SUBMIT:
        forward(body)
        return m.Submission((m.PoolAnswer(bytes(32), "used-credential", ""),)).encode()
    if method == m.OUTCOME:
        return m.Outcome(m.REFUSED, 0, "used-credential", "", 0).encode()
    if method == m.QUERY and m.Query.decode(body).path == q.TRANSACTION:
        raise Refused("not-found")
    return forward(body)


def about_state(change: Callable[[q.StateProof], q.StateProof]) -> Lie:
    def lie(method: str, body: bytes, forward: Forward) -> bytes:
        data = forward(body)
        if method == m.QUERY and m.Query.decode(body).path == q.STATE:
            return change(q.StateProof.decode(data)).encode()
        return data

    return lie


def about_transactions(change: Callable[[q.TransactionProof], q.TransactionProof]) -> Lie:
    def lie(method: str, body: bytes, forward: Forward) -> bytes:
        data = forward(body)
        if method == m.QUERY and m.Query.decode(body).path == q.TRANSACTION:
            return change(q.TransactionProof.decode(data)).encode()
        return data

    return lie


def about_blocks(change: Callable[[m.Blocks], m.Blocks]) -> Lie:
    def lie(method: str, body: bytes, forward: Forward) -> bytes:
        data = forward(body)
        return change(m.Blocks.decode(data)).encode() if method == m.BLOCKS else data

    return lie


def flip(data: bytes, at: int = -1) -> bytes:
    flipped = bytearray(data)
    flipped[at] ^= 1
    return bytes(flipped)


def with_values(proof: q.StateProof, change: Callable[[bytes | None], bytes | None]) -> q.StateProof:
    return replace(proof, values=tuple(replace(v, value=change(v.value)) for v in proof.values))


def with_header(proof: Any, **changes: Any) -> Any:
    return replace(proof, certified=replace(proof.certified, header=replace(proof.certified.header, **changes)))


def with_fewer_votes(proof: Any) -> Any:
    certificate = proof.certified.certificate
    fewer = replace(certificate, signatures=certificate.signatures[:2])
    return replace(proof, certified=replace(proof.certified, certificate=fewer))


def other_body(blocks: m.Blocks) -> m.Blocks:
    def change(item: m.BlockWithCertificate) -> m.BlockWithCertificate:
        block = Block.decode(item.block)
        return replace(
            item, block=replace(block, transactions=block.transactions[:-1]).encode() if block.transactions else item.block
        )

    return m.Blocks(tuple(map(change, blocks.blocks)))


class Replaying:
    """Answers a question as it answered it the first time, whatever happened since."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, bytes], bytes] = {}

    def __call__(self, method: str, body: bytes, forward: Forward) -> bytes:
        known = self.first.get((method, body))
        if known is None:
            known = self.first[(method, body)] = forward(body)
        return known


def state_of_the_first_question(method: str, body: bytes, forward: Forward, seen: list[bytes] = []) -> bytes:  # noqa: B006
    """A valid proof, of another question."""
    data = forward(body)
    if method == m.QUERY and m.Query.decode(body).path == q.STATE:
        seen.append(data)
        return seen[0]
    return data


LIES: dict[str, Lie] = {
    "silent": silent,
    "garbage": answer(b"\xff" * 40),
    "empty answers": answer(b""),
    "an answer of another kind": answer(m.StatusRequest().encode()),
    "everything is revoked": refuse("revoked"),
    "every credential is used": refuse("used-credential"),
    "it does not know itself": refuse("internal"),
    "nothing is there": nothing_is_there,
    "takes and drops, says pending": dropping(m.PENDING),
    "takes and drops, says committed": dropping(m.COMMITTED),
    "takes and drops, says refused": dropping(m.REFUSED),
    "takes, forwards, says refused": refusing_all_but_forwarding,
    "altered values": about_state(lambda p: with_values(p, lambda v: None if v is None else flip(v))),
    "hidden values": about_state(lambda p: with_values(p, lambda _: None)),
    "hidden values and proofs": about_state(
        lambda p: replace(
            p, values=tuple(replace(v, value=None, proof=replace(v.proof, leaf_key=None, leaf_digest=None)) for v in p.values)
        )
    ),
    "fewer values": about_state(lambda p: replace(p, values=p.values[:-1])),
    "another state root": about_state(lambda p: replace(p, state_root=h2("x", "y", p.state_root))),
    "another length of the log": about_state(lambda p: replace(p, log_count=p.log_count + 1)),
    "a proof of another question": state_of_the_first_question,
    "old answers": Replaying(),
    "a header of another time": about_state(lambda p: with_header(p, time_ms=p.certified.header.time_ms + 1)),
    "a header to come": about_state(lambda p: with_header(p, height=p.certified.header.height + 1000)),
    "too few votes": about_state(with_fewer_votes),
    "altered transactions": about_transactions(lambda p: replace(p, transaction=flip(p.transaction or b"x"))),
    "transactions without their bodies": about_transactions(lambda p: replace(p, transaction=None)),
    "transactions at another place": about_transactions(lambda p: replace(p, index=p.index + 1)),
    "transactions in a log of another length": about_transactions(
        lambda p: replace(p, log_count=2 * p.log_count, inclusion=replace(p.inclusion, count=2 * p.log_count))
    ),
    "transactions that failed": about_transactions(lambda p: replace(p, result=p.result + b"x")),
    "blocks without a transaction": about_blocks(other_body),
    "blocks in another order": about_blocks(lambda b: m.Blocks(b.blocks[::-1])),
    "blocks with another's certificate": about_blocks(
        lambda b: m.Blocks(tuple(replace(item, certificate=b.blocks[0].certificate) for item in b.blocks))
    ),
    "no blocks": about_blocks(lambda _: m.Blocks(())),
}  # fmt: skip


def flips(seed: int) -> Lie:
    """Every answer has one bit flipped somewhere."""
    draw = random.Random(seed)

    def lie(_method: str, body: bytes, forward: Forward) -> bytes:
        data = bytearray(forward(body))
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        return bytes(data)

    return lie


def consult(network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path) -> None:
    """A consultation, and everything else that a person does."""
    patient.resume()
    patient.renew(2)
    sent = patient.request(doctor.name, DAY, str(record))
    assert sent["state"] == "stored"
    assert [w["id"] for w in doctor.queue()["waiting"]] == [sent["id"]]
    doctor.treat(sent["id"], str(record))
    assert [c["reply_waiting"] for c in patient.replies()["consultations"]] == [True]
    assert patient.read(sent["id"])["accepted"]
    doctor.publish(DAY, 1)
    asked = patient.request(doctor.name, DAY, str(record))
    doctor.decline(asked["id"])
    assert [c["state"] for c in patient.replies()["consultations"]] == ["answered", "declined"]
    network.export(network.home.directory.parent / "export")


@pytest.mark.parametrize("name", LIES)
def test_a_lying_node_misleads_nobody(network: EmbeddedNetwork, record: Path, name: str) -> None:
    doctor, patient = enrolled_doctor(network, slots=2), enrolled_patient(network, "anna", credentials=1)
    lying = put_between(network, LIES[name], patient, doctor)
    consult(network, doctor, patient, record)
    assert lying.asked, "the liar was asked"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_node_whose_answers_are_altered_on_the_way(network: EmbeddedNetwork, record: Path, seed: int) -> None:
    doctor, patient = enrolled_doctor(network, slots=2), enrolled_patient(network, "anna", credentials=1)
    put_between(network, flips(seed), patient, doctor)
    consult(network, doctor, patient, record)


def test_a_node_that_lags(network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears of no new block, and answers truly of the old ones."""
    doctor, patient = enrolled_doctor(network, slots=2), enrolled_patient(network, "anna", credentials=1)
    deaf = network.nodes[0]
    monkeypatch.setattr(deaf.runner, "deliver", lambda _: None)
    before = deaf.runner.height
    consult(network, doctor, patient, record)
    assert deaf.runner.height == before
    monkeypatch.undo()


def test_two_lying_nodes_can_hinder_but_not_forge(network: EmbeddedNetwork, record: Path) -> None:
    """More than f: what they show is still proven or not believed; what they keep back stays open, and is not called refused."""
    doctor, patient = enrolled_doctor(network, slots=2), enrolled_patient(network, "anna", credentials=1)
    for lie in ("altered values", "altered transactions", "old answers", "too few votes", "takes and drops, says committed"):
        put_between(network, LIES[lie], patient, doctor, liars=2)
        sent = patient.request(doctor.name, DAY, str(record))
        doctor.decline(sent["id"])
        doctor.publish(DAY, 1)
        patient.renew(1)


def test_all_nodes_alter_what_they_say(network: EmbeddedNetwork, record: Path) -> None:
    """Nobody to turn to: an error that names what was wrong, and nothing is half-done."""
    doctor, patient = enrolled_doctor(network, slots=2), enrolled_patient(network, "anna", credentials=1)
    put_between(network, LIES["altered values"], patient, doctor, liars=4)
    with pytest.raises(TransportError, match="bad-proof"):
        patient.request(doctor.name, DAY, str(record))
    with pytest.raises(TransportError, match="bad-proof"):
        doctor.publish(DAY, 1)
    assert patient._wallet.content.consultations == ()
    assert len(patient._wallet.content.unused_credentials()) == 1


def test_refusals_are_believed_only_of_more_nodes_than_may_lie(network: EmbeddedNetwork) -> None:
    transaction = b"\0" * 100  # no node takes it
    client = network.client()
    assert reason(client.submit, transaction) in ("bad-encoding", "unknown-kind")
    liar = network.nodes[0].name
    client._transport = Lying(network.transport, {liar: refuse("revoked")})
    assert reason(client.submit, transaction) in ("bad-encoding", "unknown-kind")
    assert client.find(bytes(32)) is None


def test_lies_are_lies(network: EmbeddedNetwork, record: Path) -> None:
    """Each lie changes what it is about: believed, it would mislead (else the tests above would prove nothing)."""
    doctor = enrolled_doctor(network, slots=2)
    name = network.nodes[0].name
    asked = q.StateQuery("party", (b"x",))
    questions = {
        m.QUERY: m.Query(q.STATE, asked.encode()).encode(),
        m.BLOCKS: m.BlocksRequest(1, 8).encode(),
        m.OUTCOME: m.OutcomeRequest(bytes(32)).encode(),
        m.SUBMIT: m.Submit((b"x",)).encode(),
    }
    (sn, *_) = [s["sn"] for s in doctor.slots()["slots"]]
    assert sn == 0
    block = next(verified.block for verified in network.client().follow(0) if verified.block.transactions)
    known = transaction_hash(block.transactions[0])
    questions["transaction"] = m.Query(q.TRANSACTION, q.TransactionQuery(known, 1).encode()).encode()
    for what, lie in LIES.items():
        if what in ("old answers", "a proof of another question", "hidden values", "altered values", "hidden values and proofs"):
            continue  # these need what was asked before, or a value that is there
        differs = False
        for method, body in questions.items():
            called = m.QUERY if method == "transaction" else method
            honest, told = (_told(network, name, called, body, how) for how in (_truth, lie))
            differs |= honest != told
        assert differs, what


def _truth(_method: str, body: bytes, forward: Forward) -> bytes:
    return forward(body)


def _told(network: EmbeddedNetwork, name: str, method: str, body: bytes, lie: Lie) -> object:
    try:
        return lie(method, body, lambda data: network.local.call(name, method, data))
    except (Refused, TransportError, CodecError) as error:
        return str(error)
