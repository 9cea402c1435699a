"""Ways to spoil an encoding so that most of it still reads: what a decoder must refuse or give back byte for byte."""

from __future__ import annotations

from hypothesis import strategies as st

_TAGS = b"nibst"


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """One to three changes: a bit, a byte, a tag, a length, bytes cut out, doubled, inserted or appended."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["bit", "byte", "tag", "length", "cut", "double", "insert", "append", "truncate"]))
        if kind == "append" or not data:
            data += draw(st.binary(min_size=1, max_size=9))
        elif kind == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            data[at] = draw(st.integers(0, 255))
        elif kind == "tag":
            tags = [i for i, byte in enumerate(data) if byte in _TAGS]
            if tags:
                data[draw(st.sampled_from(tags))] = draw(st.sampled_from(_TAGS))
        elif kind == "length":
            # Near a tag stands a length or an integer: step its last byte by one.
            heads = [i for i, byte in enumerate(data) if byte in _TAGS and i + 4 < len(data)]
            if heads:
                position = draw(st.sampled_from(heads)) + 4
                data[position] = (data[position] + draw(st.sampled_from([1, 255]))) % 256
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 9))]
        elif kind == "double":
            piece = data[at : at + draw(st.integers(1, 40))]
            data[at:at] = piece
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        else:
            del data[at:]
    return bytes(data)
