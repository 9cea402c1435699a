"""The value encoding: native and twin agree, what is encoded comes back, every byte string is canonical or refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.codec import MAX_DEPTH, MAX_ITEMS, decode, encode
from salus.errors import CodecError
from support.mutations import mutated
from support.twin_codec import MAX_ENCODED_BYTES, Refusal, twin_decode, twin_encode

LEAVES = st.one_of(
    st.none(), st.integers(0, 2**64 - 1), st.binary(max_size=70), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5).map(tuple), max_leaves=25)
ANYTHING = st.recursive(
    st.one_of(
        LEAVES, st.integers(), st.booleans(), st.floats(), st.text(max_size=5), st.sampled_from([b"", object(), {}, set()])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(st.text(), inner)
    ),
    max_leaves=10,
)


def outcome(function: Any, argument: Any) -> Any:
    """The result, or the word that it was refused."""
    try:
        return function(argument)
    except (CodecError, Refusal):
        return "refused"


def check_bytes(data: bytes) -> None:
    native = outcome(decode, data)
    assert native == outcome(twin_decode, data)
    if native != "refused":
        assert encode(native) == data


@given(VALUES)
@settings(max_examples=300)
def test_what_is_encoded_comes_back(value: Any) -> None:
    data = encode(value)
    assert data == twin_encode(value)
    assert decode(data) == value


@given(ANYTHING)
@settings(max_examples=300)
def test_native_and_twin_refuse_the_same_values(value: Any) -> None:
    assert outcome(encode, value) == outcome(twin_encode, value)


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_any_bytes_are_canonical_or_refused(data: bytes) -> None:
    check_bytes(data)


@given(VALUES.flatmap(lambda value: mutated(twin_encode(value))))
@settings(max_examples=600)
def test_spoilt_bytes_are_canonical_or_refused(data: bytes) -> None:
    check_bytes(data)


@pytest.mark.long
@given(VALUES.flatmap(lambda value: mutated(twin_encode(value))))
@settings(settings.get_profile("long"), max_examples=100_000)
def test_spoilt_bytes_are_canonical_or_refused_at_length(data: bytes) -> None:
    check_bytes(data)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 5000])
def test_depth_is_bounded(depth: int) -> None:
    data = (b"t" + (1).to_bytes(4, "big")) * depth + b"n"
    if depth <= MAX_DEPTH:
        check_bytes(data)
        assert outcome(decode, data) != "refused"
    else:
        assert outcome(decode, data) == "refused"


def test_items_are_bounded() -> None:
    most = b"t" + MAX_ITEMS.to_bytes(4, "big") + b"n" * MAX_ITEMS
    assert encode(decode(most)) == most
    more = b"t" + (MAX_ITEMS + 1).to_bytes(4, "big") + b"n" * (MAX_ITEMS + 1)
    assert outcome(decode, more) == "refused"
    assert outcome(encode, (None,) * (MAX_ITEMS + 1)) == "refused"


@pytest.mark.parametrize(
    "tail",
    [b"n", b"i" + bytes(8), b"b" + bytes(4), b"s" + bytes(4), b"t" + bytes(4)],
    ids=["none", "int", "bytes", "text", "tuple"],
)
def test_the_largest_encoding_and_one_byte_more(tail: bytes) -> None:
    """A value whose encoding is as long as allowed is encoded and decoded, whatever it ends with; one byte more is refused."""
    filler = MAX_ENCODED_BYTES - 5 - 5 - len(tail)
    head = b"t" + (2).to_bytes(4, "big")
    largest = head + b"b" + filler.to_bytes(4, "big") + bytes(filler) + tail
    assert len(largest) == MAX_ENCODED_BYTES
    same = encode(decode(largest)) == largest
    assert same
    over = head + b"b" + (filler + 1).to_bytes(4, "big") + bytes(filler + 1) + tail
    assert outcome(decode, over) == "refused"
    assert outcome(encode, (bytes(filler + 1), decode(tail))) == "refused"
