"""Progress on stderr for whatever takes longer than a second; nothing where stderr is no terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

AFTER_S: Final = 1.0
"""How long a command works in silence."""


class ProgressDisplay:
    """Shows the work of one command. Workers call :meth:`stage`, :meth:`in_bytes` or :meth:`counted`; any thread may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._live: Any = None
        self._task: Any = None
        self._work: tuple[str, int, int, bool] = ("working", 0, 0, False)

    @contextlib.contextmanager
    def shown(self) -> Iterator[ProgressDisplay]:
        """Show what happens inside the block, once it has taken :data:`AFTER_S`."""
        if sys.stderr.isatty():
            self._timer = threading.Timer(AFTER_S, self._appear)
            self._timer.daemon = True
            self._timer.start()
        try:
            yield self
        finally:
            self.hide()

    def hide(self) -> None:
        """Take it off the terminal, e.g. to ask something; it does not come back."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._live is not None:
                self._live.stop()
                self._live = None

    def stage(self, what: str) -> None:
        """Something whose length is not known begins."""
        self._tell(what, 0, 0, False)

    def in_bytes(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes; see :data:`salus.terminal.bodies.Progress`."""
        self._tell(what, done, total, True)

    def counted(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` things."""
        self._tell(what, done, total, False)

    def _tell(self, what: str, done: int, total: int, in_bytes: bool) -> None:
        with self._lock:
            self._work = (what, done, total, in_bytes)
            self._refresh()

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._timer is None:
                return
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
            self._live = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._task = self._live.add_task("", total=None, amount="")
            self._refresh()
            self._live.start()

    def _refresh(self) -> None:
        if self._live is None:
            return
        from salus.cli.screen import size

        what, done, total, in_bytes = self._work
        amount = "" if total <= 1 else f"{size(done)} of {size(total)}" if in_bytes else f"{done} of {total}"
        self._live.update(self._task, description=what, completed=done, total=total or None, amount=amount)
