"""Of every message type one instance with something in every field, always the same: what golden encodings are made of."""

from __future__ import annotations

from itertools import count
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from salus.codec import Message, Size

ITEMS = 2
"""Elements of a tuple, where its bounds allow."""
LETTERS = 5
"""Bytes and characters of what has no fixed size."""


def filled(cls: type[Message], numbers: count[int] | None = None) -> Any:
    """An instance of ``cls``: every field another number, or bytes or characters counted up from one."""
    numbers = numbers or count(1)
    hints = get_type_hints(cls, include_extras=True)
    return cls(*[_field(hints[name], numbers) for name in cls.__struct_fields__])


def _field(hint: Any, numbers: count[int]) -> Any:
    bound = Size(0, LETTERS)
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        bound = next((e for e in extra if isinstance(e, Size)), bound)
    size = min(bound.at_most, max(bound.at_least, LETTERS))
    if hint is int:
        return next(numbers)
    if hint is bytes:
        first = next(numbers)
        return bytes((first + place) % 256 for place in range(size))
    if hint is str:
        return (f"v{next(numbers)}" + "x" * size)[:size]
    if get_origin(hint) is tuple:
        items = min(bound.at_most, max(bound.at_least, ITEMS))
        return tuple(_field(get_args(hint)[0], numbers) for _ in range(items))
    if get_origin(hint) in (Union, UnionType):
        return _field(next(choice for choice in get_args(hint) if choice is not NoneType), numbers)
    return filled(hint, numbers)
