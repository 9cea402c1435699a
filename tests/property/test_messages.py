"""Every message type of the package: what is encoded comes back, and no byte string decodes that is not its encoding."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.codec import Message, Size
from salus.errors import Refused
from support.instances import all_message_types, instances
from support.mutations import mutated
from support.smallest import smallest

TYPES = all_message_types()


def name_of(cls: type[Message]) -> str:
    return f"{cls.KIND}-{cls.VERSION}"


def check_bytes(cls: type[Message], data: bytes) -> None:
    """Either refused with a reason code, or exactly the encoding of what it decodes to."""
    try:
        message = cls.decode(data)
    except Refused:
        return
    assert message.encode() == data


def check_round_trip(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(instances(cls))
    encoded = message.encode()
    assert cls.decode(encoded) == message
    check_bytes(cls, data.draw(mutated(encoded)))


def test_there_are_message_types_and_no_two_of_one_kind_and_version() -> None:
    assert len(TYPES) > 10
    kinds = [(t.KIND, t.VERSION) for t in TYPES]
    assert sorted({k for k in kinds if kinds.count(k) > 1}) == []


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
@given(data=st.data())
@settings(max_examples=25)
def test_round_trip_and_spoilt_bytes(cls: type[Message], data: st.DataObject) -> None:
    check_round_trip(cls, data)


@pytest.mark.long
@pytest.mark.parametrize("cls", TYPES, ids=name_of)
@given(data=st.data())
@settings(settings.get_profile("long"), max_examples=600)
def test_round_trip_and_spoilt_bytes_at_length(cls: type[Message], data: st.DataObject) -> None:
    check_round_trip(cls, data)


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
def test_another_kind_another_version_and_trailing_bytes_are_refused(cls: type[Message]) -> None:
    message = smallest(cls)
    value = message.to_value()
    for other in (
        ("no-such-kind", *value[1:]),
        (value[0], value[1] + 1, *value[2:]),
        (*value, None),
        value[:-1],
        value[0],
        None,
    ):
        with pytest.raises(Refused):
            cls.from_value(other)
    with pytest.raises(Refused):
        cls.decode(message.encode() + b"n")
    for cut in range(0, len(message.encode()), 7):
        with pytest.raises(Refused):
            cls.decode(message.encode()[:cut])


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
def test_every_bound_holds_on_both_sides(cls: type[Message]) -> None:
    """A field over or under its bound is refused when encoding and when decoding."""
    message = smallest(cls)
    hints = get_type_hints(cls, include_extras=True)
    for position, name in enumerate(cls.__struct_fields__):
        for wrong in outside(hints[name]):
            broken = [getattr(message, field) for field in cls.__struct_fields__]
            broken[position] = wrong
            with pytest.raises((Refused, TypeError)):
                cls(*broken).encode()
            value = list(message.to_value())
            value[position + 2] = wrong
            with pytest.raises(Refused):
                cls.from_value(tuple(value))


def outside(hint: Any) -> list[Any]:
    """Values just outside what a field declaration allows."""
    bound = None
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        bound = next((e for e in extra if isinstance(e, Size)), None)
    if hint is int:
        return [-1, 1 << 64, True, "1", 1.0]
    if bound is None:
        return [object()]
    unit: Any = {bytes: b"a", str: "a"}.get(hint, (None,))
    wrong: list[Any] = [unit * (bound.at_least - 1)] if bound.at_least else []
    if bound.at_most <= 1 << 23:
        wrong.append(unit * (bound.at_most + 1))
    return [*wrong, 5, "a" if hint is bytes else b"a"]
