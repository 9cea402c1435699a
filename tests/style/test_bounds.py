"""Every bound of what comes from outside says why it is what it is."""

from __future__ import annotations

import ast
import re

import pytest

from support.sources import python_files, tree

BOUND = re.compile(r"_?[A-Z0-9_]*(_MAX|_AT_A_TIME|_KEPT)|MAX_[A-Z0-9_]+")
"""Names of constants that bound a list, a loop, a depth or a size."""
PACKAGES = ("src/salus/abpre", "src/salus/search", "src/salus/cloud", "src/salus/node/sharing")


def bounds(name: str) -> list[tuple[str, bool]]:
    """Bounds that a module defines, and whether a sentence follows; one sentence may stand behind several."""
    found: list[tuple[str, bool]] = []
    waiting: list[str] = []
    for node in tree(name).body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and BOUND.fullmatch(target.id):
                waiting.append(target.id)
                continue
        told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        found += [(bound, told) for bound in waiting]
        waiting = []
    return found + [(bound, False) for bound in waiting]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_bound_has_a_reason(package: str) -> None:
    names = [name for name in python_files("src") if name.startswith(package + "/")]
    found = [(f"{name} {bound}", told) for name in names for bound, told in bounds(name)]
    assert len(found) > 2
    assert [bound for bound, told in found if not told] == []
