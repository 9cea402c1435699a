"""Clouds for tests: a registered key, a clock to turn, committed transactions that name bodies."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from salus.cloud import messages as m
from salus.cloud.filing import CommittedTransaction
from salus.cloud.gateway import Gateway
from salus.codec import Message
from salus.consultation.receipts import UploadReceipt
from salus.consultation.registration import CentreKey, MemberKey, SecretValue, issue_partial_key
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import ConsultationRequest
from salus.groups.ristretto255 import Scalar, base_mul, random_scalar
from salus.records.body import encrypt_body
from salus.records.digest import BodySummary
from salus.transport import PART_BYTES

NETWORK = hashlib.sha256(b"a network").digest()
NAME = "clouds/one"
START_MS = 1_760_000_000_000
DAY_MS = 24 * 3600 * 1000
KEEP_MS = START_MS + 365 * DAY_MS


def seeded(seed: bytes) -> Callable[[int], bytes]:
    """A deterministic source of bytes."""
    count = 0

    def random(size: int, /) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(seed + count.to_bytes(8, "big")).digest(size)

    return random


class Clock:
    """A clock that only the test turns."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


def member(name: str = NAME, role: str = "cloud", seed: bytes = b"centre") -> tuple[CentreKey, MemberKey]:
    """A centre and a member that it registered."""
    random = seeded(seed)
    centre = CentreKey.generate(random)
    secret = SecretValue.draw(random)
    partial = issue_partial_key(centre.w, role, name, 0, secret.P, random)
    return centre, MemberKey.finish(role, name, secret, partial, centre.Pub)


CENTRE, KEY = member()


def body(plain_bytes: int, seed: bytes = b"body") -> tuple[bytes, BodySummary]:
    """An encrypted body and what the ledger names of it."""
    plain, sealed = io.BytesIO(hashlib.shake_256(seed).digest(plain_bytes)), io.BytesIO()
    summary = encrypt_body(plain, hashlib.sha256(seed).digest(), ("test",), sealed, random=seeded(seed))
    return sealed.getvalue(), summary


def open_gateway(directory: Path, clock: Clock | None = None, **options: Any) -> Gateway:
    return Gateway.open(directory, NETWORK, KEY, now_ms=clock or Clock(), random=seeded(b"gateway"), **options)


def ask(gateway: Gateway, method: str, request: Message, answer: type[Any]) -> Any:
    """Call as a transport does: bytes in, bytes out."""
    return answer.decode(gateway.handle(method, request.encode()))


def number(n: int) -> bytes:
    return n.to_bytes(16, "big")


def begin(gateway: Gateway, n: int, summary: BodySummary, keep_until_ms: int = KEEP_MS) -> m.UploadState:
    request = m.UploadBegin(number(n), summary.digest, summary.size_bytes, keep_until_ms)
    return ask(gateway, m.UPLOAD_BEGIN, request, m.UploadState)


def part(gateway: Gateway, n: int, offset: int, data: bytes) -> int:
    return int(ask(gateway, m.UPLOAD_PART, m.UploadPart(number(n), offset, data), m.UploadState).received_bytes)


def finish(gateway: Gateway, n: int) -> UploadReceipt:
    return ask(gateway, m.UPLOAD_FINISH, m.UploadFinish(number(n)), UploadReceipt)


def upload(gateway: Gateway, n: int, data: bytes, summary: BodySummary, keep_until_ms: int = KEEP_MS) -> UploadReceipt:
    begin(gateway, n, summary, keep_until_ms)
    for offset in range(0, len(data), PART_BYTES):
        part(gateway, n, offset, data[offset : offset + PART_BYTES])
    return finish(gateway, n)


def read(gateway: Gateway, digest: bytes, offset: int = 0, count: int = PART_BYTES) -> bytes:
    return bytes(ask(gateway, m.BODY_RANGE, m.BodyRangeRequest(digest, offset, count), m.BodyRange).data)


def find(gateway: Gateway, by: str, value: bytes, after: int = 0, limit: int = m.FOUND_MAX) -> m.Found:
    return ask(gateway, m.FIND, m.Find(by, value, after, limit), m.Found)


def request_naming(
    summary: BodySummary, receipt: UploadReceipt, a: Scalar | None = None, doctor: str = "clinic/dr-1", sn: int = 1
) -> ConsultationRequest:
    """A request that names a body; its seals are not the cloud's business and hold rubbish."""
    a = a or random_scalar(seeded(summary.digest + sn.to_bytes(2, "big")))
    return ConsultationRequest(
        PID1=(summary.digest * 3)[:92], ID_D=doctor, A=base_mul(a).encode(), digest=summary.digest, size_bytes=summary.size_bytes,
        M1=bytes(144), M2=bytes(32), sn=sn, S=bytes(152), S_D=bytes(212), cm=bytes(32), nf=bytes(32), epoch=1,
        valid_until_ms=START_MS, U=receipt,
    )  # fmt: skip


def reply_naming(summary: BodySummary, receipt: UploadReceipt, a_D: Scalar, h1: bytes) -> ConsultationReply:
    return ConsultationReply(
        PID2=bytes(92), ID_D="clinic/dr-1", A_D=base_mul(a_D).encode(), digest=summary.digest, size_bytes=summary.size_bytes,
        M_k1=bytes(64), M_k2=bytes(32), sn=1, h1=h1, U=receipt,
    )  # fmt: skip


def committed(*transactions: ConsultationRequest | ConsultationReply) -> list[CommittedTransaction]:
    return [CommittedTransaction(t.KIND, t.tx_hash(), t.encode()) for t in transactions]
