"""The value encoding once more, slowly and plainly, from its description alone: the twin of the native codec."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 16
MAX_ITEMS = 1 << 20
MAX_ENCODED_BYTES = 64 * 1024 * 1024


class Refusal(Exception):
    """The value has no encoding, or the bytes are none."""


def twin_encode(value: Any) -> bytes:
    out = _encode(value, 0)
    if len(out) > MAX_ENCODED_BYTES:
        raise Refusal("too large")
    return out


def _encode(value: Any, depth: int) -> bytes:
    if value is None:
        return b"n"
    if type(value) is int:
        if value < 0 or value >= 2**64:
            raise Refusal("integer")
        return b"i" + value.to_bytes(8, "big")
    if type(value) is bytes:
        return b"b" + len(value).to_bytes(4, "big") + value
    if type(value) is str:
        try:
            content = value.encode("utf-8")
        except UnicodeEncodeError:
            raise Refusal("surrogates") from None
        return b"s" + len(content).to_bytes(4, "big") + content
    if type(value) in (tuple, list):
        if depth == MAX_DEPTH:
            raise Refusal("depth")
        if len(value) > MAX_ITEMS:
            raise Refusal("items")
        return b"t" + len(value).to_bytes(4, "big") + b"".join(_encode(item, depth + 1) for item in value)
    raise Refusal("type")


def twin_decode(data: bytes) -> Any:
    if len(data) > MAX_ENCODED_BYTES:
        raise Refusal("too large")
    value, rest = _decode(data, 0)
    if rest:
        raise Refusal("trailing bytes")
    return value


def _take(data: bytes, count: int) -> tuple[bytes, bytes]:
    if len(data) < count:
        raise Refusal("cut off")
    return data[:count], data[count:]


def _decode(data: bytes, depth: int) -> tuple[Any, bytes]:
    tag, data = _take(data, 1)
    if tag == b"n":
        return None, data
    if tag == b"i":
        content, data = _take(data, 8)
        return int.from_bytes(content, "big"), data
    if tag not in (b"b", b"s", b"t"):
        raise Refusal("tag")
    length_bytes, data = _take(data, 4)
    length = int.from_bytes(length_bytes, "big")
    if tag == b"b":
        return _take(data, length)
    if tag == b"s":
        content, data = _take(data, length)
        try:
            return content.decode("utf-8"), data
        except UnicodeDecodeError:
            raise Refusal("not UTF-8") from None
    if depth == MAX_DEPTH:
        raise Refusal("depth")
    if length > MAX_ITEMS:
        raise Refusal("items")
    items = []
    for _ in range(length):
        item, data = _decode(data, depth + 1)
        items.append(item)
    return tuple(items), data
