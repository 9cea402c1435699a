"""Pages of the documentation as tests read them: their commands, and what these print there."""

from __future__ import annotations

import re

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
NODES = r"[\w-]+/node-\d(, [\w-]+/node-\d)*"
VARYING = re.compile(
    rf"\b[0-9a-f]{{8,64}}\b|\d{{4}}-\d\d-\d\d( \d\d:\d\d:\d\d)?|\S*clinic\b|write it down: .*|[0-9.]+ (bytes|[KM]iB)|{NODES}"
)


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Each command of the page with the lines that it prints there."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(page):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """A printed line without what differs from run to run: ids, times, sizes, recovery phrase, home, the quickest nodes."""
    return " ".join(VARYING.sub("#", line).split())
