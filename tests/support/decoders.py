"""Decoders of bytes that are not messages: each with what it must hold, and a valid input to start from."""

from __future__ import annotations

from collections.abc import Callable

from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, decode_scalar


def point(data: bytes) -> None:
    try:
        decoded = decode_point(data)
    except Refused:
        return
    assert decoded.encode() == data


def scalar(data: bytes) -> None:
    try:
        decoded = decode_scalar(data)
    except Refused:
        return
    assert decoded.encode() == data


OTHER_DECODERS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "salus.groups.ristretto255.decode_point": (point, base_mul(Scalar.from_int(7)).encode()),
    "salus.groups.ristretto255.decode_scalar": (scalar, Scalar.from_int(7).encode()),
}
"""Full name of the function -> how to try it, and a valid input."""
