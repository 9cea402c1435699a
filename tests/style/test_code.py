"""Sizes, exceptions, markers and imports that the house rules bound."""

from __future__ import annotations

import ast

import pytest

from support.sources import python_files, text, tracked, tree

MODULE_LINES_MAX = 450
"""About 400, with some room where a cut would part what belongs together."""
FUNCTION_LINES_MAX = 70
Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_max(name: str) -> int:
    """Test files are lists of cases, read one at a time."""
    return MODULE_LINES_MAX + (50 if name.startswith("tests/") else 0)


def test_modules_are_short() -> None:
    names = [
        name
        for name in tracked()
        if name.startswith(("src/", "rust/src/", "tools/", "tests/")) and name.endswith((".py", ".rs", ".pyi"))
    ]
    long = {name: text(name).count("\n") for name in names if text(name).count("\n") > lines_max(name)}
    assert long == {}


def test_functions_are_short() -> None:
    long = {}
    for name in python_files("src", "tools", "tests"):
        for node in ast.walk(tree(name)):
            if isinstance(node, Function) and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX:
                long[f"{name}:{node.lineno} {node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


def test_no_exception_is_swallowed() -> None:
    """No bare ``except``, and no handler that does nothing: ``contextlib.suppress`` names what may be ignored."""
    found = []
    for name in python_files("src", "tools", "tests"):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.ExceptHandler):
                empty = all(
                    isinstance(s, ast.Pass) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in node.body
                )
                if node.type is None or empty:
                    found.append(f"{name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "raise NotImplemented" + "Error", "assert " + "True"])
def test_nothing_is_left_for_later(word: str) -> None:
    assert [name for name in tracked() if name.startswith(("src/", "rust/src/", "tests/")) and word in text(name)] == []


def test_no_test_is_switched_off() -> None:
    """A test may skip itself where the machine lacks something; none is marked to be skipped or to fail."""
    marks = ["mark." + word for word in ("skip(", "skip\n", "xfail")]
    assert [name for name in python_files("tests") if any(mark in text(name) for mark in marks)] == []


def test_the_command_line_starts_without_simulator_and_bench() -> None:
    """They are imported inside the commands that need them, so that every other command starts quickly."""
    found = []
    for name in python_files("src"):
        if name.startswith("src/salus/cli/"):
            for node in tree(name).body:
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("salus.sim", "salus.bench")):
                    found.append(f"{name}:{node.lineno}")
                if isinstance(node, ast.Import) and any(a.name.startswith(("salus.sim", "salus.bench")) for a in node.names):
                    found.append(f"{name}:{node.lineno}")
    assert found == []
