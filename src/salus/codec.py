"""Canonical, bounded encoding of everything that is hashed, signed, sent or stored.

Two layers.

*Values*: a typed nested encoding of ``None``, unsigned 64-bit integers, bytes, text and tuples of values. A byte
string is either refused or ``encode(decode(b)) == b``::

    value   = "n"                         None
            | "i" 8 bytes, big-endian     integer, 0 <= n < 2^64
            | "b" length:4 content        bytes
            | "s" length:4 UTF-8          text
            | "t" count:4 value*          tuple

*Messages*: subclasses of :class:`Message`, typed records whose encoding is the tuple
``(KIND, VERSION, field, field, ..)``. Each field declares its type and its bound with the aliases below, so
decoding validates lengths, counts and types, and refuses trailing bytes.

The native extension has the same value layer for speed; a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from salus import _native
from salus.errors import CodecError

MAX_DEPTH: Final = 16
"""Nesting: a transaction holds a body which holds points; nothing needs more than seven levels."""
MAX_ENCODED_BYTES: Final = 64 * 1024 * 1024
"""No single encoded value is larger; record bodies are streamed in segments and never encoded whole."""
MAX_ITEMS: Final = 1 << 20
"""Elements of one tuple; a snapshot chunk of map leaves is the largest."""


def encode(value: object) -> bytes:
    """Encode a value canonically.

    :param value: ``None``, ``int`` in [0, 2^64), ``bytes``, ``str``, or a tuple or list of these.
    :raises CodecError: for another type, an integer out of range, or a value over the bounds.
    """
    try:
        return _native.encode_value(value)
    except ValueError as error:
        raise CodecError(str(error)) from None


def decode(data: bytes) -> Any:
    """Decode a canonical value; refuses trailing bytes.

    :raises CodecError: if ``data`` is not the canonical encoding of a value within the bounds.
    """
    try:
        return _native.decode_value(data)
    except ValueError as error:
        raise CodecError(str(error)) from None


class Size:
    """Bounds of a field: bytes of a byte string, characters of a text, or elements of a tuple."""

    __slots__ = ("at_least", "at_most")

    def __init__(self, at_least: int, at_most: int) -> None:
        self.at_least = at_least
        self.at_most = at_most


Bytes12 = Annotated[bytes, Size(12, 12)]
Bytes16 = Annotated[bytes, Size(16, 16)]
Bytes20 = Annotated[bytes, Size(20, 20)]
Bytes32 = Annotated[bytes, Size(32, 32)]
Bytes64 = Annotated[bytes, Size(64, 64)]
Short = Annotated[bytes, Size(0, 1024)]
Blob = Annotated[bytes, Size(0, 4 * 1024 * 1024)]
Label = Annotated[str, Size(1, 64)]
Name = Annotated[str, Size(1, 128)]
Text = Annotated[str, Size(0, 4096)]

_ToValue = Callable[[Any], Any]
_FromValue = Callable[[Any, str], Any]
M = TypeVar("M", bound="Message")


class Message(msgspec.Struct, frozen=True):
    """Base of every typed, versioned, bounded message.

    A subclass sets ``KIND`` (unique in the project) and ``VERSION``, and declares its fields with the bounded
    aliases of this module, other messages, unions of messages, ``X | None`` and ``Annotated[tuple[X, ...], Size(a, b)]``.
    """

    KIND: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1

    def __repr__(self) -> str:
        # Fields may be keys or a patient's words; a repr ends up in logs, tracebacks and test reports.
        return f"{type(self).__name__}({', '.join(f'{name}={_shape(getattr(self, name))}' for name in self.__struct_fields__)})"

    def to_value(self) -> tuple[Any, ...]:
        """The tuple ``(KIND, VERSION, field, ..)`` that :meth:`encode` encodes; checks every bound."""
        cls = type(self)
        return (cls.KIND, cls.VERSION, *(f.to_value(getattr(self, f.name)) for f in _fields(cls)))

    def encode(self) -> bytes:
        """Canonical bytes of this message.

        :raises CodecError: if a field is over its bound or of the wrong type.
        """
        return encode(self.to_value())

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """Build the message from a decoded value, checking kind, version, types and bounds."""
        fields = _fields(cls)
        if type(value) is not tuple or len(value) != len(fields) + 2:
            raise CodecError(f"{cls.__name__}: expected a tuple of {len(fields) + 2} elements")
        if value[0] != cls.KIND or value[1] != cls.VERSION:
            raise CodecError(f"{cls.__name__}: expected kind {cls.KIND!r} version {cls.VERSION}")
        return cls(*[f.from_value(v, f.name) for f, v in zip(fields, value[2:], strict=True)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Decode canonical bytes of exactly this kind and version.

        :raises CodecError: if ``data`` is anything else.
        """
        return cls.from_value(decode(data))


def _shape(value: Any) -> str:
    """What may be shown of a field: integers and sizes."""
    if isinstance(value, bytes | str):
        return f"<{len(value)} {'bytes' if isinstance(value, bytes) else 'characters'}>"
    if isinstance(value, tuple):
        return f"<{len(value)} elements>"
    return repr(value) if value is None or isinstance(value, int | Message) else f"<{type(value).__name__}>"


class _Field(msgspec.Struct, frozen=True):
    name: str
    to_value: _ToValue
    from_value: _FromValue


_COMPILED: dict[type[Message], tuple[_Field, ...]] = {}


def _fields(cls: type[Message]) -> tuple[_Field, ...]:
    compiled = _COMPILED.get(cls)
    if compiled is None:
        hints = get_type_hints(cls, include_extras=True)
        compiled = tuple(_Field(name, *_compile(hints[name], f"{cls.__name__}.{name}")) for name in cls.__struct_fields__)
        _COMPILED[cls] = compiled
    return compiled


def message_types(base: type[Message] = Message) -> list[type[Message]]:
    """Every concrete message class that is imported now (for fuzzing and the documentation)."""
    found = [base] if base.KIND else []
    for sub in base.__subclasses__():
        found += message_types(sub)
    return found


def _compile(hint: Any, where: str) -> tuple[_ToValue, _FromValue]:
    bound: Size | None = None
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        bound = next((e for e in extra if isinstance(e, Size)), None)
    if hint is int:
        return _compile_int(where)
    if hint is bytes or hint is str:
        if bound is None:
            raise TypeError(f"{where}: bytes and text need a Size bound")
        return _compile_sized(hint, bound, where)
    origin = get_origin(hint)
    if origin is tuple:
        if bound is None:
            raise TypeError(f"{where}: tuples need a Size bound")
        return _compile_tuple(get_args(hint)[0], bound, where)
    if origin in (Union, UnionType):
        return _compile_union(get_args(hint), where)
    if isinstance(hint, type) and issubclass(hint, Message):
        return _compile_message(hint, where)
    raise TypeError(f"{where}: no encoding for {hint!r}")


def _compile_int(where: str) -> tuple[_ToValue, _FromValue]:
    def check(value: Any, _where: str = where) -> int:
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise CodecError(f"{where}: expected an integer in [0, 2^64)")
        return value

    return check, check


def _compile_sized(kind: type[bytes] | type[str], bound: Size, where: str) -> tuple[_ToValue, _FromValue]:
    low, high = bound.at_least, bound.at_most

    def check(value: Any, _where: str = where) -> Any:
        if type(value) is not kind:
            raise CodecError(f"{where}: expected {kind.__name__}, not {type(value).__name__}")
        if not low <= len(value) <= high:
            reason = "too-large" if len(value) > high else "bad-encoding"
            raise CodecError(f"{where}: length {len(value)} is outside {low}..{high}", reason)
        return value

    return check, check


def _compile_message(kind: type[Message], where: str) -> tuple[_ToValue, _FromValue]:
    def to_value(value: Any) -> tuple[Any, ...]:
        if type(value) is not kind:
            raise CodecError(f"{where}: expected {kind.__name__}, not {type(value).__name__}")
        message: Message = value
        return message.to_value()

    return to_value, lambda value, _where: kind.from_value(value)


def _compile_tuple(item: Any, bound: Size, where: str) -> tuple[_ToValue, _FromValue]:
    to_item, from_item = _compile(item, f"{where}[]")
    low, high = bound.at_least, bound.at_most

    def check_count(value: Any) -> None:
        if type(value) is not tuple:
            raise CodecError(f"{where}: expected a tuple, not {type(value).__name__}")
        if not low <= len(value) <= high:
            raise CodecError(
                f"{where}: {len(value)} elements are outside {low}..{high}", "too-large" if len(value) > high else "bad-encoding"
            )

    def to_value(value: Any) -> tuple[Any, ...]:
        check_count(value)
        return tuple(to_item(v) for v in value)

    def from_value(value: Any, _where: str) -> tuple[Any, ...]:
        check_count(value)
        return tuple(from_item(v, where) for v in value)

    return to_value, from_value


def _compile_union(choices: tuple[Any, ...], where: str) -> tuple[_ToValue, _FromValue]:
    optional = NoneType in choices
    rest = [c for c in choices if c is not NoneType]
    if len(rest) == 1:
        to_one, from_one = _compile(rest[0], where)
        return (
            lambda v: None if v is None else to_one(v),
            lambda v, w: None if v is None else from_one(v, w),
        )
    by_kind = {(c.KIND, c.VERSION): c for c in rest}

    def to_value(value: Any) -> Any:
        if value is None and optional:
            return None
        if type(value) not in rest:
            raise CodecError(f"{where}: {type(value).__name__} is not allowed here")
        return value.to_value()

    def from_value(value: Any, _where: str) -> Any:
        if value is None and optional:
            return None
        if type(value) is not tuple or len(value) < 2 or type(value[0]) is not str or type(value[1]) is not int:
            raise CodecError(f"{where}: expected a message")
        chosen = by_kind.get((value[0], value[1]))
        if chosen is None:
            raise CodecError(f"{where}: kind {value[0][:64]!r} version {value[1]} is not allowed here", "unknown-kind")
        return chosen.from_value(value)

    return to_value, from_value
