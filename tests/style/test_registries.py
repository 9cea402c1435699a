"""Reason codes and labels: what is registered is used, what is used is registered."""

from __future__ import annotations

import ast
import re

from salus import labels
from salus.errors import REASONS
from support.sources import python_files, text, tracked, tree

REGISTRY = "src/salus/errors.py"


def constants(name: str) -> set[str]:
    """Every text constant of a Python file."""
    return {node.value for node in ast.walk(tree(name)) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


# Where a call takes a reason code.
REASON_POSITION = {"Refused": 0, "refuse_unless": 1, "CodecError": 1, "unseal": 3}


def test_every_reason_code_given_is_registered() -> None:
    unknown = []
    for name in python_files("src"):
        for node in ast.walk(tree(name)):
            if not isinstance(node, ast.Call) or called(node) not in REASON_POSITION:
                continue
            position = REASON_POSITION[called(node)]
            given = [a for a in node.args[position : position + 1]] + [k.value for k in node.keywords if k.arg == "reason"]
            for value in given:
                for inner in ast.walk(value):
                    if (
                        isinstance(inner, ast.Constant)
                        and isinstance(inner.value, str)
                        and inner.value
                        and inner.value not in REASONS
                    ):
                        unknown.append(f"{name}:{node.lineno} {inner.value!r}")
    assert unknown == []


def test_every_reason_code_is_given_somewhere() -> None:
    used = set().union(*[constants(name) for name in python_files("src") if name != REGISTRY])
    for name in tracked():
        if name.startswith("rust/src/"):
            used |= set(re.findall(r'"([a-z-]+)"', text(name)))
    assert sorted(set(REASONS) - used) == []


def test_reason_codes_say_something() -> None:
    for code, meaning in REASONS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code), code
        assert meaning.endswith("."), code
        assert len(meaning) > 15, code


LABELS = {name: value for name, value in vars(labels).items() if name.isupper() and isinstance(value, str)}


def test_no_two_labels_are_equal() -> None:
    values = list(LABELS.values())
    assert sorted({value for value in values if values.count(value) > 1}) == []


def test_every_label_is_used() -> None:
    used = set()
    for name in python_files("src"):
        if name == "src/salus/labels.py":
            continue
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Name):
                used.add(node.id)
    assert sorted(set(LABELS) - used) == []


LABELLED = {
    "h2",
    "digest64",
    "kdf",
    "hash_to_scalar",
    "hash_to_point",
    "schnorr_sign",
    "schnorr_verify",
    "dleq_prove",
    "dleq_verify",
}


def test_labels_come_from_the_one_list() -> None:
    """No hash, key derivation or signature is given a label written on the spot."""
    found = []
    for name in python_files("src"):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Call) and called(node) in LABELLED and node.args:
                given = [*node.args[:2], *[k.value for k in node.keywords if k.arg in ("label", "suite")]]
                if any(isinstance(value, ast.Constant) and isinstance(value.value, str) for value in given):
                    found.append(f"{name}:{node.lineno}")
    assert found == []


# Decoders that only tests and the bench use, and those that every other decoder goes through.
NOT_FUZZED_ALONE = {"src/salus/codec.py", "src/salus/groups/reference.py", "src/salus/groups/reference_bls.py"}


def takes_bytes(node: ast.stmt) -> bool:
    """Whether a statement defines a function that decodes bytes."""
    if not isinstance(node, ast.FunctionDef) or not node.args.args:
        return False
    hint = node.args.args[0].annotation
    named = re.match(r"decode|parse|unpack|recognise_bytes", node.name) is not None
    return named and isinstance(hint, ast.Name) and hint.id == "bytes"


def test_every_decoder_of_bytes_is_fuzzed() -> None:
    """Functions that decode, parse or unpack bytes are tried by the fuzzer (messages are, all of them, by their types)."""
    imports = [node for node in tree("tests/support/decoders.py").body if isinstance(node, ast.ImportFrom)]
    fuzzed = {(node.module, alias.name) for node in imports for alias in node.names}
    missing = []
    for name in python_files("src"):
        if name in NOT_FUZZED_ALONE or name.startswith(("src/salus/bench/", "src/salus/sim/")):
            continue
        module = name.removeprefix("src/").removesuffix(".py").replace("/", ".")
        missing += [f"{module}.{f.name}" for f in tree(name).body if takes_bytes(f) and (module, f.name) not in fuzzed]
    assert missing == []
