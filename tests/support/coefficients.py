"""The coefficients that the checks of the sharing scheme hash from what they check: recorded, and written down as vectors.

``python -m support.coefficients`` in ``tests`` writes ``vectors/coefficients_*.json`` anew; a change of any byte is a change
of the protocol. ``tests/vectors/test_vectors_coefficients.py`` compares, and computes them by the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from salus import labels
from salus.abpre import checking, hashing
from salus.abpre.capsules import Capsule, DeltaCapsule
from salus.abpre.checking import check, check2, check_batch
from salus.abpre.encapsulation import encapsulate_delta_deterministic, encapsulate_deterministic
from salus.abpre.keys import SecretKey, check_key, key_gen_deterministic, restrict_deterministic
from salus.abpre.language import parse
from salus.abpre.parameters import setup_deterministic
from salus.abpre.rekeys import Coins, ReKey, check_parts, rekey_gen
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.groups import multi_signatures as bls
from support.abpre_vectors import DELEGATION_AAD, KEY, RECORD_AAD, SHARING, TO, octets, scalar
from support.consultation_world import weaken
from support.threshold_world import NETWORK, Holders, World, names

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
POLICIES = (SHARING, "a:x or b:y or c:z", "a:x and (b:y or d:u)")
"""Of the three capsules of the batch; the first has a threshold, so its weights are plain integers."""
ATTRIBUTES = ("dept:cardiology", "role:doctor@2026", "site:a@2026")


@dataclass(frozen=True)
class Drawn:
    """One call of the hash: what it hashes, and what comes out, 16 bytes for each coefficient."""

    label: str
    data: bytes
    out: bytes

    @property
    def coefficients(self) -> list[int]:
        return [int.from_bytes(self.out[i : i + 16], "big") for i in range(0, len(self.out), 16)]


@contextmanager
def drawn() -> Iterator[list[Drawn]]:
    """Records what is drawn, and changes nothing."""
    calls: list[Drawn] = []
    made = hashing.coefficient_bytes

    def record(label: str, data: bytes, count: int) -> bytes:
        calls.append(Drawn(label, data, made(label, data, count)))
        return calls[-1].out

    with pytest.MonkeyPatch.context() as patch:
        weaken(patch, made, record)
        yield calls


@contextmanager
def kernels() -> Iterator[list[list[int]]]:
    """Records z of each capsule that is checked."""
    found: list[list[int]] = []
    made = checking.kernel

    def record(policy: Any, c: int, draw: Callable[[], int]) -> list[int]:
        found.append(made(policy, c, draw))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "kernel", record)
        yield found


# --- the objects of the vectors ---


def capsules() -> list[Capsule]:
    """Three of different policies."""
    parameters, _ = setup_deterministic(scalar("alpha"))
    made = [encapsulate_deterministic(parameters, parse(p), KEY, octets(f"b {n}"), RECORD_AAD) for n, p in enumerate(POLICIES)]
    return [Capsule.decode(capsule.encode()) for capsule in made]


def delta_capsules() -> list[DeltaCapsule]:
    """Two."""
    parameters, _ = setup_deterministic(scalar("alpha"))
    policies = (TO, "inst:h1@2026 or inst:h2@2026")
    coins = [(octets(f"delta {n}"), octets(f"b' {n}")) for n in range(len(policies))]
    return [
        encapsulate_delta_deterministic(parameters, parse(policy), delta, b, DELEGATION_AAD)
        for policy, (delta, b) in zip(policies, coins, strict=True)
    ]


def key() -> SecretKey:
    """Of three attributes."""
    return key_gen_deterministic(setup_deterministic(scalar("alpha"))[1], ATTRIBUTES, scalar("t of coefficients"))


def rekey() -> ReKey:
    """Of two attributes."""
    parameters, _ = setup_deterministic(scalar("alpha"))
    sub = restrict_deterministic(key(), ATTRIBUTES[:2], scalar("t' of coefficients"))
    coins = Coins(octets("delta"), octets("b of rk4"), scalar("theta"))
    return rekey_gen(parameters, sub, parse(TO), DELEGATION_AAD, coins)


@dataclass(frozen=True)
class Dealt:
    """A committee of four, a deal of alpha to it, and a partial key of its third node."""

    holders: Holders
    deal: al.AlphaDeal
    request: ki.KeyRequest
    partial: kc.PartialKey

    @classmethod
    def make(cls) -> Dealt:
        holders = World("coefficient vectors").holders(1, names(4)).deal_all()
        deal = holders.alpha_deal(2)
        request, box_key = holders.request(ATTRIBUTES)
        partial = kc.open_partial_key(NETWORK, holders.committee, request, box_key, holders.issue(request, 3))
        return cls(holders, deal, request, partial)


def signed() -> list[bls.Signed]:
    """Three signatures, of one, two and three signers."""
    secrets = [scalar(f"signer {n}").encode() for n in range(3)]
    publics = [hashing.table_g2().mul(scalar(f"signer {n}")).encode() for n in range(3)]
    out = []
    for n in range(3):
        message = f"vector message {n}".encode()
        signature = bls.aggregate([bls.sign(secret, message) for secret in secrets[: n + 1]])
        out.append((tuple(publics[: n + 1]), message, signature))
    return out


# --- the files ---


def check_vectors(type_2: bool, items: list[Any]) -> dict[str, Any]:
    """Of Check or Check2 on a batch."""
    aad = DELEGATION_AAD if type_2 else RECORD_AAD
    with drawn() as calls, kernels() as found:
        if len(items) == 1:
            (check2 if type_2 else check)(items[0], aad)
        else:
            (checking.check2_batch if type_2 else check_batch)([(item, aad) for item in items])
    out: dict[str, Any] = {"label": calls[-1].label, "aad": aad.hex(), "capsules": []}
    if not type_2:
        out["kappa"] = calls.pop(0).out.hex()
    out["seed"] = calls[0].data[:-4].hex()
    for item, call, z in zip(items, calls, found, strict=True):
        text = {"encoded": item.encode().hex(), "stream": call.out.hex(), "z": [str(value) for value in z]}
        out["capsules"].append(text)
    return out


def simple(calls: list[Drawn]) -> dict[str, Any]:
    (call,) = calls
    return {"label": call.label, "c": [call.out[i : i + 16].hex() for i in range(0, len(call.out), 16)]}


def files() -> dict[str, str]:
    """Name -> text of each vector file."""
    parameters, _ = setup_deterministic(scalar("alpha"))
    dealt = Dealt.make()
    assert dealt.holders.alpha is not None
    parts = {
        "check": check_vectors(False, capsules()[:1]),
        "check2": check_vectors(True, delta_capsules()[:1]),
        "check_batch": check_vectors(False, capsules()),
        "check2_batch": check_vectors(True, delta_capsules()),
    }
    with drawn() as calls:
        check_key(parameters, key())
    parts["check_key"] = simple(calls) | {"key": key().encode().hex()}
    with drawn() as calls:
        check_parts(rekey().rk3, rekey().parts)
    public = {"rk3": rekey().rk3.encode().hex(), "R": {x: point.encode().hex() for x, point in rekey().parts.items()}}
    parts["check_parts"] = simple(calls) | public
    with drawn() as calls:
        kc.check_partial_key(NETWORK, dealt.request, dealt.holders.alpha, dealt.partial)
    parts["partial_key"] = simple(calls) | {
        "network": NETWORK.hex(),
        "request": dealt.request.encode().hex(),
        "node": dealt.partial.issued.node,
        "index": dealt.partial.index,
        "encoded": dealt.partial.encoded.hex(),
    }
    with drawn() as calls:
        dealt.holders.check_alpha(dealt.deal)
    public = {"network": NETWORK.hex(), "committee": dealt.holders.committee.encode().hex(), "deal": dealt.deal.encode().hex()}
    parts["alpha_deal"] = simple(calls) | public
    items = [{"keys": [k.hex() for k in keys], "message": m.hex(), "signature": s.hex()} for keys, m, s in signed()]
    weights = [weight.encode()[16:].hex() for weight in bls.batch_weights(signed())]
    parts["signatures"] = {"label": labels.BLS_BATCH, "items": items, "c": weights}
    head = {"suite": labels.SUITE_ABPRE, "version": 1}
    return {f"coefficients_{name}.json": json.dumps(head | part, indent=1, sort_keys=True) + "\n" for name, part in parts.items()}


if __name__ == "__main__":
    for file, content in files().items():
        (VECTORS / file).write_text(content)
