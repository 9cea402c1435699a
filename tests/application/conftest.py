from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from unit.small_disk import mounted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many KiB."""
    with ExitStack() as stack:
        yield lambda size_kib: stack.enter_context(mounted(tmp_path / "disk", size_kib))
