"""Claim: terminals and nodes believe no signature they did not check: verdicts, clouds' receipts, receipts of deletions, hits.

What a forger wins where a check is left out stands in the runs without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.abpre.threshold.receipts import RevocationReceipt, check_receipt, make_receipt, sign_deletion
from salus.cloud import sharing_messages as sm
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.delegations import Delegation, find_delegation
from salus.ledger.kinds.sharing.messages.records import RecordUpload
from salus.ledger.kinds.sharing.messages.shares import CheckVerdict
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.node.sharing import acceptance
from salus.terminal.sharing import bodies, value_nodes
from salus.terminal.sharing import delegations as terminal_delegations
from salus.terminal.sharing import nodes as terminal_nodes
from salus.terminal.sharing.desk import SharingDesk
from support.consultation_world import flip, weaken
from support.embedded import enrolled_patient, found_network
from support.sharing_desks import QUARTER, desk, in_days, institution_desk, put
from support.sharing_network import Sharing, wait
from support.troubled import changed, interposed_desk


class Scene:
    """A network, an owner and a hospital of doctors; no test depends on another."""

    def __init__(self, network: EmbeddedNetwork, directory: Path) -> None:
        self.network, self.world, self.directory = network, Sharing(network), directory
        self.alice: Actor = enrolled_patient(network, "alice", credentials=16)
        self.hospital = institution_desk(network, "role:doctor")
        self.count = 0

    def note(self) -> Path:
        """A file of its own."""
        self.count += 1
        path = self.directory / f"note-{self.count}.txt"
        path.write_text(f"{self.count}: pulse 71\n" * 50)
        return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("believed")
    with found_network(directory / "home") as network:
        yield Scene(network, directory)


# --- verdicts ---


def forged_by_the_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> tuple[m.Acceptance, str]:
    """A transaction at a general node whose first check node is down, and somebody on the way answers in its name.

    :return: what the general node says in the end, and the name that was used.
    """
    first: list[str] = []
    for check in scene.network.checks.running:

        def answer(tx_hash: bytes, height: int, outcomes: tuple[str, ...], check: Any = check) -> CheckVerdict:
            honest = type(check).sign(check, tx_hash, height, outcomes)
            if not first:
                first.append(check.name)
            return replace(honest, signature=flip(honest.signature, 40)) if first[0] == check.name else honest

        monkeypatch.setattr(check, "sign", answer)
    world, node = scene.world, scene.network.nodes[0]
    put_it = world.record(world.owner(period=f"20{10 + scene.count}Q1"))
    scene.count += 1
    tx_hash = node.application.transaction(put_it.encode()).hash
    world.call(node.name, m.ACCEPT, m.AcceptRequest(put_it.encode()))
    wait(scene.network, lambda: node.application.position(tx_hash))
    monkeypatch.undo()
    return m.Acceptance.decode(world.call(node.name, m.ACCEPTANCE, m.AcceptanceRequest(tx_hash))), first[0]


def test_a_verdict_in_a_check_nodes_name_counts_for_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted, forged = forged_by_the_first(scene, monkeypatch)
    assert accepted.verdict is not None
    assert accepted.verdict.node != forged
    weaken(monkeypatch, acceptance.verify_verdict, lambda network, verdict, W: None)
    accepted, forged = forged_by_the_first(scene, monkeypatch)
    assert accepted.verdict is not None
    assert accepted.verdict.node == forged, "it hands on as checked what nobody signed"


def judged_by(scene: Scene, change: Callable[[CheckVerdict], CheckVerdict]) -> str:
    """Whose verdict an owner's terminal says it has, if the general node alters what it hands on."""

    def alter(answer: bytes) -> bytes:
        said = m.Acceptance.decode(answer)
        return replace(said, verdict=None if said.verdict is None else change(said.verdict)).encode()

    owner = interposed_desk(scene.alice, {m.ACCEPT: changed(alter), m.ACCEPTANCE: changed(alter)})
    found: list[str] = []
    heard = owner.nodes._heard

    def listen(*parts: Any) -> Any:
        found.append(heard(*parts)[0])
        return found[-1], ()

    owner.nodes._heard = listen  # type: ignore[method-assign]
    put(owner, scene.note())
    return found[0] if found else ""


def test_a_terminal_names_no_check_node_that_did_not_sign(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged_by(scene, lambda verdict: verdict) in scene.network.checks.names
    forged = lambda verdict: replace(verdict, signature=flip(verdict.signature, 40))  # noqa: E731
    assert judged_by(scene, forged) == ""
    assert judged_by(scene, lambda verdict: replace(verdict, outcomes=("suspended",))) == ""
    assert judged_by(scene, lambda verdict: replace(verdict, tx_hash=bytes(32))) == ""
    monkeypatch.setattr(terminal_nodes, "verify_member_signature", lambda *parts: None)
    assert judged_by(scene, forged) in scene.network.checks.names


# --- clouds' receipts ---

FALSE_RECEIPTS: dict[str, Callable[[RecordUpload], RecordUpload]] = {
    "unsigned": lambda receipt: replace(receipt, signature=bytes(64)),
    "altered": lambda receipt: replace(receipt, signature=flip(receipt.signature, 40)),
    "for longer than signed": lambda receipt: replace(receipt, keep_until_ms=receipt.keep_until_ms + 1),
    "for less time": lambda receipt: replace(receipt, keep_until_ms=1),
    "another cloud's": lambda receipt: replace(receipt, cloud="another/cloud"),
}


def putting_with(scene: Scene, change: Callable[[RecordUpload], RecordUpload]) -> tuple[str, int]:
    """Put a record with a cloud that gives a false receipt: why it failed, and how often nodes were asked to take it."""
    owner = interposed_desk(
        scene.alice, {sm.RECORD_KEEP: changed(lambda data: change(RecordUpload.decode(data)).encode())}
    )  # fmt: skip
    with pytest.raises(Refused) as refusal:
        put(owner, scene.note())
    calls: list[tuple[str, str]] = owner.nodes._transport.calls  # type: ignore[attr-defined]
    return refusal.value.reason, sum(method == m.ACCEPT for _, method in calls)


@pytest.mark.parametrize("name", FALSE_RECEIPTS)
def test_a_false_receipt_of_a_cloud_is_noticed_before_anything_is_sent(scene: Scene, name: str) -> None:
    """The record would be named on the ledger with a cloud that promised nothing."""
    reason, sent = putting_with(scene, FALSE_RECEIPTS[name])
    assert reason in ("bad-signature", "bad-receipt", "bad-point")
    assert sent == 0


def test_without_a_look_at_the_receipt_the_nodes_are_asked_for_every_record(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "verify_member_signature", lambda *parts: None)
    _, sent = putting_with(scene, FALSE_RECEIPTS["altered"])
    assert sent > 0


# --- receipts of deletions ---


def delegated(scene: Scene) -> tuple[SharingDesk, bytes]:
    """A delegation that was revoked, and whose deletion nodes have signed."""
    owner = desk(scene.alice)
    put(owner, scene.note())
    (made,) = owner.delegating.create("role:doctor", "vitals", QUARTER, QUARTER, in_days(owner, 30))
    assert len(owner.delegating.revoke(made.delegation).deleted_by) >= 3
    return owner, made.delegation


def receipt_by(scene: Scene, record: Delegation, epoch: int = 1, about: bytes = b"") -> RevocationReceipt:
    """A receipt of this committee's signatures, about another delegation or c."""
    world, name = scene.world, about or record.sealed.delegation
    deletions = [
        sign_deletion(world.id, epoch, node.name, node.sharing.around.bls_secret, name, record.sealed.c_digest)
        for node in scene.network.nodes
    ]
    return make_receipt(world.id, world.committee, world.bls_keys, deletions)


FALSE_DELETIONS: dict[str, Callable[[Scene, Delegation, RevocationReceipt], RevocationReceipt]] = {
    "the signature": lambda scene, record, r: replace(r, signature=receipt_by(scene, record, about=bytes(32)).signature),
    "of another delegation": lambda scene, record, r: receipt_by(scene, record, about=bytes(32)),
    "of another c": lambda scene, record, r: replace(r, c_digest=bytes(32)),
    "other signers": lambda scene, record, r: replace(r, signers=bytes([0b1110_0000 if r.signers != b"\xe0" else 0b0111_0000])),
    "too few": lambda scene, record, r: replace(r, signers=b"\xc0"),
}


def believed(owner: SharingDesk, delegation: bytes, change: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the owner's terminal says to a state with another receipt in it: nodes and ledger may be one adversary's."""
    honest = find_delegation

    def find(view: Any, name: bytes) -> Delegation:
        record = honest(view, name)
        return replace(record, receipt=change(record, record.receipt))

    monkeypatch.setattr(terminal_delegations, "find_delegation", find)
    try:
        return "believed" if owner.delegating.deleted_by(delegation) else ""
    except Refused as refused:
        return refused.reason


def test_a_receipt_of_a_deletion_is_checked_by_the_owners_terminal(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, delegation = delegated(scene)
    assert believed(owner, delegation, lambda record, receipt: receipt, monkeypatch) == "believed"
    for name, lie in FALSE_DELETIONS.items():
        false = lambda record, receipt, lie=lie: lie(scene, record, receipt)  # noqa: E731
        assert believed(owner, delegation, false, monkeypatch) not in ("believed", ""), name
    weaken(monkeypatch, check_receipt, lambda network, committee, keys, receipt: ("anybody",))
    false = lambda record, receipt: replace(receipt, signature=bytes(48))  # noqa: E731
    assert believed(owner, delegation, false, monkeypatch) == "believed"


# --- hits ---


def test_a_superseded_record_is_found_by_no_search(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader must not treat by a report that was corrected; value nodes have its tags still, and name it."""
    owner, hospital = desk(scene.alice), scene.hospital
    words = ("haemoglobin", "ferritin")
    about: dict[str, Any] = {"policy": "role:doctor", "keywords": words, "category": "lab"}
    shown: dict[str, Any] = {"keywords": words, "category": "lab", "discoverable": True, "period": "2025Q2"}
    old, old_shown = put(owner, scene.note(), **about), put(owner, scene.note(), **shown)
    hospital.institution.request_key()
    found = hospital.searching.search(words)
    assert (found.readable, found.discoverable) == ((old.rid,), (old_shown.rid,))
    new = put(owner, scene.note(), supersedes=old.rid, **about)
    new_shown = put(owner, scene.note(), supersedes=old_shown.rid, **shown)
    for thorough in (False, True):
        found = hospital.searching.search(words, thorough=thorough)
        assert (found.readable, found.discoverable) == ((new.rid,), (new_shown.rid,))
        assert found.liars == {}
    monkeypatch.setattr(value_nodes, "_lives", lambda view, rid: True)
    found = hospital.searching.search(words)
    assert (set(found.readable), set(found.discoverable)) == ({old.rid, new.rid}, {old_shown.rid, new_shown.rid})
