"""What holds a secret does not show it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_type_hints

import msgspec

from salus._native import Scalar
from salus.codec import Message
from support.instances import all_classes, all_message_types
from support.smallest import smallest

SECRET_NAME = re.compile(r"(^|_)(secrets?|theta|passphrase|password|phrase|entropy|seed|private|plaintext|[a-z]*_?keys?)($|_)")
PUBLIC_NAME = re.compile(
    r"public|_key_(id|hash|digest)$|(^|_)(raw_key|map_key|state_key|sort_key|key_path|key_file|one_time_key)s?$"
)


def shows_its_fields(cls: type[Any]) -> bool:
    """Whether the class has the repr that prints every field."""
    if issubclass(cls, Message):
        return cls.__repr__ is not Message.__repr__
    if issubclass(cls, msgspec.Struct):
        return cls.__repr__ is msgspec.Struct.__repr__
    return "__create_fn__" in cls.__repr__.__qualname__ or cls.__repr__.__module__ != cls.__module__


def raw_secrets(cls: type[Any]) -> list[str]:
    """Fields with the name of a secret that hold bytes or text (scalars hide themselves)."""
    hints = get_type_hints(cls)
    hidden = {f.name for f in dataclasses.fields(cls) if not f.repr} if dataclasses.is_dataclass(cls) else set()
    return [
        name
        for name, hint in hints.items()
        if hint in (bytes, str, bytes | None, str | None, bytearray)
        and name not in hidden
        and SECRET_NAME.search(name)
        and not PUBLIC_NAME.search(name)
        and not name.isupper()
    ]


def test_no_repr_shows_a_secret() -> None:
    found = []
    for cls in all_classes():
        generated = dataclasses.is_dataclass(cls) or issubclass(cls, msgspec.Struct)
        if generated and not issubclass(cls, Message) and shows_its_fields(cls):
            found += [f"{cls.__module__}.{cls.__qualname__}.{name}" for name in raw_secrets(cls)]
    assert found == []


def test_messages_and_scalars_show_no_content() -> None:
    secret = bytes(range(1, 17)) + bytes(16)
    scalar = Scalar.decode(secret)
    for shown in (repr(scalar), str(scalar), f"{scalar}", repr([scalar])):
        assert secret.hex() not in shown
        assert str(int.from_bytes(secret, "little")) not in shown
    showing = [cls.__qualname__ for cls in all_message_types() if re.search(r"\\xc5|c5c5", repr(smallest(cls, filler=0xC5)))]
    assert showing == []
