"""mkdocs hook: links of the documentation to files of the checkout (``../../tests/..``) work in the rendered site too.

In a checkout such a link points at the file itself. The site holds a copy of every file that is linked, as plain text below
``source/``, and the link points there. A link to a file that is not there is a warning, which ``--strict`` makes an error.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

LINK = re.compile(r"\]\((?P<path>(?:\.\./)+[\w./-]+\.(?:py|rs|toml|json))\)")
BELOW = "source"

log = logging.getLogger("mkdocs.hooks.source_links")


def _target(page: str, link: str) -> str | None:
    """The linked file, from the root of the checkout; None if it is a page of the documentation."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith(("docs/", "../")) else path


def on_files(files: Any, config: Any) -> Any:
    """Add a copy of every linked file to the site."""
    root = Path(config.config_file_path).parent
    linked = {
        (page.src_uri, link["path"])
        for page in files.documentation_pages()
        for link in LINK.finditer(Path(page.abs_src_path).read_text(encoding="utf-8"))
    }
    targets = {(page, target) for page, link in linked if (target := _target(page, link)) is not None}
    missing = {target for _, target in targets if not (root / target).is_file()}
    for page, target in sorted(targets):
        if target in missing:
            log.warning("%s links to %s, which is not in the checkout", page, target)
    for target in sorted({target for _, target in targets} - missing):
        files.append(File.generated(config, f"{BELOW}/{target}.txt", content=(root / target).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point the links at the copies."""

    def replaced(match: re.Match[str]) -> str:
        target = _target(page.file.src_uri, match["path"])
        if target is None:
            return match[0]
        return f"]({posixpath.relpath(f'{BELOW}/{target}.txt', posixpath.dirname(page.file.src_uri) or '.')})"

    return LINK.sub(replaced, markdown)
