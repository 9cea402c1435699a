"""Pairing a body sensor with a terminal by a short code, over any link.

A balanced password-authenticated key exchange (after CPace, draft-irtf-cfrg-cpace, over ristretto255). A code of eight
digits would fall to a search if it were hashed into keys; here each guess costs one exchange with the device, which
allows few. Steps:

1. Terminal: ``G = hash_to_group("device-generator", code, device, session)``, ``Y_T = y_T*G``, sends (session, Y_T).
2. Device: same G, ``Y_D = y_D*G``, ``key, c_D, c_T = KDF("device-pairing", y_D*Y_T; session, device, Y_T, Y_D)``; sends
   (Y_D, c_D).
3. Terminal: derives the same from ``y_T*Y_D``, compares c_D, sends c_T.
4. Device: compares c_T, keeps the key. Both erase their y.
"""

from __future__ import annotations

import os
from typing import Annotated, Final

from salus import labels
from salus.codec import Bytes16, Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, Scalar, decode_point, hash_to_point, random_scalar, require_point
from salus.symmetric import KEY_BYTES, Random, kdf, mac_matches

CODE_DIGITS: Final = 8
ATTEMPTS_MAX: Final = 5
"""Exchanges a device allows before its button must be pressed again: a guess succeeds with probability 5 in 10^8."""

DeviceId = Annotated[str, Size(1, 64)]


class PairingHello(Message, frozen=True):
    """Step 1, terminal to device."""

    KIND = "sensor.pairing-hello"

    session: Bytes16
    Y_T: Bytes32


class PairingAnswer(Message, frozen=True):
    """Step 2, device to terminal."""

    KIND = "sensor.pairing-answer"

    device: DeviceId
    Y_D: Bytes32
    confirmation: Bytes32


class PairingConfirm(Message, frozen=True):
    """Step 3, terminal to device."""

    KIND = "sensor.pairing-confirm"

    confirmation: Bytes32


class Paired:
    """What both sides keep: the device's name and a 32-byte key (secret)."""

    __slots__ = ("device", "key")

    def __init__(self, device: str, key: bytes) -> None:
        self.device = device
        self.key = key

    def __repr__(self) -> str:
        return f"Paired({self.device!r}, ..)"


class TerminalPairing:
    """The terminal's side of one exchange.

    :param device: the device's name, :param code: its pairing code (eight digits), both read by the person from the device.
    """

    def __init__(self, device: str, code: str, random: Random = os.urandom) -> None:
        self._device = device
        self._session = random(16)
        self._base = _base(code, device, self._session)
        self._secret: Scalar | None = random_scalar(random)
        self._public = self._base.mul(self._secret).encode()

    def hello(self) -> bytes:
        """Step 1."""
        return PairingHello(self._session, self._public).encode()

    def finish(self, answer: bytes) -> tuple[bytes, Paired]:
        """Step 3: the confirmation to send and what to keep.

        :raises Refused: ``bad-pairing`` for another code or device, ``bad-encoding``, ``bad-point``.
        """
        message = PairingAnswer.decode(answer)
        refuse_unless(message.device == self._device, "bad-pairing", "another device answered")
        if self._secret is None:
            raise Refused("bad-pairing", "this exchange is over; start a new one")
        shared = decode_point(message.Y_D, "Y_D").mul(self._secret)
        self._secret = None
        keys = _keys(shared, self._session, self._device, self._public, message.Y_D)
        refuse_unless(mac_matches(keys[1], message.confirmation), "bad-pairing")
        return PairingConfirm(keys[2]).encode(), Paired(self._device, keys[0])


class DevicePairing:
    """The device's side: answers at most :data:`ATTEMPTS_MAX` exchanges."""

    def __init__(self, device: str, code: str, random: Random = os.urandom) -> None:
        if len(code) != CODE_DIGITS or not (code.isascii() and code.isdigit()):
            raise ValueError(f"a pairing code has {CODE_DIGITS} digits")
        self._device = device
        self._code = code
        self._random = random
        self._left = ATTEMPTS_MAX
        self._open: tuple[bytes, bytes] | None = None

    def answer(self, hello: bytes) -> bytes:
        """Step 2.

        :raises Refused: ``bad-pairing`` after too many exchanges, ``bad-encoding``, ``bad-point``.
        """
        refuse_unless(self._left > 0, "bad-pairing", "too many attempts: press the device's pairing button again")
        self._left -= 1  # counted before the answer leaves: the answer confirms or refutes one guess
        message = PairingHello.decode(hello)
        secret = random_scalar(self._random)
        public = _base(self._code, self._device, message.session).mul(secret).encode()
        shared = decode_point(message.Y_T, "Y_T").mul(secret)
        key, own, theirs = _keys(shared, message.session, self._device, message.Y_T, public)
        self._open = (key, theirs)
        return PairingAnswer(self._device, public, own).encode()

    def complete(self, confirm: bytes) -> Paired:
        """Step 4: what to keep.

        :raises Refused: ``bad-pairing`` for a terminal with another code, ``bad-encoding``.
        """
        message = PairingConfirm.decode(confirm)
        opened, self._open = self._open, None
        if opened is None or not mac_matches(opened[1], message.confirmation):
            raise Refused("bad-pairing")
        self._left = 0
        return Paired(self._device, opened[0])


def _base(code: str, device: str, session: bytes) -> Point:
    return hash_to_point(labels.DEVICE_GENERATOR, labels.SUITE_RECORDS, code, device, session)


def _keys(shared: Point, session: bytes, device: str, Y_T: bytes, Y_D: bytes) -> tuple[bytes, bytes, bytes]:
    secret = require_point(shared, "the shared point").encode()
    derived = kdf(labels.DEVICE_PAIRING, labels.SUITE_RECORDS, [secret], (session, device, Y_T, Y_D), 3 * KEY_BYTES)
    return derived[:32], derived[32:64], derived[64:]
