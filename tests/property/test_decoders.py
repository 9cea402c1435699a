"""Decoders of bytes that are not one message: their valid inputs are accepted, spoilt ones are refused or canonical."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.decoders import OTHER_DECODERS
from support.mutations import mutated


@pytest.mark.parametrize(("run", "seed"), OTHER_DECODERS.values(), ids=OTHER_DECODERS.keys())
@given(data=st.data())
@settings(max_examples=40)
def test_spoilt_bytes_are_refused_or_canonical(run: object, seed: bytes, data: st.DataObject) -> None:
    assert callable(run)
    run(seed)
    run(data.draw(mutated(seed)))
    run(data.draw(st.binary(max_size=100)))
