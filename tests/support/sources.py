"""The tracked files of the checkout, and their syntax trees."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> list[str]:
    """Paths of the files that git tracks and that are there; without git, of all files that no build made."""
    made = {
        ".venv",
        "target",
        "site",
        "build",
        "dist",
        "__pycache__",
        ".git",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
    }
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        names = [name for name in listing.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not made.intersection(path.relative_to(ROOT).parts)]
    return sorted(name for name in names if (ROOT / name).is_file())


def python_files(*folders: str) -> list[str]:
    """The tracked Python files below some folders."""
    return [name for name in tracked() if name.endswith(".py") and name.split("/")[0] in folders]


@cache
def text(name: str) -> str:
    """A tracked file's text; bytes that are no UTF-8 are replaced."""
    return (ROOT / name).read_text("utf-8", errors="replace")


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a Python file, in the oldest Python that the project runs on."""
    return ast.parse(text(name), name, feature_version=(3, 11))
