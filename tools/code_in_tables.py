"""mkdocs hook: ``\\|`` within code in a table, as GitHub wants it, becomes the bar that Python-Markdown wants there."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"`[^`\n]+`")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Unescape bars in the code of table rows."""
    lines = markdown.split("\n")
    return "\n".join(
        _CODE.sub(lambda code: code[0].replace("\\|", "|"), line) if line.startswith("|") else line for line in lines
    )
