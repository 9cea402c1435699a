"""Attacks on the running network, each by the adversary's own equations; all must be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from salus.errors import SalusError
from salus.network.actors import Result
from salus.network.demonstration.stage import Stage

RECORD: Final = b"pulse 71, blood pressure 118/76, measured at rest\n"
ATTACKER: Final = "mallory"
REVOKED: Final = "revoked patient"


def try_attacks(stage: Stage, doctor: tuple[str, str], day: str, committed_tx: str) -> list[Result]:
    """Try all attacks and return what each was refused for.

    :param doctor: (party, name) of the doctor who is asked. :param committed_tx: an honest request, to be replayed.
    :raises SalusError: an attack was not refused.
    """
    mallory = _enter(stage, ATTACKER)
    record = stage.home / mallory / "record.txt"
    record.write_bytes(RECORD)
    ask = {"doctor": doctor[1], "day": day, "path": str(record)}
    results = {
        "replay": stage.do(mallory, "try_replay", tx=committed_tx),
        "forgery": stage.do(mallory, "try_forgery", **ask),
        "revoked": _revoked(stage, ask),
        "tampered-reply": _tampered_reply(stage, doctor[0], mallory, ask),
        "double-use": _double_use(stage, mallory, ask),
    }
    stage.leave(mallory)
    for attempt, result in results.items():
        if result["refused"] is None:
            raise SalusError(f"the attempt {attempt!r} was not refused: this network must not be used")
    return [{"attempt": attempt, "reason": r["refused"], "detail": r.get("detail", "")} for attempt, r in results.items()]


def _enter(stage: Stage, identity: str) -> str:
    party = stage.enter("patient", identity, identity, cheating=True)
    stage.do(party, "enrol", code=stage.code("patient", identity, identity))
    stage.do(party, "renew", count=6)
    return party


def _revoked(stage: Stage, ask: Result) -> Result:
    """A patient who has good credentials is revoked, and sends a request all the same."""
    party = _enter(stage, REVOKED)
    stage.revoke_patient(REVOKED)
    result = stage.do(party, "try_request", **ask)
    stage.leave(party)
    return result


def _tampered_reply(stage: Stage, doctor: str, patient: str, ask: Result) -> Result:
    """The cloud alters one byte of a committed reply; the patient refuses it. Unaltered again, the reply is accepted."""
    request = stage.do(patient, "request", **ask)
    reply = stage.home / doctor / "replies" / f"{request['id']}.txt"
    reply.write_text("Diagnosis: healthy.\n")
    stage.do(doctor, "treat", id=request["id"], reply=str(reply))
    digest = stage.do(patient, "reply_digest", id=request["id"])["digest"]
    body = _stored_body(stage.home / "cloud", digest)
    good = body.read_bytes()
    body.chmod(0o600)
    body.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    result = stage.do(patient, "try_read", id=request["id"])
    body.write_bytes(good)
    if stage.do(patient, "try_read", id=request["id"])["refused"] is not None:
        raise SalusError("the reply is refused although the cloud holds it unaltered again")
    return result


def _double_use(stage: Stage, patient: str, ask: Result) -> Result:
    """The same credential in a second request to another slot."""
    first = stage.do(patient, "try_reusing", **ask)
    if first["refused"] is not None:
        raise SalusError(f"the first use of a credential was refused: {first['refused']}")
    return stage.do(patient, "try_reusing", **ask)


def _stored_body(cloud: Path, digest: str) -> Path:
    found = [path for path in cloud.rglob(digest) if path.is_file()]
    if len(found) != 1:
        raise SalusError(f"the cloud holds {len(found)} files for body {digest}")
    return found[0]
