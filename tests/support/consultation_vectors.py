"""Vectors of mbpa-r1 from explicit secrets: one visit and one deal, every intermediate value.

``python tests/support/consultation_vectors.py > tests/vectors/consultation_r1.json`` writes them anew; a change of any
byte is a change of the protocol. ``tests/vectors/test_vectors_consultation.py`` compares, and recomputes them from the steps.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from salus import labels
from salus.codec import encode
from salus.consultation import credentials as cr
from salus.consultation import shared_value as sv
from salus.consultation.appointments import SlotKey
from salus.consultation.receipts import sign_upload
from salus.consultation.registration import Domain, MemberKey, SecretValue, issue_partial_key
from salus.consultation.reply import ReplyDraft
from salus.consultation.request import RequestContext, RequestDraft, open_at_node, open_request
from salus.groups.ristretto255 import Scalar, base_mul

NETWORK = hashlib.sha256(b"vector network").digest()
BODY_DIGEST = hashlib.sha256(b"vector body").digest()
PAYLOAD_DIGEST = hashlib.sha256(b"vector payload").digest()
NOW_MS = 1_760_000_000_000


class Counter:
    """Bytes of SHAKE-256 over a name and a running number."""

    def __init__(self, name: str) -> None:
        self.name, self.calls = name, 0

    def __call__(self, count: int, /) -> bytes:
        self.calls += 1
        return hashlib.shake_256(f"{self.name}/{self.calls}".encode()).digest(count)


def scalar(name: str) -> Scalar:
    """A secret named by what it is."""
    return Scalar.reduce(hashlib.sha512(f"vector {name}".encode()).digest())


def member(role: str, name: str, w: Scalar) -> MemberKey:
    secret = SecretValue(scalar(f"x of {name}"))
    partial = issue_partial_key(w, role, name, 0, secret.P, Counter(f"q of {name}"))
    return MemberKey.finish(role, name, secret, partial, base_mul(w))


def build() -> dict[str, Any]:
    """Everything, as hex."""
    w = scalar("w")
    domain = Domain(NETWORK, base_mul(w).encode())
    doctor, cloud = member("doctor", "hosp/dr", w), member("cloud", "store/cloud", w)
    slot = SlotKey(7, scalar("e_sn"))
    theta = scalar("theta")
    context = RequestContext(3, base_mul(theta).encode(), doctor.W_bytes, slot.E)

    secret = SecretValue(scalar("x of the credential"))
    pid = cr.PidKeys(w, NETWORK).seal("alice", 8103, 5)
    partial = issue_partial_key(w, "patient", cr.pid_digest(pid), 8103, secret.P, Counter("q of the credential"))
    s = secret.x + Scalar.decode(partial.y)
    credential = cr.Credential(secret.P, partial.Q, pid, 8103, 5, s)

    draft = RequestDraft.begin(domain, credential, "hosp/dr", 7, context, NOW_MS + 60_000, Counter("request"))
    U = sign_upload(NETWORK, cloud, BODY_DIGEST, 1234, NOW_MS + 10**9, Counter("upload"))
    request, pending = draft.finish(BODY_DIGEST, 1234, U, PAYLOAD_DIGEST, Counter("signature"))
    at_node = open_at_node(domain, request, context, theta)
    opened = open_request(domain, request, context, doctor, slot)
    answer = ReplyDraft.begin(NETWORK, doctor, opened, Counter("reply"))
    reply = answer.finish(BODY_DIGEST, 1234, U, Counter("reply signature"))
    return {
        "network": NETWORK.hex(),
        "Pub": domain.Pub_bytes.hex(),
        "doctor": {"s": doctor.s.encode().hex(), "P": doctor.P.hex(), "Q": doctor.Q.hex(), "W": doctor.W_bytes.hex()},
        "slot": {"sn": 7, "e": slot.e.encode().hex(), "E": slot.E.hex()},
        "epoch": {"theta": theta.encode().hex(), "pk_BC": context.pk_BC.hex()},
        "credential": {
            "pid": pid.hex(), "hp": credential.hp.hex(), "P": credential.P.hex(), "Q": credential.Q.hex(),
            "y": partial.y.hex(), "s": credential.s.encode().hex(), "W": credential.W.hex(),
            "alpha": at_node.alpha.encode().hex(),
        },
        "request": {
            "a": pending.a.encode().hex(), "g": opened.sender.g.hex(), "I": at_node.I.encode().hex(),
            "B": at_node.B.encode().hex(), "c": at_node.c.encode().hex(), "z": at_node.z.encode().hex(),
            "k_enc": opened.body_key.hex(),
            "k_mac": draft.keys.k_mac.hex(), "k_pid": draft.keys.k_pid.hex(), "t0": encode(opened.statement.t0).hex(),
            "content_sha512": hashlib.sha512(encode(opened.statement.content)).hexdigest(),
            "transaction": request.encode().hex(), "h1": request.tx_hash().hex(),
        },
        "reply": {
            "a_D": answer.a_D.encode().hex(), "k_enc": answer.keys.k_enc.hex(), "k_mac": answer.keys.k_mac.hex(),
            "k_pid": answer.keys.k_pid.hex(), "t0": encode(answer.t0).hex(), "transaction": reply.encode().hex(),
            "hash": reply.tx_hash().hex(),
        },
        "deal": deal(w),
    }  # fmt: skip


def deal(w: Scalar) -> dict[str, Any]:
    nodes = [member("node", f"org{i}/node", w) for i in range(4)]
    secrets = [sv.EpochSecret(3, scalar(f"e of {n.name}")) for n in nodes]
    seats = [sv.Seat(n.name, n.W_bytes, e.E) for n, e in zip(nodes, secrets, strict=True)]
    made, theta = sv.deal_with(NETWORK, 3, nodes[1], seats, scalar("r"), scalar("theta"), Counter("deal"))
    assert all(sv.open_deal(NETWORK, made, n, e) == theta for n, e in zip(nodes, secrets, strict=True))
    return {
        "seats": [{"name": s.name, "W": s.W.hex(), "E": s.E.hex()} for s in seats],
        "r": scalar("r").encode().hex(),
        "theta": theta.encode().hex(),
        "message": made.encode().hex(),
        "digest": made.digest().hex(),
    }


def as_text() -> str:
    return json.dumps({"suite": labels.SUITE_R1, "version": 1, **build()}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(as_text(), end="")
