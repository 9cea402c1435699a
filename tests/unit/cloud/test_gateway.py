"""Following the ledger: filing, confirming, finding, receipts, expiry."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from salus.cloud import messages as m
from salus.cloud.filing import CommittedTransaction
from salus.cloud.gateway import Gateway
from salus.cloud.index import INDEX_FILE
from salus.cloud.key import load_cloud_key, save_cloud_key
from salus.cloud.settings import GatewaySettings
from salus.consultation.receipts import SealedReceipt, StorageReceipt, open_storage_receipt
from salus.consultation.registration import MemberKey
from salus.errors import DamagedFile, Refused, StorageError
from salus.files import Busy
from salus.groups.ristretto255 import random_scalar
from salus.records.digest import RangeProof, verify_range

from .clouds import (
    DAY_MS,
    KEEP_MS,
    KEY,
    NETWORK,
    START_MS,
    Clock,
    ask,
    body,
    committed,
    find,
    member,
    open_gateway,
    read,
    reply_naming,
    request_naming,
    seeded,
    upload,
)

SECRET = random_scalar(seeded(b"a"))


@pytest.fixture
def gateway(tmp_path):
    with open_gateway(tmp_path / "cloud") as opened:
        yield opened


def object_file(directory: Path, digest: bytes) -> Path:
    name = digest.hex()
    return directory / "objects" / name[:2] / name[2:4] / name


def receipt_for(gateway: Gateway, tx_hash: bytes) -> SealedReceipt:
    return ask(gateway, m.STORAGE_RECEIPT, m.ReceiptRequest(tx_hash), SealedReceipt)


def expected_of(request, height=1, cloud=KEY.name):
    return StorageReceipt(
        request.PID1, request.A, request.ID_D, height, request.tx_hash(), request.digest, request.size_bytes, cloud, bytes(64)
    )


def refused(call, *arguments) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.reason


def test_pseudonym_one_time_key_and_doctor_each_alone_find_a_transaction(gateway):
    data, summary = body(1000)
    request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
    reply_data, reply_summary = body(300, b"reply")
    reply = reply_naming(
        reply_summary, upload(gateway, 2, reply_data, reply_summary), random_scalar(seeded(b"d")), request.tx_hash()
    )
    gateway.apply_committed(1, START_MS, committed(request))
    gateway.apply_committed(2, START_MS, committed(reply))
    for by, value in ((m.BY_PSEUDONYM, request.PID1), (m.BY_ONE_TIME_KEY, request.A)):
        found = find(gateway, by, value)
        assert [f.tx_hash for f in found.filings] == [request.tx_hash()]
        filing = found.filings[0]
        assert (filing.height, filing.kind, filing.held) == (1, "consultation.request", 1)
        assert (filing.digest, filing.size_bytes) == (summary.digest, summary.size_bytes)
    assert [f.tx_hash for f in find(gateway, m.BY_ONE_TIME_KEY, reply.A_D).filings] == [reply.tx_hash()]
    assert [f.tx_hash for f in find(gateway, m.BY_PSEUDONYM, reply.PID2).filings] == [reply.tx_hash()]
    assert [f.tx_hash for f in find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings] == [request.tx_hash(), reply.tx_hash()]
    assert find(gateway, m.BY_DOCTOR, b"clinic/dr-2").filings == ()


def test_look_ups_are_paged_and_checked(gateway):
    data, summary = body(100)
    receipt = upload(gateway, 1, data, summary)
    requests = [request_naming(summary, receipt, sn=n) for n in range(10)]
    gateway.apply_committed(1, START_MS, committed(*requests))
    first = find(gateway, m.BY_DOCTOR, b"clinic/dr-1", limit=6)
    assert (len(first.filings), first.more) == (6, 1)
    rest = find(gateway, m.BY_DOCTOR, b"clinic/dr-1", after=first.filings[-1].number, limit=6)
    assert (len(rest.filings), rest.more) == (4, 0)
    assert [f.tx_hash for f in (*first.filings, *rest.filings)] == [r.tx_hash() for r in requests]
    assert refused(find, gateway, "name", b"x") == "unknown-kind"
    assert refused(find, gateway, m.BY_DOCTOR, b"\xff") == "bad-encoding"
    assert refused(find, gateway, m.BY_DOCTOR, b"x", 0, 0) == "too-large"
    assert refused(find, gateway, m.BY_DOCTOR, b"x", 0, 257) == "too-large"


def test_a_storage_receipt_opens_for_the_sender_alone(gateway):
    data, summary = body(1000)
    request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
    assert refused(receipt_for, gateway, request.tx_hash()) == "not-committed"
    gateway.apply_committed(1, START_MS, committed(request))
    sealed = receipt_for(gateway, request.tx_hash())
    opened = open_storage_receipt(NETWORK, sealed, SECRET, KEY.W_bytes, request.tx_hash(), expected_of(request))
    assert opened.height == 1
    assert receipt_for(gateway, request.tx_hash()).nonce != sealed.nonce  # every key is used once
    with pytest.raises(Refused):
        open_storage_receipt(NETWORK, sealed, random_scalar(seeded(b"z")), KEY.W_bytes, request.tx_hash(), expected_of(request))
    for field, value in (("digest", bytes(32)), ("ID_D", "clinic/dr-2"), ("cloud", "clouds/two"), ("PID", bytes(92))):
        other = msgspec.structs.replace(expected_of(request), **{field: value})
        with pytest.raises(Refused, match="bad-receipt"):
            open_storage_receipt(NETWORK, sealed, SECRET, KEY.W_bytes, request.tx_hash(), other)


def test_no_receipt_without_the_body(tmp_path):
    """Missing, altered, of another length: each is refused with its reason, and mended by uploading again."""
    directory = tmp_path / "cloud"
    with open_gateway(directory) as gateway:
        bodies = {name: body(100_000, name.encode()) for name in ("missing", "altered", "cut", "lengthened", "right")}
        requests = {n: request_naming(s, upload(gateway, i, d, s), SECRET) for i, (n, (d, s)) in enumerate(bodies.items())}
        paths = {name: object_file(directory, summary.digest) for name, (_, summary) in bodies.items()}
        paths["missing"].unlink()
        paths["altered"].write_bytes(bytes([bodies["altered"][0][0] ^ 1]) + bodies["altered"][0][1:])
        paths["cut"].write_bytes(bodies["cut"][0][:-1])
        paths["lengthened"].write_bytes(bodies["lengthened"][0] + b"\0")
        gateway.apply_committed(1, START_MS, committed(*requests.values()))
        held = {f.tx_hash: f.held for f in find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings}
        assert [held[r.tx_hash()] for r in requests.values()] == [0, 0, 0, 0, 1]
        for name in ("missing", "altered", "cut", "lengthened"):
            assert refused(receipt_for, gateway, requests[name].tx_hash()) == "missing-body"
            assert refused(read, gateway, bodies[name][1].digest) == "missing-body"
        receipt_for(gateway, requests["right"].tx_hash())
        assert sorted(p.name for p in (directory / "damaged").iterdir()) == sorted(
            bodies[n][1].digest.hex() for n in ("altered", "cut", "lengthened")
        )
        for i, name in enumerate(("missing", "altered", "cut", "lengthened")):
            upload(gateway, 100 + i, *bodies[name])
            receipt_for(gateway, requests[name].tx_hash())
        status = ask(gateway, m.STATUS, m.StatusRequest(), m.CloudStatus)
        assert (status.bodies, status.body_bytes) == (5, sum(s.size_bytes for _, s in bodies.values()))


def test_a_body_altered_after_its_receipt_is_served_as_it_is_and_the_reader_notices(tmp_path):
    """The cloud is not trusted: who reads checks the digest."""
    with open_gateway(tmp_path / "cloud") as gateway:
        data, summary = body(150_000)
        request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
        gateway.apply_committed(1, START_MS, committed(request))
        receipt_for(gateway, request.tx_hash())
        altered = data[:-20] + bytes(20)
        object_file(tmp_path / "cloud", summary.digest).write_bytes(altered)
        assert read(gateway, summary.digest) == altered
        assert refused(ask, gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, 0, 1), RangeProof) == "bad-body"


def test_a_large_body_is_hashed_when_its_receipt_is_asked_for(tmp_path):
    settings = GatewaySettings(confirm_inline_bytes=1000)
    with open_gateway(tmp_path / "cloud", settings=settings) as gateway:
        bodies = [body(5000 + n, bytes([n])) for n in range(4)]
        requests = [request_naming(s, upload(gateway, n, d, s), SECRET) for n, (d, s) in enumerate(bodies)]
        gateway.apply_committed(1, START_MS, committed(*requests))
        assert [f.held for f in find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings] == [0, 0, 0, 0]
        receipt_for(gateway, requests[0].tx_hash())
        assert gateway.confirm_pending(6000) == 2
        assert [f.held for f in find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings].count(1) == 3
        object_file(tmp_path / "cloud", bodies[0][1].digest).write_bytes(b"x" * bodies[0][1].size_bytes)
        receipt_for(gateway, requests[0].tx_hash())  # hashed once since it was named


def test_blocks_come_in_order_and_a_repetition_is_harmless(tmp_path):
    data, summary = body(1000)
    with open_gateway(tmp_path / "cloud") as gateway:
        request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
        assert refused(gateway.apply_committed, 2, START_MS, []) == "not-found"
        gateway.apply_committed(1, START_MS, committed(request))
        gateway.apply_committed(1, START_MS, committed(request))
        gateway.apply_committed(2, START_MS + 1, [CommittedTransaction("toy.kind", bytes(32), b"anything")])
    with open_gateway(tmp_path / "cloud") as gateway:
        assert gateway.followed() == (2, START_MS + 1)
        assert len(find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings) == 1


def test_transactions_that_are_not_what_they_claim_are_refused_whole(gateway):
    data, summary = body(1000)
    request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
    good = committed(request)[0]
    for bad in (
        CommittedTransaction(good.kind, bytes(32), good.data),
        CommittedTransaction("consultation.reply", good.tx_hash, good.data),
        CommittedTransaction(good.kind, good.tx_hash, good.data + b"\0"),
    ):
        assert refused(gateway.apply_committed, 1, START_MS, [good, bad]) == "bad-encoding"
    assert gateway.followed() == (0, 0)
    assert find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings == ()


def test_bodies_that_no_transaction_names_expire_in_block_time(tmp_path):
    clock = Clock()
    with open_gateway(tmp_path / "cloud", clock) as gateway:
        named, unnamed = body(1000, b"named"), body(1000, b"unnamed")
        request = request_naming(named[1], upload(gateway, 1, *named), SECRET)
        upload(gateway, 2, *unnamed)
        gateway.apply_committed(1, START_MS + 1, committed(request))
        clock.ms += 1000 * DAY_MS  # the clock jumps: nothing is removed
        assert gateway.collect_garbage().bodies == 0
        gateway.apply_committed(2, START_MS + 6 * DAY_MS, [])
        assert gateway.collect_garbage().bodies == 0
        gateway.apply_committed(3, START_MS + 8 * DAY_MS, [])
        collected = gateway.collect_garbage()
        assert (collected.bodies, collected.body_bytes) == (1, unnamed[1].size_bytes)
        assert read(gateway, named[1].digest) == named[0]
        assert refused(read, gateway, unnamed[1].digest) == "missing-body"
        gateway.apply_committed(4, KEEP_MS + 1, [])
        assert gateway.collect_garbage().bodies == 1
        assert refused(receipt_for, gateway, request.tx_hash()) == "missing-body"


def test_a_gateway_that_lags_behind_does_not_expire_what_it_is_about_to_see_named(tmp_path):
    clock = Clock()
    with open_gateway(tmp_path / "cloud", clock) as gateway:
        gateway.apply_committed(1, START_MS - 30 * DAY_MS, [])
        data, summary = body(1000)
        request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
        gateway.apply_committed(2, START_MS - 10 * DAY_MS, [])
        assert gateway.collect_garbage().bodies == 0
        gateway.apply_committed(3, START_MS + 1, committed(request))
        assert gateway.collect_garbage().bodies == 0
        receipt_for(gateway, request.tx_hash())


def test_a_body_named_while_garbage_is_collected_stays(tmp_path, monkeypatch):
    with open_gateway(tmp_path / "cloud") as gateway:
        data, summary = body(1000)
        request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
        gateway.apply_committed(1, START_MS + 8 * DAY_MS, [])
        expired = gateway._index.expired

        def named_meanwhile(*arguments):
            rows = expired(*arguments)
            if rows:
                gateway.apply_committed(2, START_MS + 8 * DAY_MS, committed(request))
            return rows

        monkeypatch.setattr(gateway._index, "expired", named_meanwhile)
        assert gateway.collect_garbage().bodies == 0
        assert read(gateway, summary.digest) == data
        receipt_for(gateway, request.tx_hash())


def test_a_crash_between_forgetting_and_deleting_leaves_nothing_for_ever(tmp_path, monkeypatch):
    clock = Clock()
    data, summary = body(1000)
    with open_gateway(tmp_path / "cloud", clock) as gateway:
        upload(gateway, 1, data, summary)
        gateway.apply_committed(1, START_MS + 8 * DAY_MS, [])
        monkeypatch.setattr(gateway._shelf.store, "delete", lambda digest: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            gateway.collect_garbage()
    assert object_file(tmp_path / "cloud", summary.digest).exists()
    clock.ms = START_MS + 8 * DAY_MS
    with open_gateway(tmp_path / "cloud", clock) as gateway:
        assert gateway.collect_garbage().bodies == 0  # taken in again, as one that came just now
        gateway.apply_committed(2, START_MS + 16 * DAY_MS, [])
        assert gateway.collect_garbage().bodies == 1
    assert not object_file(tmp_path / "cloud", summary.digest).exists()


def test_a_lost_index_is_made_again_from_bodies_and_ledger(tmp_path):
    directory = tmp_path / "cloud"
    data, summary = body(100_000)
    with open_gateway(directory) as gateway:
        request = request_naming(summary, upload(gateway, 1, data, summary), SECRET)
        gateway.apply_committed(1, START_MS, committed(request))
    for name in (INDEX_FILE, f"{INDEX_FILE}-wal", f"{INDEX_FILE}-shm"):
        (directory / name).unlink(missing_ok=True)
    rubbish = object_file(directory, bytes(32))
    rubbish.parent.mkdir(parents=True)
    rubbish.write_bytes(b"rubbish" * 10)
    with open_gateway(directory) as gateway:
        assert gateway.followed() == (0, 0)
        assert gateway.adopt_bodies() == 1
        assert not rubbish.exists()
        gateway.apply_committed(1, START_MS, committed(request))
        receipt_for(gateway, request.tx_hash())
        assert read(gateway, summary.digest) == data
        gateway.apply_committed(2, START_MS + 300 * DAY_MS, [])
        assert gateway.collect_garbage().bodies == 0  # kept as long as the transaction's receipt says


@pytest.mark.parametrize("damage", ["header", "page", "cut"])
def test_a_damaged_index_is_said_to_be_damaged_and_left_alone(tmp_path, damage):
    directory = tmp_path / "cloud"
    with open_gateway(directory) as gateway:
        for n in range(30):
            data, summary = body(50, bytes([n]))
            gateway.apply_committed(n + 1, START_MS, committed(request_naming(summary, upload(gateway, n, data, summary))))
    path = directory / INDEX_FILE
    whole = bytearray(path.read_bytes())
    if damage == "header":
        whole[:100] = bytes(100)
    elif damage == "page":
        whole[4096 : 4 * 4096] = b"\xff" * (3 * 4096)
    else:
        del whole[len(whole) // 2 :]
    path.write_bytes(whole)
    with pytest.raises(DamagedFile) as caught:
        open_gateway(directory)
    assert "move it away" in str(caught.value)
    assert path.read_bytes()[: len(whole)] == whole
    path.rename(directory / "old-index")
    with open_gateway(directory) as gateway:  # the failure kept no lock
        assert gateway.adopt_bodies() == 30


def test_an_index_of_another_network_is_refused(tmp_path):
    open_gateway(tmp_path / "cloud").close()
    with pytest.raises(StorageError, match="network"):
        Gateway.open(tmp_path / "cloud", bytes(32), KEY, now_ms=Clock())


def test_an_index_that_cannot_be_reached_names_no_password(tmp_path):
    for url in (
        f"sqlite:///{tmp_path}/nowhere/index.sqlite?password=hunter2",
        "nodriver://user:hunter2@host/db",
        "postgresql+nodriver://user:hunter2@host/db",
        "no url, but hunter2",
    ):
        with pytest.raises(StorageError) as caught:
            open_gateway(tmp_path / "cloud", index_url=url)
        assert "hunter2" not in str(caught.value)


def test_two_processes_do_not_share_a_gateway(tmp_path):
    program = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).resolve().parent.parent)!r})
        from pathlib import Path
        from cloud.clouds import open_gateway
        from salus.files import Busy
        try:
            open_gateway(Path({str(tmp_path / "cloud")!r}))
        except Busy as busy:
            print("busy", busy.pid)
    """
    with open_gateway(tmp_path / "cloud"):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["busy", str(os.getpid())]
        with pytest.raises(Busy):
            open_gateway(tmp_path / "cloud")
    open_gateway(tmp_path / "cloud").close()


def test_ranges_verify_alone(gateway):
    data, summary = body(500_000)
    upload(gateway, 1, data, summary)
    proof = ask(gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, 2, 3), RangeProof)
    segment = 65_564
    verify_range(summary, proof, read(gateway, summary.digest, 2 * segment, 3 * segment))
    assert refused(ask, gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, 7, 9), RangeProof) == "bad-body"
    assert refused(ask, gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, 0, 0), RangeProof) == "bad-body"
    assert refused(read, gateway, summary.digest, len(data) + 1) == "bad-body"
    assert refused(read, gateway, summary.digest, 2**64 - 1) == "bad-body"
    assert refused(read, gateway, summary.digest, 0, 0) == "too-large"
    assert refused(read, gateway, summary.digest, 0, 2**40) == "too-large"


def test_unknown_methods_and_malformed_requests_are_refused(gateway):
    assert refused(gateway.handle, "cloud.drop-tables", b"") == "unknown-kind"
    for method in gateway._methods:
        for garbage in (b"", b"\0", b"t\0\0\0\0", m.StatusRequest().encode() + b"\0"):
            with pytest.raises(Refused):
                gateway.handle(method, garbage)


def test_a_doctors_key_is_no_clouds_key(tmp_path):
    assert refused(save_cloud_key, tmp_path / "key", member("clinic/dr-1", "doctor")[1]) == "not-authorised"
    assert not (tmp_path / "key").exists()


def test_the_key_file(tmp_path):
    centre, key = member()
    path = tmp_path / "cloud" / "cloud.key"
    save_cloud_key(path, key)
    assert path.stat().st_mode & 0o777 == 0o600
    loaded: MemberKey = load_cloud_key(path, centre.Pub)
    assert loaded.W_bytes == key.W_bytes
    assert refused(load_cloud_key, path, member(seed=b"another centre")[0].Pub) == "bad-partial-key"
    with pytest.raises(StorageError, match="never overwritten"):
        save_cloud_key(path, key)
    path.chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        load_cloud_key(path, centre.Pub)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFile):
        load_cloud_key(path, centre.Pub)


def test_no_file_of_the_cloud_is_open_to_others(tmp_path):
    with open_gateway(tmp_path / "cloud") as gateway:
        upload(gateway, 1, *body(100))
        for path in (tmp_path / "cloud").rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path
