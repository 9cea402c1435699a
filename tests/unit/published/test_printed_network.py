"""The printed suite over four PBFT replicas: real flow, refusals, the forgery, and an audit from an export alone."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import msgspec
import pytest

from salus.consensus.block import Certificate
from salus.consultation.published.messages import Request
from salus.consultation.suite import Suite
from salus.errors import Refused
from salus.network.printed import PrintedNetwork, verify_export
from salus.network.printed.messages import Export, Genesis, Ordered, decode_ordered


def seeded(seed: str):
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)


@pytest.fixture
def network(tmp_path: Path):
    network = PrintedNetwork.create(tmp_path / "home", random=seeded("network"))
    network.register("doctor", "clinic/dr")
    network.register("patient", "ward/eve")
    network.start()
    yield network
    network.close()


def consult(network: PrintedNetwork, payload: bytes, diagnosis: bytes) -> tuple[bytes, bytes]:
    request = network.request("ward/eve", "clinic/dr", payload)
    network.commit(request)
    network.store(request)
    received, reply = network.treat("clinic/dr", request, diagnosis)
    assert received == payload
    network.commit(reply)
    network.store(reply)
    assert network.check_up("ward/eve", reply) == diagnosis
    return request, reply


def test_consultations_through_consensus(network):
    suite: Suite = network
    assert suite.name == "mbpa-2019"
    for i in range(3):
        consult(network, b"record %d" % i, b"diagnosis %d" % i)
    hashes = network.application_hashes()
    assert set(hashes) == {f"node-{i}" for i in range(4)}
    assert len(set(hashes.values())) == 1
    assert network.height >= 6
    received = network.received("clinic/dr")
    assert {path.read_bytes() for path in received.iterdir()} == {b"record 0", b"record 1", b"record 2"}


def test_a_record_larger_than_a_transaction_of_the_engine(network):
    payload = bytes(range(256)) * 8192  # 2 MiB
    request, _ = consult(network, payload, b"seen")
    ordered, C = Ordered.of(Request.decode(request))
    assert len(C) > len(payload)
    assert len(ordered.encode()) < 4096
    assert ordered.whole(C) == request


def test_refusals_have_reasons(network):
    request, reply = consult(network, b"record", b"diagnosis")
    with pytest.raises(Refused, match="used-key"):
        network.commit(request)
    with pytest.raises(Refused, match=r"used-key|already-answered"):
        network.commit(reply)
    fresh = Request.decode(network.request("ward/eve", "clinic/dr", b"another"))
    altered = Request(msgspec.structs.replace(fresh.transaction, M_i1=bytes(32)), fresh.pk_PA)
    with pytest.raises(Refused, match="forged-key"):
        network.commit(altered.encode())
    before = PrintedNetwork(network.home, seeded("early"), lambda: 0, "early")
    with pytest.raises(Refused, match="not-started"):
        before.commit(request)


def test_the_forgery_is_accepted_by_the_whole_network(network):
    """The point of the suite: nodes chain it and the doctor treats it, though ward/eve never sent it."""
    forged = network.forge("ward/eve", "clinic/dr", b"forged record")
    committed = network.commit_transaction(forged)
    assert committed.height > 0
    received, _ = network.treat("clinic/dr", forged, b"diagnosis")
    assert received == b"forged record"


def test_a_reply_that_is_not_chained_is_not_read(network):
    request = network.request("ward/eve", "clinic/dr", b"record")
    network.commit(request)
    _, reply = network.treat("clinic/dr", request, b"diagnosis")
    with pytest.raises(Refused, match="not-committed"):
        network.check_up("ward/eve", reply)


def test_an_export_is_verified_from_bytes_alone(network):
    consult(network, b"record", b"diagnosis")
    genesis = Genesis.decode(network.genesis.encode())
    export = Export.decode(network.export().encode())
    report = verify_export(genesis, export)
    assert report.transactions == 2
    assert report.height == network.height
    assert {report.application_hash.hex()} == set(network.application_hashes().values())
    assert report.proven_height == report.height - 1


def test_an_altered_export_is_refused(network):
    consult(network, b"record", b"diagnosis")
    consult(network, b"record 2", b"diagnosis 2")
    genesis, export = network.genesis, network.export()
    blocks = export.blocks
    certificate = Certificate.decode(blocks[0].certificate)
    thin = msgspec.structs.replace(certificate, signatures=certificate.signatures[:2])
    for altered in (
        (blocks[1], blocks[0], *blocks[2:]),
        blocks[1:],
        (msgspec.structs.replace(blocks[0], certificate=thin.encode()), *blocks[1:]),
        (msgspec.structs.replace(blocks[0], certificate=blocks[1].certificate), *blocks[1:]),
    ):
        with pytest.raises(Refused):
            verify_export(genesis, Export(tuple(altered)))
    with pytest.raises(Refused):
        verify_export(msgspec.structs.replace(genesis, time_ms=genesis.time_ms + 1), export)


def test_no_file_of_a_node_or_the_cloud_shows_a_name_or_a_record(network):
    consult(network, b"canary-record-4711", b"canary-diagnosis-4711")
    for path in network.home.rglob("*"):
        owner = path.relative_to(network.home).parts[0]
        if path.is_file() and (owner.startswith("node-") or owner == "cloud"):
            data = path.read_bytes()
            assert b"canary" not in data, path
            assert b"ward/eve" not in data, path


def test_an_ordered_transaction_carries_no_ciphertext(network):
    request = Request.decode(network.request("ward/eve", "clinic/dr", b"x"))
    ordered, C = Ordered.of(request)
    assert decode_ordered(ordered.encode()) == ordered
    with pytest.raises(Refused, match="bad-encoding"):
        decode_ordered(msgspec.structs.replace(ordered, transaction=request).encode())
    with pytest.raises(Refused, match="bad-body"):
        ordered.whole(C + b"x")
