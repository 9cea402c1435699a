"""A whole session at a shell, compared with a golden transcript; what differs from run to run is masked.

To write it anew, delete the golden file and run the test:
the test then writes it and fails once, so that somebody reads it.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.command_line import Terminal, masked

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "cli"

SESSION = """
network init
party enrol --role doctor st-anne/dr-lee --display-name 'Dr Lee'
party enrol --role patient 'Ada Berg'
party enrol --role patient 'Ada Berg'
wallet create --role institution hillside/board
doctor list
--as st-anne/dr-lee slot publish --day today --count 1
--as 'Ada Berg' credential list
--as 'Ada Berg' credential renew --count 20
--as 'Ada Berg' consultation request --doctor st-anne/dr-lee --day today {record}
--as st-anne/dr-lee consultation queue
--as st-anne/dr-lee consultation open {id}
--as st-anne/dr-lee trace request {id} --grounds 'false record'
--as st-anne/board trace approve {case} --evidence {evidence}
--as st-anne/dr-lee trace open {case}
--as riverside/board trace approve {case} --evidence {evidence}
--as lakeside/board trace approve {case} --evidence {evidence}
--as st-anne/dr-lee trace open {case}
trace show {case}
--as 'Ada Berg' wallet backup {backup}
--as st-anne/dr-lee consultation treat {id} --reply {reply}
--as 'Ada Berg' consultation replies
--as 'Ada Berg' consultation read {id}
--as 'Ada Berg' consultation read {id}
--as 'Ada Berg' consultation replies
--as st-anne/dr-lee slot publish --day today --count 1
--as 'Ada Berg' consultation request --doctor st-anne/dr-lee --day today {record}
--as st-anne/dr-lee consultation decline {id} --reason bad-body --note 'not my field'
--as 'Ada Berg' consultation replies
--as st-anne/dr-lee slot publish --day today --count 3
--as st-anne/dr-lee slot cancel 2 4
--as st-anne/dr-lee slot list
--as 'Ada Berg' wallet show
network status
network verify
audit log --kind consultation.request
audit export {export} --genesis {genesis}
audit verify {export} --genesis {genesis}
party revoke 'Ada Berg'
--as 'Ada Berg' consultation request --doctor st-anne/dr-lee --day today {record}
party list
"""


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "programs"])
def test_a_session_reads_as_it_did(empty: Terminal, tmp_path: Path, as_json: bool) -> None:
    files = {name: tmp_path / name for name in ("record", "reply", "backup", "export", "genesis", "evidence")}
    files["record"].write_text("pulse 71, blood pressure 118/76\n")
    files["reply"].write_text("drink water\n")
    names = {path: name for name, path in files.items()} | {empty.home: "HOME"}
    known = {name: str(path) for name, path in files.items()}
    told = []
    for line in SESSION.strip().splitlines():
        words = shlex.split(line.format_map({**known, "id": known.get("id", ""), "case": known.get("case", "")}))
        done = empty(*words, *(["--json"] if as_json else []))
        told.append(f"$ salus {line}\n{done.out}{done.err}" + (f"[status {done.status}]\n" if done.status else ""))
        _learn(empty, words, known)
    text = masked("\n".join(told), names).replace(datetime.now(UTC).date().isoformat(), "<today>")
    _compare(GOLDEN / ("session-json.txt" if as_json else "session.txt"), text)


def _learn(terminal: Terminal, words: list[str], known: dict[str, str]) -> None:
    """What a person would copy from one command's output into the next one's arguments."""
    if "request" in words and "consultation" in words:
        waiting = terminal.good("--as", "st-anne/dr-lee", "consultation", "queue")["waiting"]
        if waiting:
            known["id"] = waiting[-1]["id"]
    if "trace" in words and "request" in words:
        (evidence,) = (terminal.home / "doctor-st-anne.dr-lee" / "evidence").iterdir()
        known |= {"case": evidence.stem, "evidence": str(evidence)}


def _compare(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path} was not there and has been written: read it, then keep it")
    assert text == path.read_text()
