"""Write the pages of docs/reference that are made from the code: `make reference`. With --check, only compare."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import salus
from salus import errors
from salus.cli.reference import page as cli_page
from salus.codec import Size, message_types
from salus.config import CONFIG_VARIABLE, PASSPHRASE_VARIABLE, SETTINGS

DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "reference"
MADE = "<!-- Made by `make reference`; change the code instead. -->\n\n"


REASONS_HEAD = """# Reason codes

Why a party refused something. The code crosses process boundaries and appears in `--json` output; the sentence is what
a person reads, unless the refusal says more precisely what was wrong.

| Code | Meaning, and what to do |
|---|---|
"""

CONFIGURATION_HEAD = f"""# Configuration

Every setting can be given as an option of the command, in the environment, or in a TOML file; the first of these that
has it counts. The file is named by `{CONFIG_VARIABLE}`; otherwise `salus/config.toml` in the user's configuration directory
(`XDG_CONFIG_HOME`, else `~/.config`) is read if it exists. Paths in the file are relative to the file. A setting that is
unknown or out of range is an error, not a warning.

| In the file | Environment | Option | Meaning |
|---|---|---|---|
"""

CONFIGURATION_TAIL = f"""
`{PASSPHRASE_VARIABLE}` holds the passphrase itself, for programs that cannot write a file; `--passphrase-file` goes before
it. It cannot be written into the configuration file. Without any of them the command asks on the terminal.

```toml
home = "network"
party = "st-mary/dr-lee"
passphrase_file = "passphrase"

[log]
level = "info"
format = "json"

[network]
nodes = 7
```

What the replicas must agree on (validity, grace, notice, epochs) is no setting: it stands in the genesis of a network.
"""

MESSAGES_HEAD = """# Messages

Everything that is hashed, signed, sent or stored is a message: the canonical encoding of the tuple
*kind, version, field, field, ..*. Here is each with its fields and their bounds. A value is one of

| Value | Encoding |
|---|---|
| nothing | `n` |
| integer from 0 to 2^64 - 1 | `i`, 8 bytes, most significant first |
| bytes | `b`, length in 4 bytes, content |
| text | `s`, length in 4 bytes, UTF-8 |
| tuple | `t`, count in 4 bytes, values |

nested at most 16 deep, at most 2^20 elements in a tuple, at most 64 MiB in all. Bytes that follow, lengths out of
bounds, other types and unknown kinds are refused, so that every message has exactly one encoding.
"""


def reasons_page() -> str:
    """The registry of reason codes."""
    rows = [f"| `{code}` | {cell(meaning)} |\n" for code, meaning in sorted(errors.REASONS.items())]
    return MADE + REASONS_HEAD + "".join(rows)


def configuration_page() -> str:
    """Every setting and where it can be given."""
    rows = [f"| `{s.name}` | `{s.variable}` | `{s.option}` | {cell(s.meaning)} |\n" for s in SETTINGS]
    return MADE + CONFIGURATION_HEAD + "".join(rows) + CONFIGURATION_TAIL


def messages_page() -> str:
    """Every message with its fields and bounds."""
    for module in pkgutil.walk_packages(salus.__path__, "salus."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    types = [t for t in message_types() if t.__module__.startswith("salus.")]
    lines: list[str] = []
    for cls in sorted(types, key=lambda t: (t.KIND, t.VERSION)):
        lines += ["", f"## `{cls.KIND}` version {cls.VERSION}", "", first_line(cls), "", f"`{cls.__module__}.{cls.__qualname__}`"]
        if cls.__struct_fields__:
            hints = get_type_hints(cls, include_extras=True)
            lines += ["", "| Field | Type |", "|---|---|"]
            lines += [f"| `{name}` | {cell(shape(hints[name]))} |" for name in cls.__struct_fields__]
    return MADE + MESSAGES_HEAD + "\n".join(lines) + "\n"


def first_line(cls: type[Any]) -> str:
    """The first sentence of a docstring."""
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split()).replace("``", "`")


def shape(hint: Any) -> str:
    """A field's declaration in words."""
    bound: Size | None = None
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        bound = next((e for e in extra if isinstance(e, Size)), None)
    if hint is int:
        return "integer"
    if bound is not None and hint in (bytes, str):
        return f"{span(bound)} {'bytes' if hint is bytes else 'characters'}"
    if bound is not None and get_origin(hint) is tuple:
        return f"{span(bound)} times: {shape(get_args(hint)[0])}"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join("nothing" if choice is NoneType else shape(choice) for choice in get_args(hint))
    return f"`{hint.KIND}`"


def span(bound: Size) -> str:
    """A bound in words."""
    return f"{bound.at_least:,}" if bound.at_least == bound.at_most else f"{bound.at_least:,} to {bound.at_most:,}"


def cell(text: str) -> str:
    """Text that fits into a table cell."""
    return text.replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "reasons.md": reasons_page,
    "configuration.md": configuration_page,
    "messages.md": messages_page,
    "cli.md": lambda: MADE + cli_page(),
}


def differing() -> Iterator[str]:
    """Names of the pages that are not as the code would make them."""
    for name, make in PAGES.items():
        path = DIRECTORY / name
        if not path.is_file() or path.read_text("utf-8") != make():
            yield name


def main() -> int:
    """Write the pages, or with --check say which differ (exit status 1)."""
    if sys.argv[1:] == ["--check"]:
        names = list(differing())
        for name in names:
            print(f"docs/reference/{name} is out of date; run make reference", file=sys.stderr)
        return 1 if names else 0
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (DIRECTORY / name).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
