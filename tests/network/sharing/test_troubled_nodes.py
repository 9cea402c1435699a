"""Nodes that are silent, late, refuse or lie to a terminal: it gets what it asked for, or says who stands in the way.

One network for all tests; none depends on another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.abpre.threshold.key_issuing import IssuedPartial
from salus.codec import decode
from salus.errors import Refused, TransportError
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.messages.keys import KeyAsked
from salus.ledger.kinds.sharing.messages.searches import TokenRequest
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.node.sharing import searching
from salus.search.answer_box import AnswerBox, seal_answer
from salus.search.committee import Signer
from salus.symmetric import Random
from salus.terminal.sharing.desk import SharingDesk
from support.embedded import PASSPHRASE, enrolled_patient, found_network
from support.interposed import Forward
from support.sharing_desks import HOSPITAL, QUARTER, desk, in_days, put
from support.troubled import (
    changed,
    convictions,
    false_alpha,
    false_scalar,
    impatient,
    interposed_desk,
    late,
    of,
    refusing,
    silent,
)


class Scene:
    """A network, an owner with one record for doctors and one that is delegated, and a hospital of doctors."""

    def __init__(self, home: Path, note: Path) -> None:
        note.write_text("pulse 71, pressure 118/76\n" * 9000)
        self.note = note
        self.network = found_network(home)
        expires_ms = self.network.now_ms() + 300 * 24 * 3600 * 1000
        self.network.centre.grant_attributes(HOSPITAL, ["role:doctor", "dept:cardiology"], 2024, 2026, expires_ms)
        self.hospital: Actor = self.network.person("institution-st-anne.board", PASSPHRASE)
        self.owner = desk(enrolled_patient(self.network, "alice", credentials=24))
        self.open = put(self.owner, note, policy="role:doctor", keywords=("troponin",))
        self.other = put(self.owner, note, policy="role:doctor", keywords=("asthma",))
        self.delegated = put(self.owner, note, category="lab")
        self.owner.delegating.create("role:doctor", "lab", QUARTER, QUARTER, in_days(self.owner, 30))
        desk(self.hospital).institution.request_key()
        self.names = [node.name for node in self.network.nodes]

    def committed(self, kind: str) -> int:
        """Transactions of a kind on the ledger."""
        blocks = self.network.client().follow(0)
        return sum(decode(raw)[0] == kind for verified in blocks for raw in verified.block.transactions)

    def search(
        self, terminal: SharingDesk, word: str = "troponin", *, thorough: bool = False
    ) -> tuple[list[str], dict[str, str]]:
        """Readable records that a search finds, and who lied."""
        found = terminal.searching.search(["troponin"], thorough=thorough)
        return sorted(rid.hex() for rid in found.readable), found.liars

    def forget_words(self) -> None:
        """The hospital's book of tokens is empty: words are ordered again."""
        desk(self.hospital).shelf.remove("tokens")

    def opens(self, terminal: SharingDesk, out: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Get the delegated record whole; who transformed it, and who lied."""
        (asked,) = terminal.institution.request([self.delegated.rid], "treatment")
        received = terminal.institution.get(asked.share, out)
        assert received.path.read_bytes() == self.note.read_bytes()
        return received.transformed_by, received.liars


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("troubled")
    made = Scene(directory / "home", directory / "note.txt")
    with made.network:
        yield made


@pytest.fixture
def network(scene: Scene) -> EmbeddedNetwork:
    return scene.network


def test_a_node_that_is_down_changes_nothing(scene: Scene, network: EmbeddedNetwork, tmp_path: Path) -> None:
    network.stop_node(scene.names[3])
    try:
        scene.forget_words()
        reader = desk(scene.hospital)
        assert "role:doctor@2025" in reader.institution.request_key().attributes
        assert scene.search(reader) == ([scene.open.rid.hex()], {})
        by, liars = scene.opens(reader, tmp_path / "out")
        assert by == tuple(scene.names[:3])
        assert liars == ()
    finally:
        network.start_node(scene.names[3])


METHODS = (m.PARTIAL_KEY, m.EVALUATE, m.SEARCH, m.PARTIAL, m.METADATA, m.ACCEPT, m.ACCEPTANCE)


def test_late_nodes_are_waited_for(scene: Scene, tmp_path: Path) -> None:
    scene.forget_words()
    reader = interposed_desk(scene.hospital, {method: late(3) for method in METHODS})
    assert "role:doctor@2025" in reader.institution.request_key().attributes
    assert scene.search(reader) == ([scene.open.rid.hex()], {})
    scene.opens(reader, tmp_path / "out")


def test_a_node_that_refuses_everything_is_done_without(scene: Scene, tmp_path: Path) -> None:
    scene.forget_words()
    reader = interposed_desk(scene.hospital, {method: of(scene.names[:1], refusing("internal")) for method in METHODS})
    assert "role:doctor@2025" in reader.institution.request_key().attributes
    assert scene.search(reader) == ([scene.open.rid.hex()], {})
    by, _ = scene.opens(reader, tmp_path / "out")
    assert by == tuple(scene.names[1:])


# --- keys ---


def test_nodes_that_are_silent_at_issuing_post_on_the_ledger(scene: Scene) -> None:
    reader = interposed_desk(scene.hospital, {m.PARTIAL_KEY: of(scene.names[:2], silent)})
    assert "role:doctor@2025" in reader.institution.request_key().attributes
    assert reader.keys.liars == set()


def test_a_bad_partial_key_names_its_node_and_the_key_is_obtained(scene: Scene, network: EmbeddedNetwork) -> None:
    liar = network.nodes[0]
    before = convictions(network, liar.name)
    reader = desk(scene.hospital)
    with false_alpha(network, liar):
        assert "role:doctor@2025" in reader.institution.request_key().attributes
    assert reader.keys.liars == {liar.name}
    assert convictions(network, liar.name) == before + 1


def test_one_node_lies_at_issuing_and_another_is_silent(scene: Scene, network: EmbeddedNetwork) -> None:
    liar, quiet = network.nodes[0], network.nodes[3]
    before = convictions(network, liar.name)
    reader = interposed_desk(scene.hospital, {m.PARTIAL_KEY: of([quiet.name], silent)})
    with false_alpha(network, liar):
        assert "role:doctor@2025" in reader.institution.request_key().attributes
    assert reader.keys.liars == {liar.name}
    assert convictions(network, liar.name) == before + 1


def test_partial_keys_altered_on_their_way_convict_nobody(scene: Scene, network: EmbeddedNetwork) -> None:
    def altered(data: bytes) -> bytes:
        issued = IssuedPartial.decode(data)
        return data.replace(issued.signature, bytes(64))

    before = [convictions(network, name) for name in scene.names]
    reader = interposed_desk(scene.hospital, {m.PARTIAL_KEY: of(scene.names[:2], changed(altered))})
    assert "role:doctor@2025" in reader.institution.request_key().attributes
    assert reader.keys.liars == set()
    assert [convictions(network, name) for name in scene.names] == before


def test_too_few_nodes_at_issuing_are_named_and_the_request_is_finished_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_before = scene.committed(KeyAsked.KIND)
    reader = interposed_desk(scene.hospital, {m.PARTIAL_KEY: of(scene.names[1:3], silent)})
    monkeypatch.setattr(reader.keys, "_demand", lambda *_: None)  # which would help: the nodes are well
    with impatient(reader), pytest.raises(Refused) as refusal:
        reader.institution.request_key(["role:doctor@2025"])
    assert refusal.value.reason == "no-quorum"
    assert "2 of the 3 nodes" in refusal.value.detail
    assert f"silent: {', '.join(scene.names[1:3])}" in refusal.value.detail
    again = desk(scene.hospital)
    again.institution.requests.resume()
    assert again.institution.request_key(["role:doctor@2025"]).attributes == frozenset({"role:doctor@2025"})
    assert scene.committed(KeyAsked.KIND) == asked_before + 1
    assert not [name for name in scene.hospital._wallet.one_time.names() if name.startswith("key-request-")]


# --- search ---


def test_a_false_evaluation_names_its_node_and_the_search_answers(scene: Scene, network: EmbeddedNetwork) -> None:
    liar = network.nodes[0]
    before = convictions(network, liar.name)
    scene.forget_words()
    reader = desk(scene.hospital)
    with false_scalar(network, liar, "oprf"):
        assert scene.search(reader)[0] == [scene.open.rid.hex()]
    assert list(reader.words.liars) == [liar.name]
    assert convictions(network, liar.name) == before + 1


def test_too_few_evaluators_are_named_and_the_order_is_not_paid_twice(scene: Scene) -> None:
    scene.forget_words()
    orders = scene.committed(TokenRequest.KIND)
    reader = interposed_desk(scene.hospital, {m.EVALUATE: of(scene.names[1:3], silent)})
    with impatient(reader), pytest.raises(Refused) as refusal:
        scene.search(reader)
    assert refusal.value.reason == "too-few-answers"
    assert ", ".join(scene.names[1:3]) in refusal.value.detail
    assert scene.search(desk(scene.hospital))[0] == [scene.open.rid.hex()]
    assert scene.committed(TokenRequest.KIND) == orders + 1


class Lies:
    """The first value node that is asked lies, whichever it is.

    :ivar told_by: its name.
    """

    def __init__(self, lie: object, nodes: int = 1) -> None:
        self._lie = lie
        self._nodes = nodes
        self.told_by: list[str] = []

    def __call__(self, party: str, body: bytes, forward: Forward) -> bytes:
        if party not in self.told_by and len(self.told_by) == self._nodes:
            return forward(body)
        with pytest.MonkeyPatch.context() as patch:  # the node itself lies: what it seals nobody else changes
            patch.setattr(searching, "seal_answer", self._seal)
            told = forward(body)
        self.told_by += [party] if party not in self.told_by else []
        return told

    def _seal(self, network: bytes, request: bytes, node: Signer, Er: bytes, answer: bytes, random: Random) -> AnswerBox:
        true = m.SearchAnswer.decode(answer)
        false = m.SearchAnswer(true.height, self._lie(true), true.more)  # type: ignore[operator]
        return seal_answer(network, request, node, Er, false.encode(), random)


def adding(rid: bytes) -> object:
    return lambda answer: (*answer.found, m.SearchHit(0, rid))


def test_a_value_node_that_names_other_records_is_named_and_the_next_one_asked(scene: Scene) -> None:
    for rid in (scene.other.rid, scene.delegated.rid, bytes(16)):  # without the word, of another scope, none at all
        lies = Lies(adding(rid))
        found, liars = scene.search(interposed_desk(scene.hospital, {m.SEARCH: lies}))
        assert found == [scene.open.rid.hex()]
        assert list(liars) == lies.told_by
        assert rid.hex() in liars[lies.told_by[0]]


def test_a_place_outside_the_question_is_a_lie_too(scene: Scene) -> None:
    lies = Lies(lambda answer: (*answer.found, m.SearchHit(999, scene.open.rid)))
    found, liars = scene.search(interposed_desk(scene.hospital, {m.SEARCH: lies}))
    assert (found, list(liars)) == ([scene.open.rid.hex()], lies.told_by)


def test_what_one_value_node_holds_back_a_thorough_search_finds(scene: Scene) -> None:
    def nothing(_answer: m.SearchAnswer) -> tuple[m.SearchHit, ...]:
        return ()

    assert scene.search(interposed_desk(scene.hospital, {m.SEARCH: Lies(nothing)})) == ([], {})  # which no single answer shows
    lies = Lies(nothing)
    found, liars = scene.search(interposed_desk(scene.hospital, {m.SEARCH: lies}), thorough=True)
    assert found == [scene.open.rid.hex()]
    assert list(liars) == lies.told_by
    assert liars[lies.told_by[0]] == f"it held back {scene.open.rid.hex()}"


def test_where_every_value_node_lies_refuses_or_is_silent_the_error_says_so(scene: Scene) -> None:
    for stand, said in ((Lies(adding(bytes(16)), 4), "no record"), (refusing("internal"), "will not")):
        with pytest.raises(TransportError, match=said):
            scene.search(interposed_desk(scene.hospital, {m.SEARCH: stand}))
    with pytest.raises(TransportError, match="does not answer"):
        scene.search(interposed_desk(scene.hospital, {m.STATUS: silent}))


# --- transformations ---


def test_a_false_transformation_names_its_node_and_the_record_is_opened(
    scene: Scene, network: EmbeddedNetwork, tmp_path: Path
) -> None:
    liar = network.nodes[0]
    before = convictions(network, liar.name)
    with false_scalar(network, liar, "z"):
        by, liars = scene.opens(desk(scene.hospital), tmp_path / "out")
    assert liars == (liar.name,)
    assert by == tuple(scene.names[1:])
    assert convictions(network, liar.name) == before + 1


def test_too_few_transformations_are_told_of_and_nothing_is_written(scene: Scene, tmp_path: Path) -> None:
    reader = interposed_desk(scene.hospital, {m.PARTIAL: of(scene.names[1:3], silent)})
    (asked,) = reader.institution.request([scene.delegated.rid], "treatment")
    reader.institution.decided(asked.share)
    with impatient(reader), pytest.raises(Refused) as refusal:
        reader.institution.get(asked.share, tmp_path / "out")
    assert refusal.value.reason == "no-quorum"
    assert f"silent: {', '.join(scene.names[1:3])}" in refusal.value.detail
    assert not (tmp_path / "out").exists()
    received = desk(scene.hospital).institution.get(asked.share, tmp_path / "out")
    assert received.path.read_bytes() == scene.note.read_bytes()


def test_nodes_that_refuse_for_a_reason_are_believed_at_once(scene: Scene, tmp_path: Path) -> None:
    reader = interposed_desk(scene.hospital, {m.PARTIAL: of(scene.names[:2], refusing("suspended"))})
    (asked,) = reader.institution.request([scene.delegated.rid], "treatment")
    with pytest.raises(Refused) as refusal:
        reader.institution.get(asked.share, tmp_path / "out")
    assert refusal.value.reason == "suspended"


def test_sealed_metadata_comes_from_a_cloud_if_nodes_lie_about_it(scene: Scene, tmp_path: Path) -> None:
    def other(data: bytes) -> bytes:
        return m.Metadata(m.Metadata.decode(data).data[:-1] + b"\0").encode()

    for stand in (silent, changed(other)):
        scene.opens(interposed_desk(scene.hospital, {m.METADATA: stand}), tmp_path / str(id(stand)))
