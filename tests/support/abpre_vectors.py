"""Vectors of abpre-1 from explicit choices: every operation, every intermediate value that has a name.

``python tests/support/abpre_vectors.py tests/vectors`` writes ``abpre_*.json`` anew; a change of any byte is a change of the
protocol. ``tests/vectors/test_vectors_abpre.py`` compares, and recomputes them with the slow twin.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from salus import labels
from salus.abpre import capsules as cp
from salus.abpre import hashing
from salus.abpre.checking import check, check2
from salus.abpre.encapsulation import (
    delta_secret_of,
    encapsulate_delta_deterministic,
    encapsulate_deterministic,
    secret_of,
)
from salus.abpre.explain import explain
from salus.abpre.keys import SecretKey, key_gen_deterministic, restrict_deterministic
from salus.abpre.language import parse
from salus.abpre.opening import decapsulate, open_delta, re_decrypt
from salus.abpre.parameters import setup_deterministic
from salus.abpre.policy import PolicyError, record_policy
from salus.abpre.rekeys import Coins, re_encrypt, rekey_gen
from salus.abpre.span import kernel, reconstruct, span_program
from salus.groups.bls12_381 import Fr

SCOPE = hashlib.sha256(b"vector scope").digest()
RECORD_AAD = b"vector network, record and scope"
DELEGATION_AAD = b"vector delegation"
SHARING = "(role:doctor@2026 and dept:cardiology@2026) or 2 of (site:a@2026, site:b@2026, cert:icu@2026)"
TO = "inst:h9@2026 and role:researcher@2026"
KEY = hashlib.sha256(b"vector key").digest()
POLICIES = (
    "role:doctor@2026",
    "a:x and b:y and c:z",
    "a:x or b:y or c:z",
    "2 of (a:x, b:y, c:z)",
    SHARING,
    "a:x and (b:y or 3 of (c:z, d:u, a:x, e:v, f:w))",
)
REFUSED = (
    "", "a:x or", "a:x b:y", "(a:x",
    "a:x)", "2 of (a:x)", "0 of (a:x, b:y)", "A:x", "doctor", "a:x@26", "own:12", "and", "a:x,b:y",
    "2 a:x",
)  # fmt: skip


def scalar(name: str) -> Fr:
    """A secret named by what it is."""
    return Fr.reduce(hashlib.sha512(f"vector {name}".encode()).digest())


def octets(name: str) -> bytes:
    return hashlib.sha256(f"vector {name}".encode()).digest()


def key_of(key: SecretKey) -> dict[str, Any]:
    return {
        "K": key.K.encode().hex(),
        "L": key.L.encode().hex(),
        "parts": {x: p.encode().hex() for x, p in key.parts.items()},
        "encoded": key.encode().hex(),
    }


def policies() -> dict[str, Any]:
    """Texts, matrices, coefficients and refusals."""
    out = []
    for text in POLICIES:
        policy = parse(text)
        count = iter(range(1, 1000))
        out.append(
            {
                "text": policy.text,
                "rows": list(policy.rows),
                "width": span_program(policy).width,
                "matrix": [[list(entry) for entry in row] for row in span_program(policy).rows],
                "weights_of_all": {str(row): w for row, w in (reconstruct(policy, policy.attributes) or {}).items()},
                "kernel_c_1000_draws_1_2_3": kernel(policy, 1000, lambda count=count: next(count)),
                "missing_of_none": list(explain(policy, ()).missing),
            }
        )
    refused = []
    for text in REFUSED:
        try:
            parse(text)
        except PolicyError as error:
            refused.append({"text": text, "position": error.position, "reason": error.reason})
    return {"policies": out, "refused": refused}


def scheme() -> dict[str, Any]:
    """Setup to ReDecrypt."""
    parameters, master = setup_deterministic(scalar("alpha"))
    policy = record_policy(SCOPE, parse(SHARING))
    own = policy.rows[0]
    owner = key_gen_deterministic(master, [own, "role:patient@2026"], scalar("t of the owner"))
    doctor = key_gen_deterministic(master, ["role:doctor@2026", "site:a@2026", "cert:icu@2026"], scalar("t of the doctor"))
    reader = key_gen_deterministic(master, ["inst:h9@2026", "role:researcher@2026"], scalar("t of the reader"))
    sub = restrict_deterministic(owner, [own], scalar("t' of the delegation"))

    capsule = encapsulate_deterministic(parameters, policy, KEY, octets("b"), RECORD_AAD)
    stored = check(capsule, RECORD_AAD)
    coins = Coins(octets("delta"), octets("b of rk4"), scalar("theta"))
    rekey = rekey_gen(parameters, sub, parse(TO), DELEGATION_AAD, coins)
    rk4 = check2(rekey.rk4, DELEGATION_AAD)
    A4 = re_encrypt(rekey, stored)
    assert decapsulate(parameters, owner, stored) == decapsulate(parameters, doctor, stored) == KEY
    assert re_decrypt(parameters, reader, stored, A4, rk4) == KEY
    assert open_delta(parameters, reader, rk4) == coins.delta
    delta_capsule = encapsulate_delta_deterministic(parameters, parse(TO), coins.delta, coins.b, DELEGATION_AAD)
    assert delta_capsule.encode() == rekey.rk4.encode()
    context, delta_context = cp.context_of(policy, RECORD_AAD), cp.delta_context_of(parse(TO), DELEGATION_AAD)
    return {
        "hashes": {
            "A": hashing.point_a().encode().hex(),
            "g~": hashing.point_g_tilde().encode().hex(),
            "H": {x: hashing.attribute_point(x).encode().hex() for x in (*policy.attributes, *parse(TO).attributes)},
            "H5(delta)": hashing.h5(coins.delta).encode().hex(),
        },
        "setup": {
            "alpha": scalar("alpha").encode().hex(),
            "Y": parameters.Y.encode().hex(),
            "encoded": parameters.encode().hex(),
        },
        "key_gen": {"owner": key_of(owner), "doctor": key_of(doctor), "reader": key_of(reader)},
        "restrict": key_of(sub),
        "encapsulate": {
            "policy": policy.text,
            "key": KEY.hex(),
            "b": octets("b").hex(),
            "aad": RECORD_AAD.hex(),
            "context": context.hex(),
            "s": secret_of(KEY + octets("b"), context).encode().hex(),
            "A1": capsule.A1.hex(),
            "A2": capsule.encoded_A2.hex(),
            "A3": capsule.encoded_A3.hex(),
            "D": capsule.encoded_D.hex(),
            "encoded": capsule.encode().hex(),
        },
        "encapsulate_delta": {
            "policy": TO,
            "delta": coins.delta.hex(),
            "b": coins.b.hex(),
            "aad": DELEGATION_AAD.hex(),
            "s": delta_secret_of(coins.delta + coins.b, delta_context).encode().hex(),
            "encoded": rekey.rk4.encode().hex(),
        },
        "rekey_gen": {
            "theta": coins.theta.encode().hex(),
            "rk1": rekey.rk1.encode().hex(),
            "rk2": rekey.rk2.encode().hex(),
            "rk3": rekey.rk3.encode().hex(),
            "R": {x: p.encode().hex() for x, p in rekey.parts.items()},
            "encoded": rekey.encode().hex(),
        },
        "re_encrypt": {"A4": A4.encode().hex()},
        "re_decrypt": {"key": KEY.hex()},
    }


def files() -> dict[str, str]:
    """Name -> text of each vector file."""
    head = {"suite": labels.SUITE_ABPRE, "version": 1}
    parts = {"abpre_policies.json": policies(), "abpre_scheme.json": scheme()}
    return {name: json.dumps({**head, **part}, indent=1, sort_keys=True) + "\n" for name, part in parts.items()}


if __name__ == "__main__":
    for file, content in files().items():
        (Path(sys.argv[1]) / file).write_text(content)
