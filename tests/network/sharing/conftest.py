"""A network that shares, and its parties."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.network.embedded import EmbeddedNetwork
from support.embedded import found_network
from support.sharing_network import Sharing


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def world(network: EmbeddedNetwork) -> Sharing:
    return Sharing(network)
