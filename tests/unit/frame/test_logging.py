"""Logging: one setup, two forms, and no secret in either, whatever it was called or wrapped in."""

from __future__ import annotations

import base64
import io
import json
import logging as stdlib_logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from salus.codec import Bytes32, Message
from salus.config import Secret
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar
from salus.logging import MAX_TEXT_CHARACTERS, setup_logging

CANARY = bytes(range(101, 132)) + b"\x05"


class Sealed(Message, frozen=True):
    KIND = "test.sealed"
    theta: Bytes32


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = stdlib_logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(form: str, action: Any) -> str:
    stream = io.StringIO()
    setup_logging("debug", form, stream)
    action(structlog.get_logger("salus.test"))
    return stream.getvalue()


def shown_forms(secret: bytes) -> list[str]:
    """How a secret could come out: as it is, repr, hexadecimal, base64, an integer, a list of its bytes."""
    return [
        secret.decode("latin-1"),
        repr(secret)[2:-1],
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode().rstrip("="),
        str(int.from_bytes(secret, "little")),
        str(int.from_bytes(secret, "big")),
        ", ".join(map(str, secret[:4])),
    ]


def raise_with(secret: bytes) -> None:
    theta = secret  # a local variable that a careless traceback would show
    raise ValueError(f"cannot use {theta!r} or {theta.hex()}")


def raise_chained(secret: bytes) -> None:
    try:
        raise_with(secret)
    except ValueError as error:
        raise Refused("bad-scalar", "share 3") from error


def log_exception(log: Any) -> None:
    try:
        raise_chained(CANARY)
    except Refused:
        log.exception("deal refused", epoch=4)


LEAKS = {
    "bytes": lambda log: log.info("e", raw=CANARY),
    "bytearray": lambda log: log.info("e", raw=bytearray(CANARY), view=memoryview(CANARY)),
    "hex under a secret's name": lambda log: log.info("e", theta=CANARY.hex(), node_secret=CANARY.hex(), k=CANARY.hex()),
    "passphrase": lambda log: log.info("e", passphrase=CANARY.hex(), wallet_password=CANARY.hex(), recovery_phrase=CANARY.hex()),
    "keys": lambda log: log.info("e", key=CANARY.hex(), signing_key=CANARY.hex(), keys=[CANARY.hex()]),
    "identity": lambda log: log.info("e", pid=CANARY.hex(), hp=CANARY.hex(), patient=CANARY.hex(), identity=CANARY.hex()),
    "nested": lambda log: log.info("e", outer={"inner": [{"secret": CANARY.hex(), "raw": CANARY}], "list": [CANARY]}),
    "deeply nested": lambda log: log.info("e", a1={"b1": {"c1": {"d1": {"e1": {"raw": CANARY.hex()}}}}}),
    "scalar": lambda log: log.info("e", value=Scalar.decode(CANARY), values=[Scalar.decode(CANARY)]),
    "message": lambda log: log.info("e", message=Sealed(CANARY)),
    "secret": lambda log: log.info("e", value=Secret(CANARY.hex())),
    "exception": log_exception,
    "exception as a value": lambda log: log.info("e", error=ValueError(CANARY.hex())),
    "bound": lambda log: log.bind(share=CANARY.hex()).info("e"),
    "integer": lambda log: log.info("e", scalar=int.from_bytes(CANARY, "little")),
}


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
def test_no_secret_is_logged(form: str, leak: Any) -> None:
    output = logged(form, leak)
    assert output.count("\n") >= 1
    for form_of_secret in shown_forms(CANARY):
        assert form_of_secret not in output


def test_without_redaction_the_same_events_would_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    monkeypatch.setattr("salus.logging.redact", lambda _logger, _method, event: event)
    leaking = [name for name, leak in LEAKS.items() if any(form in logged("human", leak) for form in shown_forms(CANARY))]
    assert {"bytes", "hex under a secret's name", "passphrase", "keys", "identity", "nested", "bound", "integer"} <= set(leaking)


def test_json_is_one_object_a_line_with_what_is_harmless() -> None:
    line = logged(
        "json",
        lambda log: log.info("block committed", height=7, tx="ab" * 32, path=Path("a/b"), ok=True, public_key="ff", none=None),
    )
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "block committed",
        "level": "info",
        "logger": "salus.test",
        "height": 7,
        "tx": "ab" * 32,
        "path": "a/b",
        "ok": True,
        "public_key": "ff",
        "none": None,
    }


def test_an_exception_keeps_its_place_and_the_projects_own_words() -> None:
    output = json.loads(logged("json", log_exception))
    assert output["exception"].count("Refused: bad-scalar: share 3") == 1
    assert "in raise_chained" in output["exception"]
    assert output["exception"].endswith("ValueError")


def test_long_values_are_cut() -> None:
    output = json.loads(logged("json", lambda log: log.info("e", text="x" * 10_000, items=list(range(1000)))))
    assert len(output["text"]) == MAX_TEXT_CHARACTERS + 2
    assert len(output["items"]) == 20


def test_levels_hold_for_own_events_and_libraries_are_heard_only_in_errors() -> None:
    stream = io.StringIO()
    setup_logging("warning", "json", stream)
    log = structlog.get_logger("salus.test")
    log.info("not this")
    log.warning("this")
    stdlib_logging.getLogger("pydicom").warning("invalid value 'Ada Lovelace'")
    stdlib_logging.getLogger("asyncio").error("that")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["this", "that"]


def test_setting_up_again_replaces_and_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    first = io.StringIO()
    setup_logging("info", "json", first)
    setup_logging("info", "auto", None)
    structlog.get_logger("salus.test").info("once")
    out, err = capsys.readouterr()
    assert (first.getvalue(), out) == ("", "")
    assert json.loads(err)["event"] == "once"
    assert sys.stderr is not None
