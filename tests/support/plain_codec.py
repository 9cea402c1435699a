"""The canonical encoding (:mod:`salus.codec`) written down again, independently: vectors are made and read with it."""

from __future__ import annotations

from typing import Any


def enc(value: Any) -> bytes:
    """Encode tuples, text, bytes, whole numbers and None."""
    if value is None:
        return b"n"
    if isinstance(value, str):
        return b"s" + len(value.encode()).to_bytes(4, "big") + value.encode()
    if isinstance(value, bytes):
        return b"b" + len(value).to_bytes(4, "big") + value
    if isinstance(value, int):
        return b"i" + value.to_bytes(8, "big")
    return b"t" + len(value).to_bytes(4, "big") + b"".join(map(enc, value))


def dec(data: bytes) -> Any:
    """Decode the whole of it."""
    value, rest = _dec(data)
    assert rest == b""
    return value


def _dec(data: bytes) -> tuple[Any, bytes]:
    kind, count, rest = data[:1], int.from_bytes(data[1:5], "big"), data[5:]
    if kind == b"n":
        return None, data[1:]
    if kind == b"i":
        return int.from_bytes(data[1:9], "big"), data[9:]
    if kind in b"bs":
        return (rest[:count] if kind == b"b" else rest[:count].decode()), rest[count:]
    items = []
    for _ in range(count):
        item, rest = _dec(rest)
        items.append(item)
    return tuple(items), rest
