"""The bench of both flows: its bytes are the chain's whatever the size, and a record that comes back wrong is no figure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from salus.bench.flows import VIAS, Run, measure
from salus.bench.flows_world import FlowWorld, Stages, names_of

CLAIM_BYTES = 300
"""A node's claim in a grant."""
NAME_BYTES = 32
"""Names of check nodes and encodings of heights differ by less."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowWorld]:
    with closing(FlowWorld(tmp_path_factory.mktemp("flows") / "home", 4, 2, os.urandom)) as made:
        yield made


def run(world: FlowWorld, path: Path, size: int) -> Run:
    path.write_bytes(os.urandom(size))
    return measure(world, path, 2, 1)


def test_bytes_on_the_chain_do_not_depend_on_the_records_size(world: FlowWorld, tmp_path: Path) -> None:
    small, large = run(world, tmp_path / "small", 100), run(world, tmp_path / "large", 300_000)
    assert large.stored.body_bytes > 300_000
    assert small.put_bytes == large.put_bytes
    assert list(small.put_bytes) == ["record.put"]
    assert list(small.share_bytes["delegation"]) == ["share.request", "check.verdict", "share.grant"]
    assert list(small.share_bytes["policy"]) == ["share.request", "check.verdict"]
    for via in VIAS:
        for kind, size in small.share_bytes[via].items():
            claims = CLAIM_BYTES if kind == "share.grant" else 0  # of three nodes, or of the fourth as well if it is quick
            assert abs(size - large.share_bytes[via][kind]) <= claims + NAME_BYTES


def test_every_stage_is_there_and_takes_time(world: FlowWorld, tmp_path: Path) -> None:
    one = run(world, tmp_path / "record", 1000)
    assert {"encrypt and digest", "upload", "encapsulate", "check and promise", "consensus"} <= set(one.storing.ms)
    assert {"verdict, partials, grant", "open the capsule", "verify and decrypt"} <= set(one.sharing["policy"].ms)
    assert set(one.sharing["delegation"].ms) - set(one.sharing["policy"].ms) == {"fetch the partials"}
    for stages in (one.storing, *one.sharing.values()):
        assert min(stages.ms.values()) > 0
        assert stages.total_ms == pytest.approx(sum(stages.ms.values()))


def test_a_wrong_key_is_no_figure(world: FlowWorld, tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"pulse 71")
    stored = world.store(tmp_path / "record", names_of(1)[0], Stages())
    with pytest.raises(AssertionError, match="another key"):
        world.share(replace(stored, k=bytes(32)), None, Stages())
