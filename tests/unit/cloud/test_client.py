"""The terminal's client against a cloud that works, a network that does not, and clouds that lie."""

import hashlib
import io
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from salus.cloud import messages as m
from salus.cloud.gateway import Gateway
from salus.consultation.receipts import UploadReceipt, check_upload
from salus.errors import Refused, StorageError, TransportError
from salus.groups.ristretto255 import random_scalar
from salus.records.body import decrypt_body
from salus.records.digest import BodySummary, digest_body
from salus.terminal.cloud_client import CloudClient, Retry
from salus.transport import PART_BYTES

from .clouds import (
    KEEP_MS,
    KEY,
    NAME,
    NETWORK,
    START_MS,
    body,
    committed,
    find,
    member,
    number,
    open_gateway,
    request_naming,
    seeded,
)


class Line:
    """A transport to one gateway that drops, repeats and counts."""

    def __init__(self, gateway: Gateway, fault: Callable[[int, str], str] = lambda count, method: "") -> None:
        self.gateway = gateway
        self.fault = fault
        self.calls: list[str] = []

    def call(self, party: str, method: str, body: bytes) -> bytes:
        if party != NAME:
            raise TransportError(f"nobody is called {party}")
        self.calls.append(method)
        fault = self.fault(len(self.calls), method)
        if fault == "lost":
            raise TransportError("the request was lost")
        answer = self.gateway.handle(method, body)
        if fault == "twice":
            answer = self.gateway.handle(method, body)
        if fault == "answer-lost":
            raise TransportError("the answer was lost")
        return answer


def client_over(line: Any, waits: list[int] | None = None, seed: bytes = b"client") -> CloudClient:
    return CloudClient(line, NAME, random=seeded(seed), sleep_ms=(waits if waits is not None else []).append)


@pytest.fixture
def gateway(tmp_path):
    with open_gateway(tmp_path / "cloud") as opened:
        yield opened


def refused(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.reason


@pytest.mark.parametrize("plain_bytes", [0, 1000, 1 << 20, 9_000_000])
def test_upload_and_download(gateway, plain_bytes):
    data, summary = body(plain_bytes)
    client, seen = client_over(Line(gateway)), []
    receipt = client.upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS, progress=seen.append)
    check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
    assert seen[-1] == summary.size_bytes
    assert seen == sorted(seen)
    sink = io.BytesIO()
    assert client.download(summary.digest, summary.size_bytes, sink) == summary.size_bytes
    assert sink.getvalue() == data
    rest = io.BytesIO()
    offset = len(data) // 2
    assert client.download(summary.digest, summary.size_bytes, rest, offset=offset) == len(data) - offset
    assert rest.getvalue() == data[offset:]
    plain = io.BytesIO()
    decrypt_body(client.open(summary.digest, summary.size_bytes), hashlib.sha256(b"body").digest(), ("test",), summary, plain)
    assert plain.getvalue() == hashlib.shake_256(b"body").digest(plain_bytes)
    assert client.info(summary.digest).size_bytes == summary.size_bytes


@pytest.mark.parametrize("fault", ["lost", "answer-lost", "twice"])
@pytest.mark.parametrize("plain_bytes", [1000, 9_000_000])
def test_every_call_survives_one_fault_at_any_place(gateway, fault, plain_bytes):
    """Whichever call is lost, answered in vain or carried out twice: the body arrives once and whole."""
    for place in range(1, 9):
        data, summary = body(plain_bytes, bytes([place]))
        line, waits = Line(gateway, lambda count, _, place=place: fault if count == place else ""), []
        client = client_over(line, waits, bytes([place]))
        receipt = client.upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
        check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
        sink = io.BytesIO()
        client.download(summary.digest, summary.size_bytes, sink)
        assert sink.getvalue() == data
        if fault != "twice" and len(line.calls) >= place:
            assert waits


def test_a_bad_line_carries_only_what_is_missing(gateway):
    data, summary = body(5 * PART_BYTES)
    parts = iter(["", "answer-lost", "", "lost", "answer-lost", "", "", "", ""])
    line = Line(gateway, lambda _, method: next(parts) if method == m.UPLOAD_PART else "")
    client_over(line).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    assert line.calls.count(m.UPLOAD_PART) == 6 + 1  # six parts, one of them sent again; what had arrived is not


def test_a_line_that_is_down_is_given_up_with_an_error_and_resumed_later(gateway):
    data, summary = body(3 * PART_BYTES)
    waits: list[int] = []
    line = Line(gateway, lambda count, _: "lost" if count > 3 else "")
    client = CloudClient(line, NAME, random=seeded(b"client"), sleep_ms=waits.append, retry=Retry(4, 10, 30))
    upload = client.new_upload()
    with pytest.raises(TransportError):
        client.upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS, upload=upload)
    assert waits == [10, 20, 30]
    line = Line(gateway)
    client_over(line).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS, upload=upload)
    assert line.calls.count(m.UPLOAD_PART) == 2


def test_faults_without_end_are_survived_as_long_as_there_is_progress(gateway):
    data, summary = body(8 * PART_BYTES)
    waits: list[int] = []
    line = Line(gateway, lambda count, method: ("answer-lost", "lost")[count % 4 // 2] if method == m.UPLOAD_PART else "")
    client_over(line, waits).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    assert len(waits) > Retry().attempts


def test_an_upload_that_the_cloud_forgot_starts_again(gateway):
    data, summary = body(3 * PART_BYTES)
    forgets = iter([False, True, False, True])

    class Forgetful(Line):
        def call(self, party: str, method: str, body: bytes) -> bytes:
            if method == m.UPLOAD_PART and next(forgets, False):
                gateway._uploads._drop(m.UploadPart.decode(body).upload)
            return super().call(party, method, body)

    receipt = client_over(Forgetful(gateway)).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    check_upload(NETWORK, receipt, summary.digest, summary.size_bytes, KEY.W_bytes)
    forgets = iter([True] * 100)
    data, summary = body(3 * PART_BYTES, b"never")
    with pytest.raises(TransportError, match="forgetting"):
        client_over(Forgetful(gateway), seed=b"x").upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)


def test_being_told_to_wait_is_not_the_end(gateway):
    data, summary = body(1000)
    line = Line(gateway)
    call, told = line.call, []

    def busy(party: str, method: str, body: bytes) -> bytes:
        if len(told) < 3:
            told.append(method)
            raise Refused("rate-limited")
        return call(party, method, body)

    line.call = busy  # type: ignore[method-assign]
    waits: list[int] = []
    client_over(line, waits).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    assert waits == [100, 200, 400]
    told.clear()
    client = CloudClient(line, NAME, random=seeded(b"x"), sleep_ms=waits.append, retry=Retry(attempts=2))
    assert refused(client.info, summary.digest) == "rate-limited"


def test_other_refusals_are_final(gateway):
    line, waits = Line(gateway), []
    assert refused(client_over(line, waits).info, bytes(32)) == "missing-body"
    assert (len(line.calls), waits) == (1, [])
    assert refused(client_over(line).download, bytes(32), 5000, io.BytesIO()) == "missing-body"


@pytest.mark.parametrize("plain_bytes", [1000, 2_000_000])
def test_a_file_that_is_not_the_announced_body_is_not_uploaded(gateway, plain_bytes):
    data, summary = body(plain_bytes)
    client = client_over(Line(gateway))
    assert refused(client.upload, io.BytesIO(data[:-1]), summary.digest, summary.size_bytes, KEEP_MS) == "bad-body"
    other = bytes([data[0] ^ 1]) + data[1:]
    assert refused(client.upload, io.BytesIO(other), summary.digest, summary.size_bytes, KEEP_MS) == "bad-body"


class Liar:
    """A cloud that answers from a script."""

    def __init__(self, gateway: Gateway, lies: dict[str, Callable[[bytes], bytes]]) -> None:
        self.gateway = gateway
        self.lies = lies

    def call(self, party: str, method: str, body: bytes) -> bytes:
        answer = self.gateway.handle(method, body)
        return self.lies.get(method, lambda a: a)(answer)


def lie(change: Callable[[Any], Any], kind: type[Any]) -> Callable[[bytes], bytes]:
    return lambda answer: change(kind.decode(answer)).encode()


def test_a_receipt_of_another_cloud_or_for_less_time_is_refused(gateway):
    data, summary = body(1000)
    for change in (
        lambda r: UploadReceipt("clouds/two", r.keep_until_ms, r.signature),
        lambda r: UploadReceipt(r.cloud, r.keep_until_ms - 1, r.signature),
    ):
        client = client_over(Liar(gateway, {m.UPLOAD_WHOLE: lie(change, UploadReceipt)}))
        assert refused(client.upload, io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS) == "bad-receipt"
    _, foreign = member(NAME, seed=b"another centre")
    honest = client_over(Line(gateway)).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    assert refused(check_upload, NETWORK, honest, summary.digest, summary.size_bytes, foreign.W_bytes) == "bad-receipt"


def test_a_cloud_that_sends_more_or_less_than_asked_for(gateway):
    data, summary = body(100_000)
    client_over(Line(gateway)).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    for change in (lambda r: m.BodyRange(b""), lambda r: m.BodyRange(r.data + b"\0")):
        client = client_over(Liar(gateway, {m.BODY_RANGE: lie(change, m.BodyRange)}))
        assert refused(client.download, summary.digest, summary.size_bytes, io.BytesIO()) == "bad-body"


def test_an_altered_body_is_noticed_by_who_decrypts_it(gateway):
    data, summary = body(100_000)
    client_over(Line(gateway)).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    key = hashlib.sha256(b"body").digest()
    stale, _ = body(100_000, b"stale")
    for change in (lambda r: m.BodyRange(bytes([r.data[0] ^ 1]) + r.data[1:]), lambda r: m.BodyRange(stale)):
        client = client_over(Liar(gateway, {m.BODY_RANGE: lie(change, m.BodyRange)}))
        with pytest.raises(Refused, match="bad-body"):
            decrypt_body(client.open(summary.digest, summary.size_bytes), key, ("test",), summary, io.BytesIO())
        assert digest_body(client.open(summary.digest, summary.size_bytes)).digest != summary.digest


def test_a_cloud_that_goes_in_circles_is_left(gateway):
    data, summary = body(3 * PART_BYTES)
    stuck = {m.UPLOAD_PART: lambda answer: m.UploadState(number(1), 0).encode()}
    client = client_over(Liar(gateway, stuck))
    assert refused(client.upload, io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS) == "bad-encoding"
    receipt = client_over(Line(gateway)).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    gateway.apply_committed(1, START_MS, committed(request_naming(summary, receipt)))
    circling = {m.FIND: lambda answer: m.Found(m.Found.decode(answer).filings * 2, 1).encode()}
    client = client_over(Liar(gateway, circling))
    with pytest.raises(Refused, match="circles"):
        list(client.find(m.BY_DOCTOR, b"clinic/dr-1"))


def test_looking_up_goes_through_all_pages(gateway, monkeypatch):
    data, summary = body(100)
    receipt = client_over(Line(gateway)).upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    requests = [request_naming(summary, receipt, random_scalar(seeded(bytes([n]))), sn=n) for n in range(10)]
    gateway.apply_committed(1, START_MS, committed(*requests))
    monkeypatch.setattr(m, "FOUND_MAX", 3)
    line = Line(gateway)
    found = list(client_over(line).find(m.BY_DOCTOR, b"clinic/dr-1"))
    assert [f.tx_hash for f in found] == [r.tx_hash() for r in requests]
    assert line.calls.count(m.FIND) == 4
    assert find(gateway, m.BY_DOCTOR, b"clinic/dr-1", limit=3).more == 1


def test_verified_segments(gateway):
    data, summary = body(400_000)
    client = client_over(Line(gateway))
    client.upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    assert b"".join(client.segments(summary, 1, 3)) == data[65_564 : 4 * 65_564]
    assert b"".join(client.segments(summary, summary.segments - 1, 1)) == data[(summary.segments - 1) * 65_564 :]
    assert refused(client.segments, summary, 0, 100) in ("too-large", "bad-body")
    altered = {m.BODY_RANGE: lie(lambda r: m.BodyRange(r.data[:-1] + b"\0"), m.BodyRange)}
    assert refused(client_over(Liar(gateway, altered)).segments, summary, 1, 3) == "bad-body"


def test_a_sink_that_fails_is_a_storage_error(gateway):
    data, summary = body(1000)
    client = client_over(Line(gateway))
    client.upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)

    class Full:
        def write(self, data: bytes, /) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        client.download(summary.digest, summary.size_bytes, Full())


def test_a_storage_receipt_and_the_status(gateway):
    data, summary = body(1000)
    client = client_over(Line(gateway))
    receipt = client.upload(io.BytesIO(data), summary.digest, summary.size_bytes, KEEP_MS)
    request = request_naming(summary, receipt)
    assert refused(client.storage_receipt, request.tx_hash()) == "not-committed"
    gateway.apply_committed(1, START_MS, committed(request))
    assert len(client.storage_receipt(request.tx_hash()).nonce) == 32
    status = client.status()
    assert (status.name, status.height, status.bodies, status.filings) == (NAME, 1, 1, 1)
    assert BodySummary.of(summary.digest, status.body_bytes) == summary


MEASURE = """
    import os, sys
    sys.path[:0] = [{unit!r}, {tests!r}]
    from pathlib import Path
    from cloud.clouds import KEEP_MS, open_gateway
    from cloud.test_client import Line, client_over
    from salus.records.body import encrypt_body
    from salus.records.streams import Discard
    from support.memory import peak_kib

    class Zeros:
        left = {plain_bytes}
        def read(self, size):
            taken = min(size, self.left)
            self.left -= taken
            return bytes(taken)

    path = Path({path!r})
    with open_gateway(path / "cloud") as gateway:
        client = client_over(Line(gateway))
        before = peak_kib()
        with (path / "sealed").open("wb") as sink:
            summary = encrypt_body(Zeros(), bytes(32), (), sink)
        with (path / "sealed").open("rb") as source:
            client.upload(source, summary.digest, summary.size_bytes, KEEP_MS)
        client.download(summary.digest, summary.size_bytes, Discard())
        print(peak_kib() - before)
"""


def grown_kib(tmp_path: Path, plain_bytes: int) -> int:
    unit, tests = (str(path) for path in Path(__file__).resolve().parents[1:3])
    program = textwrap.dedent(MEASURE.format(unit=unit, tests=tests, path=str(tmp_path), plain_bytes=plain_bytes))
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def test_a_large_body_goes_through_in_constant_memory(tmp_path):
    """A few parts at a time (4 MiB each, as message, encoding and data), whatever the size."""
    assert grown_kib(tmp_path, 150 << 20) < 64 << 10


@pytest.mark.long
def test_a_gibibyte_goes_through_in_constant_memory(tmp_path):
    assert grown_kib(tmp_path, 1 << 30) < 64 << 10
