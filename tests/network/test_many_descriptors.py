"""A process with thousands of open files still hears its parties: nothing waits by ``select``, which ends at 1,024."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from salus.network.sockets import is_readable

OLD_LIMIT = 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OLD_LIMIT + 256
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} open files; this test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    held: list[int] = []
    try:
        while not held or held[-1] <= OLD_LIMIT:
            held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_descriptor_of_any_number_is_waited_for(many_files: None) -> None:
    reader, writer = os.pipe()
    try:
        assert reader > OLD_LIMIT
        assert not is_readable(reader, 0)
        os.write(writer, b"x")
        assert is_readable(reader, 0)
        os.read(reader, 1)
        os.close(writer)
        assert is_readable(reader, 1)  # its end is something to read
    finally:
        os.close(reader)
