"""Random instances of every message type, made from nothing but its field declarations."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

import salus
from salus.codec import Message, Size, message_types

TEXT_OR_BYTES_MAX = 80
"""Longest random text or byte string where the bound allows more; the bounds themselves are tested one by one."""
TUPLE_MAX = 3


def import_everything() -> None:
    """Import every module of the package, so that every message type exists."""
    for module in pkgutil.walk_packages(salus.__path__, "salus."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def all_message_types() -> list[type[Message]]:
    """Every concrete message type of the package, by kind."""
    import_everything()
    ours = [t for t in message_types() if t.__module__.startswith("salus.")]
    return sorted(ours, key=lambda t: (t.KIND, t.VERSION, t.__module__, t.__qualname__))


def instances(cls: type[Message]) -> st.SearchStrategy[Any]:
    """Instances of one message type."""
    hints = get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{name: field(hints[name]) for name in cls.__struct_fields__})


def field(hint: Any) -> st.SearchStrategy[Any]:
    """Values that one field declaration allows."""
    bound = Size(0, TEXT_OR_BYTES_MAX)
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        bound = next((e for e in extra if isinstance(e, Size)), bound)
    most = min(bound.at_most, max(bound.at_least, TEXT_OR_BYTES_MAX))
    if hint is int:
        return st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 300))
    if hint is bytes:
        return st.binary(min_size=bound.at_least, max_size=most)
    if hint is str:
        return st.text(st.characters(exclude_categories=["Cs"]), min_size=bound.at_least, max_size=most)
    origin = get_origin(hint)
    if origin is tuple:
        count = min(bound.at_most, max(bound.at_least, TUPLE_MAX))
        return st.lists(field(get_args(hint)[0]), min_size=bound.at_least, max_size=count).map(tuple)
    if origin in (Union, UnionType):
        return st.one_of(*[st.none() if choice is NoneType else field(choice) for choice in get_args(hint)])
    if isinstance(hint, type) and issubclass(hint, Message):
        return st.deferred(lambda: instances(hint))
    raise TypeError(f"no strategy for {hint!r}")


def all_classes() -> list[type[Any]]:
    """Every class that the package defines."""
    import_everything()
    found = {
        member
        for name, module in list(sys.modules.items())
        if name == "salus" or name.startswith("salus.")
        for member in vars(module).values()
        if isinstance(member, type) and member.__module__ == name
    }
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))
