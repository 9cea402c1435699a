"""The page docs/reference/cli.md, made from the program's own help (``make reference``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import typer

from salus.cli.failures import FAILURES
from salus.cli.program import application

WIDTH: Final = 100
HEAD: Final = """# Command line

`salus --home DIR NOUN VERB ..` works on the network that lives in `DIR`, as on an embedded database; one command at a time. Every
command takes the options named at the end of its help, before or after its name.

| Exit status | Meaning |
|---|---|
| 0 | done |
| 1 | failed: one line on stderr says what, where, and what to do |
| 2 | used wrongly: one line on stderr says how |
| 130 | interrupted by Ctrl-C: nothing is half-done, the next command goes on from there |

With `--json` a command prints one JSON object on stdout. If it fails, that object is
`{"error": {"reason": .., "message": ..}}`; the reason is a [reason code](reasons.md) where a party refused something, else one of

| Reason | Meaning |
|---|---|
"""


def page() -> str:
    """The page's content."""
    rows = [f"| `{reason}` | {meaning} |\n" for reason, meaning in FAILURES.items()]
    sections = [f"\n## {path}\n\n```text\n{text}\n```\n" for path, text in helps()]
    return HEAD + "".join(rows) + "".join(sections)


def helps() -> Iterator[tuple[str, str]]:
    """(command line up to the command's name, its help) of every command that does something."""
    yield from _below(typer.main.get_command(application()), "salus", None)


def _below(command: Any, path: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command, info_name=path.split()[-1], parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    )
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command.get_help(context).strip()
        return
    for name, inner in below.items():
        yield from _below(inner, f"{path} {name}", context)
