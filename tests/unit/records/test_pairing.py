"""Pairing by a code: both sides agree with the right one; a guess costs an exchange, and the transcript is no oracle."""

from __future__ import annotations

import pytest

from salus.errors import Refused
from salus.groups.ristretto255 import Point, base_mul, hash_to_point, random_scalar
from salus.records.pairing import (
    ATTEMPTS_MAX,
    DevicePairing,
    Paired,
    PairingAnswer,
    PairingConfirm,
    PairingHello,
    TerminalPairing,
    _keys,
)
from salus.symmetric import kdf

from .conftest import seeded

CODE = "31415926"


def exchange(device: DevicePairing, terminal: TerminalPairing) -> tuple[Paired, Paired]:
    confirm, kept = terminal.finish(device.answer(terminal.hello()))
    return kept, device.complete(confirm)


def sides(device_code: str = CODE, terminal_code: str = CODE) -> tuple[DevicePairing, TerminalPairing]:
    return DevicePairing("patch-7", device_code, seeded("device")), TerminalPairing("patch-7", terminal_code, seeded("terminal"))


def test_both_agree() -> None:
    terminal, device = exchange(*sides())
    assert (terminal.device, terminal.key) == (device.device, device.key)
    assert terminal.key.hex() not in repr(terminal)


def test_two_pairings_share_no_key() -> None:
    first, _ = exchange(*sides())
    second, _ = exchange(DevicePairing("patch-7", CODE), TerminalPairing("patch-7", CODE))
    assert first.key != second.key


def test_wrong_code() -> None:
    device, terminal = sides(terminal_code="31415927")
    answer = device.answer(terminal.hello())
    with pytest.raises(Refused, match="bad-pairing"):
        terminal.finish(answer)


def test_device_refuses_a_terminal_that_does_not_know_the_code() -> None:
    device, terminal = sides(terminal_code="00000000")
    device.answer(terminal.hello())
    with pytest.raises(Refused, match="bad-pairing"):
        device.complete(PairingConfirm(bytes(32)).encode())
    with pytest.raises(Refused, match="bad-pairing"):
        device.complete(PairingConfirm(bytes(32)).encode())


def test_guesses_are_counted() -> None:
    """A guesser who goes through the codes in order is stopped before the sixth."""
    device = DevicePairing("patch-7", CODE)
    for guess in range(ATTEMPTS_MAX):
        terminal = TerminalPairing("patch-7", f"{guess:08d}")
        answer = device.answer(terminal.hello())
        with pytest.raises(Refused, match="bad-pairing"):
            terminal.finish(answer)
    with pytest.raises(Refused, match="too many attempts"):
        device.answer(TerminalPairing("patch-7", CODE).hello())


def test_one_exchange_tests_one_guess_only() -> None:
    """A false terminal that answered honestly for one guess learns whether that guess is right, and nothing of the others."""
    y = random_scalar(seeded("false terminal"))
    session = bytes(16)
    for guess, right in (("00000003", False), ("00000017", True)):
        Y_T = hash_to_point("device-generator", "records-1", guess, "patch-7", session).mul(y).encode()
        answer = PairingAnswer.decode(DevicePairing("patch-7", "00000017").answer(PairingHello(session, Y_T).encode()))
        # All it can compute is y*Y_D; for another code c it would need the logarithm of Y_T to the base G(c).
        shared = Point.decode(answer.Y_D).mul(y)
        assert (_keys(shared, session, "patch-7", Y_T, answer.Y_D)[1] == answer.confirmation) is right


def test_without_the_generator_of_the_code_one_exchange_gives_the_code_away() -> None:
    """The repair taken out: Diffie-Hellman on the fixed generator, the code only hashed into the key. A search finds it."""

    def confirmation(code: str, shared: Point) -> bytes:
        return kdf("device-pairing", "records-1", [shared.encode()], code)

    code = "00000417"
    y_terminal, y_device = random_scalar(seeded("t")), random_scalar(seeded("d"))
    sent_by_device = (base_mul(y_device), confirmation(code, base_mul(y_terminal).mul(y_device)))
    found = [
        c for c in (f"{n:08d}" for n in range(1000)) if confirmation(c, sent_by_device[0].mul(y_terminal)) == sent_by_device[1]
    ]
    assert found == [code]


def test_false_device_and_points() -> None:
    device, terminal = sides()
    hello = terminal.hello()
    answer = PairingAnswer.decode(device.answer(hello))
    for bad, reason in (
        (PairingAnswer("patch-8", answer.Y_D, answer.confirmation), "bad-pairing"),
        (PairingAnswer("patch-7", bytes(32), answer.confirmation), "bad-point"),
        (PairingAnswer("patch-7", b"\xff" * 32, answer.confirmation), "bad-point"),
        (PairingAnswer("patch-7", answer.Y_D, bytes(32)), "bad-pairing"),
    ):
        _, fresh = sides()
        with pytest.raises(Refused, match=reason):
            fresh.finish(bad.encode())
    with pytest.raises(Refused, match="bad-point"):
        device.answer(PairingHello(bytes(16), bytes(32)).encode())
    with pytest.raises(Refused, match="bad-encoding"):
        device.answer(hello + b"\0")


def test_an_exchange_is_used_once() -> None:
    device, terminal = sides()
    answer = device.answer(terminal.hello())
    confirm, _ = terminal.finish(answer)
    with pytest.raises(Refused, match="over"):
        terminal.finish(answer)
    device.complete(confirm)
    with pytest.raises(Refused, match="bad-pairing"):
        device.complete(confirm)
    with pytest.raises(Refused, match="too many attempts"):
        device.answer(TerminalPairing("patch-7", CODE).hello())


@pytest.mark.parametrize("code", ["", "1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨"])
def test_codes_have_eight_digits(code: str) -> None:
    with pytest.raises(ValueError, match="8 digits"):
        DevicePairing("patch-7", code)
