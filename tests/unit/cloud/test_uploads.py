"""Uploads: resumable, idempotent, bounded, and never taken for more than they are."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_disk import fill

from salus.cloud import messages as m
from salus.cloud.settings import GatewaySettings, RateLimit
from salus.consultation.receipts import UploadReceipt, check_upload
from salus.errors import Refused
from salus.records.digest import SEALED_SEGMENT_BYTES, BodySummary
from salus.transport import PART_BYTES

from .clouds import (
    DAY_MS,
    KEEP_MS,
    KEY,
    NETWORK,
    START_MS,
    Clock,
    ask,
    begin,
    body,
    finish,
    number,
    open_gateway,
    part,
    read,
    upload,
)

UNIT_TESTS = str(Path(__file__).resolve().parent.parent)


def reason_of(caught: "pytest.ExceptionInfo[Refused]") -> str:
    return caught.value.reason


@pytest.fixture
def gateway(tmp_path):
    with open_gateway(tmp_path / "cloud") as opened:
        yield opened


@pytest.mark.parametrize("plain_bytes", [0, 1, 65_536, 65_537, 5_000_000])
def test_a_body_comes_back_as_it_was_uploaded_with_a_receipt_that_verifies(gateway, plain_bytes):
    data, summary = body(plain_bytes)
    receipt = upload(gateway, 1, data, summary)
    check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
    assert receipt.keep_until_ms == KEEP_MS
    got = b"".join(read(gateway, summary.digest, at) for at in range(0, len(data), PART_BYTES))
    assert got == data
    assert read(gateway, summary.digest, 5, 7) == data[5:12]
    assert read(gateway, summary.digest, len(data), 1) == b""


def test_a_small_body_goes_in_one_call_and_again(gateway):
    data, summary = body(1000)
    request = m.UploadWhole(number(1), summary.digest, KEEP_MS, data)
    first = ask(gateway, m.UPLOAD_WHOLE, request, UploadReceipt)
    assert ask(gateway, m.UPLOAD_WHOLE, request, UploadReceipt) == first
    check_upload(NETWORK, first, summary.digest, summary.size_bytes, KEY.W_bytes)


def test_every_step_can_be_repeated(gateway):
    data, summary = body(200_000)
    assert begin(gateway, 1, summary).received_bytes == 0
    assert part(gateway, 1, 0, data[:1000]) == 1000
    assert begin(gateway, 1, summary).received_bytes == 1000
    assert part(gateway, 1, 0, data[:1000]) == 1000  # the answer was lost, the part comes again
    assert part(gateway, 1, 500, data[500:1500]) == 1500  # overlapping what is there
    assert part(gateway, 1, 1500, data[1500:]) == len(data)
    receipt = finish(gateway, 1)
    assert finish(gateway, 1) == receipt
    assert begin(gateway, 1, summary).received_bytes == len(data)
    assert part(gateway, 1, 0, data[:10]) == 10
    assert read(gateway, summary.digest) == data


def test_an_interrupted_upload_goes_on_after_a_restart(tmp_path):
    data, summary = body(300_000)
    with open_gateway(tmp_path / "cloud") as gateway:
        begin(gateway, 1, summary)
        part(gateway, 1, 0, data[:100_000])
    with open_gateway(tmp_path / "cloud") as gateway:
        assert begin(gateway, 1, summary).received_bytes == 100_000
        part(gateway, 1, 100_000, data[100_000:])
        receipt = finish(gateway, 1)
    with open_gateway(tmp_path / "cloud") as gateway:
        assert finish(gateway, 1) == receipt
        assert read(gateway, summary.digest) == data


@pytest.mark.parametrize(
    ("offset", "data"),
    [(1001, b"gap"), (2**63, b"far"), (0, b"other bytes"), (999, b"!"), (199_990, b"x" * 100), (1000, bytes(PART_BYTES))],
)
def test_parts_that_do_not_continue_the_upload_change_nothing(gateway, offset, data):
    whole, summary = body(200_000)
    begin(gateway, 1, summary)
    part(gateway, 1, 0, whole[:1000])
    with pytest.raises(Refused) as caught:
        part(gateway, 1, offset, data)
    assert reason_of(caught) == "bad-part"
    assert begin(gateway, 1, summary).received_bytes == 1000
    part(gateway, 1, 1000, whole[1000:])
    finish(gateway, 1)
    assert read(gateway, summary.digest) == whole


def test_one_uploader_cannot_spoil_anothers_upload_of_the_same_body(gateway):
    """Parts go by the uploader's own secret number, not by the digest, which others may know."""
    data, summary = body(5000)
    begin(gateway, 1, summary)
    begin(gateway, 2, summary)
    part(gateway, 1, 0, data[:2000])
    part(gateway, 2, 0, b"z" * len(data))
    with pytest.raises(Refused) as caught:
        finish(gateway, 2)
    assert reason_of(caught) == "bad-body"
    part(gateway, 1, 2000, data[2000:])
    finish(gateway, 1)
    assert read(gateway, summary.digest) == data


def test_a_number_serves_one_body_only(gateway):
    data, summary = body(5000)
    _, other = body(5000, b"other")
    begin(gateway, 1, summary)
    with pytest.raises(Refused) as caught:
        begin(gateway, 1, other)
    assert reason_of(caught) == "bad-part"
    part(gateway, 1, 0, data)
    finish(gateway, 1)
    with pytest.raises(Refused) as caught:
        begin(gateway, 1, other)
    assert reason_of(caught) == "bad-part"


def test_unknown_numbers_are_not_found(gateway):
    for call in (lambda: part(gateway, 9, 0, b"x"), lambda: finish(gateway, 9)):
        with pytest.raises(Refused) as caught:
            call()
        assert reason_of(caught) == "not-found"


@pytest.mark.parametrize("spoil", ["bit", "swap", "cut"])
def test_what_has_another_digest_gets_no_receipt_and_is_dropped(gateway, spoil):
    data, summary = body(200_000)
    s = SEALED_SEGMENT_BYTES
    spoilt = {
        "bit": data[:70_000] + bytes([data[70_000] ^ 1]) + data[70_001:],
        "swap": data[s : 2 * s] + data[:s] + data[2 * s :],
        "cut": data[:-1],
    }[spoil]
    begin(gateway, 1, summary)
    part(gateway, 1, 0, spoilt)
    with pytest.raises(Refused) as caught:
        finish(gateway, 1)
    assert reason_of(caught) == ("bad-part" if spoil == "cut" else "bad-body")
    with pytest.raises(Refused) as caught:
        read(gateway, summary.digest)
    assert reason_of(caught) == "missing-body"
    if spoil != "cut":
        assert begin(gateway, 1, summary).received_bytes == 0
    upload(gateway, 2, data, summary)
    assert read(gateway, summary.digest) == data


def test_a_body_that_is_held_is_not_taken_twice(gateway):
    data, summary = body(200_000)
    upload(gateway, 1, data, summary)
    later = KEEP_MS + DAY_MS
    assert begin(gateway, 2, summary, later).received_bytes == summary.size_bytes
    receipt = finish(gateway, 2)
    check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
    assert ask(gateway, m.BODY_INFO, m.BodyInfoRequest(summary.digest), m.BodyInfo).keep_until_ms == later
    begin(gateway, 3, summary)
    finish(gateway, 3)
    assert ask(gateway, m.BODY_INFO, m.BodyInfoRequest(summary.digest), m.BodyInfo).keep_until_ms == later  # never shortened


def test_knowing_a_digest_is_no_way_to_a_receipt_for_another_size(gateway):
    data, summary = body(200_000)
    upload(gateway, 1, data, summary)
    lie = BodySummary(summary.digest, summary.size_bytes - 1, summary.segments)
    begin(gateway, 2, lie)
    with pytest.raises(Refused) as caught:
        finish(gateway, 2)
    assert reason_of(caught) == "bad-body"


@pytest.mark.parametrize(
    ("size_bytes", "keep_until_ms", "reason"),
    [
        (2**40, KEEP_MS, "too-large"),
        (2**64 - 1, KEEP_MS, "too-large"),
        (5, KEEP_MS, "bad-body"),
        (SEALED_SEGMENT_BYTES + 10, KEEP_MS, "bad-body"),
        (1000, START_MS, "expired"),
        (1000, START_MS + 41 * 366 * DAY_MS, "too-far-ahead"),
    ],
)
def test_uploads_are_bounded(gateway, size_bytes, keep_until_ms, reason):
    with pytest.raises(Refused) as caught:
        begin(gateway, 1, BodySummary(bytes(32), size_bytes, 1), keep_until_ms)
    assert reason_of(caught) == reason
    assert ask(gateway, m.STATUS, m.StatusRequest(), m.CloudStatus).uploads_open == 0


def test_rates_are_limited_for_all_together(tmp_path):
    clock = Clock()
    settings = GatewaySettings(begins_per_s=1, begins_burst=2, bytes_per_s=1000, bytes_burst=3000)
    data, summary = body(2500)
    with open_gateway(tmp_path / "cloud", clock, settings=settings) as gateway:
        begin(gateway, 1, summary)
        begin(gateway, 1, summary)  # the same upload again counts once
        begin(gateway, 2, summary)
        with pytest.raises(Refused) as caught:
            begin(gateway, 3, summary)
        assert reason_of(caught) == "rate-limited"
        assert "ms" in caught.value.detail
        part(gateway, 1, 0, data)
        with pytest.raises(Refused) as caught:
            part(gateway, 2, 0, data)
        assert reason_of(caught) == "rate-limited"
        clock.ms += 3000
        part(gateway, 2, 0, data)
        begin(gateway, 3, summary)


def test_a_clock_that_jumps_does_not_upset_the_limits():
    clock = Clock()
    limit = RateLimit(10, 10, clock)
    limit.take(10, "x")
    clock.ms -= 10**9
    with pytest.raises(Refused):
        limit.take(1, "x")
    clock.ms += 100
    limit.take(1, "x")
    clock.ms += 10**12
    limit.take(10, "x")
    with pytest.raises(Refused):
        limit.take(1, "x")


def test_room_and_open_uploads_are_bounded(tmp_path):
    data, summary = body(2000)
    _, large = body(60_000, b"large")
    settings = GatewaySettings(store_bytes_max=50_000, uploads_open_max=2, reserve_bytes=0)
    with open_gateway(tmp_path / "cloud", settings=settings) as gateway:
        with pytest.raises(Refused) as caught:
            begin(gateway, 1, large)
        assert reason_of(caught) == "no-room"
        begin(gateway, 2, summary)
        begin(gateway, 3, summary)
        with pytest.raises(Refused) as caught:
            begin(gateway, 4, summary)
        assert reason_of(caught) == "no-room"
        part(gateway, 2, 0, data)
        finish(gateway, 2)
        begin(gateway, 4, summary)


def test_idle_uploads_are_dropped(tmp_path):
    clock = Clock()
    data, summary = body(2000)
    with open_gateway(tmp_path / "cloud", clock) as gateway:
        begin(gateway, 1, summary)
        begin(gateway, 2, summary)
        part(gateway, 2, 0, data[:10])
        for path in (tmp_path / "cloud" / "staging").iterdir():
            old = path.name.startswith(number(1).hex())
            stamp = (clock.ms - (2 * 3600 * 1000 if old else 0)) / 1000
            os.utime(path, (stamp, stamp))
        assert gateway.collect_garbage().uploads == 1
        assert begin(gateway, 2, summary).received_bytes == 10
        with pytest.raises(Refused) as caught:
            part(gateway, 1, 0, data)
        assert reason_of(caught) == "not-found"


def test_a_full_disk_refuses_the_part_and_keeps_what_had_arrived(small_disk):
    disk = small_disk(2048)
    data, summary = body(500_000)
    with open_gateway(disk / "cloud", settings=GatewaySettings(reserve_bytes=0)) as gateway:
        begin(gateway, 1, summary)
        part(gateway, 1, 0, data[:100_000])
        ballast = fill(disk)
        with pytest.raises(Refused) as caught:
            part(gateway, 1, 100_000, data[100_000:])
        assert reason_of(caught) == "no-room"
        with pytest.raises(Refused) as caught:
            begin(gateway, 2, summary)
        assert reason_of(caught) == "no-room"
        ballast.unlink()
        assert begin(gateway, 1, summary).received_bytes == 100_000
        part(gateway, 1, 100_000, data[100_000:])
        finish(gateway, 1)
        assert read(gateway, summary.digest) == data


@pytest.mark.parametrize("when", ["before-rename", "after-rename", "after-index"])
def test_a_gateway_killed_while_it_finishes_an_upload(tmp_path, when):
    """Between temporary file, rename and index, whichever the kill hits: the uploader finishes again and all is there."""
    data, summary = body(100_000)
    with open_gateway(tmp_path / "cloud") as gateway:
        begin(gateway, 1, summary)
        part(gateway, 1, 0, data)
    program = f"""
        import os, signal, sys
        sys.path.insert(0, {UNIT_TESTS!r})
        from pathlib import Path
        from cloud.clouds import open_gateway, finish
        from salus.cloud.objects import DirectoryStore
        from salus.cloud.shelf import Shelf
        from salus.cloud.uploads import Uploads
        die = lambda: os.kill(os.getpid(), signal.SIGKILL)
        put = DirectoryStore.put
        def killed_put(self, digest, staged):
            if {when!r} == "before-rename": die()
            put(self, digest, staged)
            if {when!r} == "after-rename": die()
        DirectoryStore.put = killed_put
        if {when!r} == "after-index": Uploads._drop = lambda self, upload: die()
        finish(open_gateway(Path({str(tmp_path / "cloud")!r})), 1)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -9
    with open_gateway(tmp_path / "cloud") as gateway:
        state = begin(gateway, 1, summary)
        assert state.received_bytes == summary.size_bytes
        receipt = finish(gateway, 1)
        check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
        assert read(gateway, summary.digest) == data
        status = ask(gateway, m.STATUS, m.StatusRequest(), m.CloudStatus)
        assert (status.bodies, status.body_bytes, status.uploads_open) == (1, summary.size_bytes, 0)
    assert list((tmp_path / "cloud" / "staging").iterdir()) == []


def test_uploads_from_several_threads(gateway):
    bodies = [body(3000 + n, bytes([n % 8])) for n in range(40)]  # some are the same

    def one(n: int) -> UploadReceipt:
        return upload(gateway, n, *bodies[n])

    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(one, range(40)))
    for receipt, (data, summary) in zip(receipts, bodies, strict=True):
        check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
        assert read(gateway, summary.digest) == data
    status = ask(gateway, m.STATUS, m.StatusRequest(), m.CloudStatus)
    assert status.bodies == len({s.digest for _, s in bodies})
    assert status.uploads_open == 0
