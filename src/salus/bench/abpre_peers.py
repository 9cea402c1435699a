"""The scheme beside a peer: CIRCL's tkn20 (Go), run in the same minute where Go and its modules are there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from salus.bench.abpre_scheme import POLICIES
from salus.bench.model import Cell, Context, Part, Section, Target

PROGRAM: Final = Path(__file__).resolve().parents[3] / "bench" / "peers" / "tkn20"
"""Source of the Go program; in an installed package it is not there, and the peer is not measured."""
BUILD_S: Final = 300
RUN_S: Final = 600
_COMPARED: Final = (
    ("key generation", ("key_gen",), "key_gen_ms"),
    ("encryption", ("encapsulate",), "encrypt_ms"),
    ("decryption", ("decode", "decapsulate"), "decrypt_ms"),
)
"""What is compared, our operations and the peer's figure; the peer decrypts from bytes, so ours decodes too."""
_SIMPLE: Final = tuple(name for name, (policy, _) in POLICIES.items() if "of (" not in policy.text)
"""tkn20 has and, or and not, and no thresholds."""


def peers(context: Context) -> Part:
    """Key generation, encryption and decryption of both; a target for each conjunction: ours is faster."""
    names = _SIMPLE[:1] if context.quick else _SIMPLE
    measured, why_not = _tkn20(context, names)
    columns = ("policy", "operation", "salus_ms", "tkn20_ms", "tkn20_over_salus", "tkn20_ciphertext_bytes")
    rows: list[tuple[Cell, ...]] = []
    targets = []
    for name in names:
        theirs = measured.get(name)
        for what, operations, theirs_name in _COMPARED:
            ours = sum(context.measured_ms[f"{name} {operation}"] for operation in operations)
            other = theirs[theirs_name] if theirs else None
            ratio = other / ours if other else None
            rows.append((name, what, ours, other, ratio, theirs["ciphertext_bytes"] if theirs else None))
            if ratio is not None and name.startswith("AND"):
                targets.append(Target(f"{what}, {name}, faster than tkn20", ratio, 1.0, at_least=True))
    notes = [
        "tkn20: github.com/cloudflare/circl/abe/cpabe/tkn20 v1.6.5, one core, a 32-byte message, secure against chosen"
        " ciphertexts as ours is. Adaptive security is proven for it, selective for ours; it does not re-encrypt.",
        "Decryption: from bytes. Ours opens a capsule that the ledger says was checked; who checks it again adds Check.",
    ]
    if why_not:
        notes.append(f"tkn20 was not measured: {why_not}.")
    return Part((Section("abpre-peers", "Beside CIRCL tkn20", columns, tuple(rows), tuple(notes)),), tuple(targets))


def _tkn20(context: Context, names: tuple[str, ...]) -> tuple[dict[str, dict[str, Any]], str]:
    """What the Go program prints, by name; or why it could not run."""
    go = shutil.which("go")
    if go is None or not PROGRAM.is_dir():
        return {}, "no Go compiler here" if go is None else "its program is not part of an installed package"
    binary = context.work / "tkn20"
    environment = dict(os.environ, GOFLAGS="-mod=readonly -buildvcs=false")
    arguments = [str(binary), "0.2" if context.quick else "2"]
    for name in names:
        policy, held = POLICIES[name]
        attributes = ",".join(_renamed(x) + ":yes" for x in policy.attributes[held])
        text = policy.text
        for x in sorted(policy.attributes, key=len, reverse=True):
            text = text.replace(x, f"{_renamed(x)}:yes")
        arguments += [name, text, attributes]
    try:
        subprocess.run(  # noqa: S603  (the compiler found on the path, on our own source)
            [go, "build", "-o", str(binary), "."], cwd=PROGRAM, env=environment, check=True, capture_output=True, timeout=BUILD_S
        )
        done = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=RUN_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {}, "it took too long"
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        last = (said if isinstance(said, str) else said.decode(errors="replace")).strip().splitlines()[-1:]
        return {}, f"it does not build or run here ({' '.join(last) or error})"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}, ""


def _renamed(attribute: str) -> str:
    """tkn20 gives each name one value: the attribute ``attr:x7`` is the name ``attrx7`` with the value ``yes``."""
    return attribute.replace(":", "")
