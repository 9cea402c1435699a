"""Of every message type the instance with each field as small as its declaration allows."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from salus.codec import Message, Size


def smallest(cls: type[Message], filler: int = 0) -> Any:
    """An instance of ``cls``: zeros, the shortest texts and tuples, bytes all ``filler``."""
    hints = get_type_hints(cls, include_extras=True)
    return cls(*[_smallest_field(hints[name], filler) for name in cls.__struct_fields__])


def _smallest_field(hint: Any, filler: int) -> Any:
    low = 0
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        low = next((e.at_least for e in extra if isinstance(e, Size)), 0)
    if hint is int:
        return 0
    if hint is bytes:
        return bytes([filler]) * low
    if hint is str:
        return "a" * low
    if get_origin(hint) is tuple:
        return (_smallest_field(get_args(hint)[0], filler),) * low
    if isinstance(hint, type):
        return smallest(hint, filler)
    choices = get_args(hint)
    return None if NoneType in choices else _smallest_field(choices[0], filler)
