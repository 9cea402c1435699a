"""Commands of the sharing half, used wrongly or refused: what is wrong, where, and what to do; statuses 0, 1 and 2.

One home for all tests: what one of them changes in it does not matter to the others.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from salus.cli.progress import ProgressDisplay
from salus.network.embedded import EmbeddedNetwork
from support.command_line import Terminal
from support.embedded import DOCTOR, opened_patient
from support.sharing_desks import HOSPITAL as HOSPITAL_NAME
from support.sharing_desks import QUARTER, desk, in_days, put

ALICE = ("--as", "alice")
HOSPITAL = ("--as", HOSPITAL_NAME)
RIVERSIDE = ("--as", "riverside/board")
VITALS = ("--category", "vitals", "--from", QUARTER, "--until", QUARTER)
ZEROES = "00" * 32
YEAR_MS = 365 * 24 * 3600 * 1000


class Home:
    """A home with a hospital of doctors and a record for doctors that is delegated to oncologists.

    :ivar rid, delegation: ids in hexadecimal.
    """

    def __init__(self, furnished: Path, directory: Path) -> None:
        self.path = directory / "home"
        shutil.copytree(furnished, self.path)
        self.note = directory / "note.txt"
        self.note.write_text("pulse 71, pressure 118/76\n" * 9000)
        self.directory = directory
        with EmbeddedNetwork.open(self.path) as network:
            network.centre.grant_attributes(HOSPITAL_NAME, ["role:doctor"], 2024, 2026, network.now_ms() + YEAR_MS // 2)
            owner = desk(opened_patient(network, "alice"))
            self.rid = put(owner, self.note, policy="role:doctor", keywords=("troponin",)).rid.hex()
            (made,) = owner.delegating.create("dept:oncology", "vitals", QUARTER, QUARTER, in_days(owner, 30))
            self.delegation = made.delegation.hex()


@pytest.fixture(scope="module")
def home(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(furnished, tmp_path_factory.mktemp("sharing-trouble"))


@pytest.fixture
def salus(home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(home.path, capsys, monkeypatch)


def wrong_usage(salus: Terminal, *arguments: str | Path, says: str) -> None:
    """Status 2, and which command's help to read; nothing is opened for it."""
    message = salus.bad(*arguments, reason="usage", status=2)
    assert says in message
    assert f"see: salus {' '.join(a for a in arguments if a in COMMAND_WORDS)} --help" in message


COMMAND_WORDS = ("record", "put", "get", "export", "attribute", "grant", "delegation", "create", "search", "share", "request")


def test_usage(salus: Terminal, home: Home) -> None:
    note = home.note
    wrong_usage(salus, *ALICE, "record", "put", note, "--category", "nonsense", says="'nonsense' is not one of 'lab'")
    wrong_usage(salus, *ALICE, "record", "put", note, "--period", "2025Q5", says="'2025Q5' is no quarter")
    wrong_usage(salus, *ALICE, "record", "put", note, note, "--supersedes", home.rid, says="one file supersedes one record")
    wrong_usage(salus, *ALICE, "record", "get", home.rid, "--range", "9-2", says="'9-2' is no range of bytes")
    wrong_usage(salus, *ALICE, "record", "get", home.rid, "--range", "5", says="write A-B")
    wrong_usage(salus, *ALICE, "record", "export", home.rid, says="Missing option '--crypt4gh'")
    wrong_usage(salus, "attribute", "grant", HOSPITAL_NAME, "role:x", "--years", "soon", says="'soon' are no years")
    wrong_usage(salus, "attribute", "grant", HOSPITAL_NAME, "role:x", "--years", "2026-2024", says="'2026-2024' are no years")
    wrong_usage(salus, "attribute", "grant", HOSPITAL_NAME, "role:x", "--expires", "some day", says="some day")
    create = (*ALICE, "delegation", "create", "--to", "role:doctor", "--category", "lab")
    wrong_usage(salus, *create, says="name --from and --until, or --whole-category")
    wrong_usage(salus, *create, "--from", "2025Q4", says="name --from and --until, or --whole-category")
    wrong_usage(salus, *create, "--from", "2025Q4", "--until", "2025q4", says="'2025q4' is no quarter")
    both = ("--whole-category", "--from", QUARTER, "--until", QUARTER)
    wrong_usage(salus, *create, *both, says="name --from and --until, or --whole-category")
    wrong_usage(salus, *create, "--from", QUARTER, "--until", QUARTER, "--year", "2026", says="--year goes with --whole-category")
    wrong_usage(salus, *HOSPITAL, "search", says="Missing argument 'WORD...'")
    request = (*HOSPITAL, "share", "request", home.rid)
    wrong_usage(salus, *request, says="Missing option '--purpose'")
    wrong_usage(salus, *request, "--purpose", "fun", says="'fun' is not one of 'treatment'")
    wrong_usage(salus, *request, "--purpose", "emergency", says="go together")
    wrong_usage(salus, *request, "--purpose", "treatment", "--emergency", "bleeds", says="go together")


def test_files_that_cannot_be_put(salus: Terminal, home: Home, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        assert f"{path} is no file that can be read" in salus.bad(*ALICE, "record", "put", path, reason="storage")
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    rid = salus.good(*ALICE, "record", "put", empty)["records"][0]["rid"]
    got = salus.good(*ALICE, "record", "get", rid, "--out", tmp_path / "out")
    assert (got["bytes"], (tmp_path / "out").read_bytes()) == (0, b"")
    salus.bad(*ALICE, "record", "get", rid, "--range", "0-0", "--out", tmp_path / "part", reason="bad-range")


@pytest.mark.parametrize(
    ("policy", "reason", "says"),
    [
        ("role:doctor &", "bad-policy", "(character 13): role:doctor  >>> &"),
        ("role:doctor and", "bad-policy", "(character 16): role:doctor and >>>"),
        ("2 of (role:a)", "bad-policy", "(character "),
        ("role:Doctor", "bad-policy", "(character 6): role: >>> Doctor"),
        (f"own:{'ab' * 32}", "own-in-policy", "own:"),
    ],
)
def test_malformed_policies_are_pointed_at_wherever_one_is_given(
    salus: Terminal, home: Home, policy: str, reason: str, says: str
) -> None:
    for command in (
        ("record", "put", home.note, "--policy", policy),
        ("record", "policy", home.rid, policy),
        ("delegation", "create", "--to", policy, *VITALS),
        ("consent", "grant", ZEROES, "--to", policy),
    ):
        assert says in salus.bad(*ALICE, *command, reason=reason)
    assert says in salus.bad("policy", "check", policy, reason=reason)


def test_ids_that_are_malformed_or_name_nothing(salus: Terminal, home: Home) -> None:
    key = home.directory / "key.pub"
    records: tuple[tuple[str, tuple[str | Path, ...]], ...] = (
        ("show", ()), ("get", ()), ("policy", ("role:x",)), ("rotate", ()), ("erase", ()), ("export", ("--crypt4gh", key)),
    )  # fmt: skip
    key.write_text("-----BEGIN CRYPT4GH PUBLIC KEY-----\n" + "A" * 43 + "=\n-----END CRYPT4GH PUBLIC KEY-----\n")
    for verb, more in records:
        message = salus.bad(*ALICE, "record", verb, "zz", *more, reason="bad-encoding")
        assert message == "bad-encoding: the id of a record has 32 hexadecimal digits; write 8 at least"
    assert "no record known here begins with 00000000" in salus.bad(*ALICE, "record", "show", "00000000", reason="not-found")
    assert "salus record list" in salus.bad(*ALICE, "record", "get", "00" * 16, reason="unknown-record")
    salus.bad(*ALICE, "delegation", "show", "zz", reason="bad-encoding")
    assert "salus delegation list" in salus.bad(*ALICE, "delegation", "revoke", ZEROES, reason="unknown-delegation")
    salus.bad(*ALICE, "consent", "grant", "0" * 8, reason="not-found")
    assert "no request to share" in salus.bad(*ALICE, "consent", "refuse", ZEROES, reason="unknown-share")
    salus.bad(*HOSPITAL, "share", "request", "zz", "--purpose", "treatment", reason="bad-encoding")
    message = salus.bad(*HOSPITAL, "share", "request", "00" * 16, "--purpose", "treatment", reason="unknown-record")
    assert message == f"unknown-record: {'00' * 16}: There is no record of that id."
    salus.bad(*HOSPITAL, "share", "get", "zz", reason="bad-encoding")
    salus.bad(*HOSPITAL, "share", "get", ZEROES, reason="unknown-share")
    through = ("share", "request", home.rid, "--purpose", "treatment", "--through")
    salus.bad(*HOSPITAL, *through, "zz", reason="bad-encoding")
    salus.bad("access", "explain", "zz", *HOSPITAL, reason="bad-encoding")
    salus.bad("access", "explain", "00" * 16, *HOSPITAL, reason="unknown-record")


def test_wrong_people(salus: Terminal, home: Home) -> None:
    assert "say who acts: --as NAME" in salus.bad("record", "put", home.note, reason="settings")
    assert "there are: doctor-st-anne.dr-test" in salus.bad("--as", "nobody", "record", "list", reason="unknown-party")
    assert "is no patient or institution" in salus.bad("--as", DOCTOR, "record", "put", home.note, reason="failed")
    for command in (("attribute", "request-key"), ("share", "list"), ("share", "request", home.rid, "--purpose", "treatment")):
        assert "patient-alice is no institution: name one by --as" in salus.bad(*ALICE, *command, reason="failed")
    assert "alice is no institution" in salus.bad("access", "explain", home.rid, *ALICE, reason="unknown-party")
    for verb in ("grant", "revoke"):
        message = salus.bad("attribute", verb, "nobody/x", "role:doctor", reason="unknown-party")
        assert "there are: st-anne/board" in message
    salus.bad("attribute", "list", "nobody/x", reason="unknown-party")
    salus.bad("party", "suspend", "nobody/x", reason="unknown-party")
    assert "there are: st-anne/node-0" in salus.bad("party", "suspend", HOSPITAL_NAME, "--node", "zz", reason="unknown-party")


def test_attributes(salus: Terminal) -> None:
    grant = ("attribute", "grant", HOSPITAL_NAME)
    assert "(character 1)" in salus.bad(*grant, "Role:x", reason="bad-attribute")
    assert "without a year" in salus.bad(*grant, "role:doctor@2025", reason="bad-attribute")
    salus.bad(*grant, "own:zz", reason="bad-attribute")
    assert "ends before this block" in salus.bad(*grant, "role:x", "--expires", "2020-01-01", reason="expired")
    assert " UTC at the latest" in salus.bad(*grant, "role:x", "--expires", "2199-01-01", reason="too-far-ahead")
    salus.bad("attribute", "revoke", HOSPITAL_NAME, "role:none", reason="not-found")
    salus.bad(*HOSPITAL, "attribute", "request-key", "Role:x", reason="bad-attribute")
    message = salus.bad(*HOSPITAL, "attribute", "request-key", "role:king@2025", reason="no-attribute")
    assert "does not hold role:king@2025" in message
    assert "attribute list" in salus.bad(*RIVERSIDE, "attribute", "request-key", reason="no-attribute")


def test_ranges_outputs_and_repetitions(salus: Terminal, home: Home, tmp_path: Path) -> None:
    get = (*ALICE, "record", "get", home.rid)
    message = salus.bad(*get, "--range", "0-9999999", "--out", tmp_path / "part", reason="bad-range")
    assert "the record has 234000 bytes" in message
    assert "exists already" in salus.bad(*get, "--out", home.note, reason="storage")
    assert str(tmp_path / "no") in salus.bad(*get, "--out", tmp_path / "no" / "such", reason="storage")
    assert list(tmp_path.iterdir()) == []
    salus.bad(*ALICE, "record", "policy", home.rid, "role:doctor", reason="already-done")
    salus.bad(*ALICE, "record", "put", home.note, "--keyword", "!!!", reason="bad-keyword")
    salus.bad(*ALICE, "search", "the", reason="bad-keyword")
    late = ("delegation", "create", "--to", "role:x", "--category", "lab", "--from", "2025Q4", "--until", "2025Q1")
    assert "2025Q4 to 2025Q1 is no range" in salus.bad(*ALICE, *late, reason="bad-period")
    long = ("delegation", "create", "--to", "role:x", "--category", "lab", "--from", "2000Q1", "--until", "2025Q1")
    assert "at most 40 quarters" in salus.bad(*ALICE, *long, reason="too-large")
    past = ("delegation", "create", "--to", "role:x", *VITALS, "--expires", "2020-01-01")
    salus.bad(*ALICE, *past, reason="delegation-expired")


def why(share: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return [(one["way"], one["reason"], one["missing"]) for one in share["why"]]


def test_a_reader_is_told_why_it_is_denied_or_waits(salus: Terminal, home: Home, tmp_path: Path) -> None:
    request = ("share", "request", home.rid, "--purpose", "treatment")
    # through one delegation alone: a definite answer, on the ledger
    done = salus(*HOSPITAL, *request, "--through", home.delegation[:8], "--json")
    assert done.status == 1
    (share,) = done.json["shares"]
    missing = ["dept:oncology@2025"]
    assert (share["status"], share["reason"]) == ("denied", "unsatisfied")
    assert why(share) == [("delegation", "unsatisfied", missing)]
    assert done.json["error"]["reason"] == "unsatisfied"
    assert done.error == f"1 of 1 were denied: by delegation {home.delegation[:16]}: unsatisfied, missing dept:oncology@2025"
    assert "missing dept:oncology@2025" in salus.bad(*HOSPITAL, "share", "get", share["id"], reason="unsatisfied")
    # to the owner: it waits, and is told what would have opened it
    (share,) = salus.good(*RIVERSIDE, *request)["shares"]
    assert (share["status"], share["reason"]) == ("waiting", "")
    expected = [("policy", "unsatisfied", ["role:doctor@2025"]), ("delegation", "unsatisfied", missing)]
    assert why(share) == expected
    assert why(salus.good(*RIVERSIDE, "share", "list")["shares"][0]) == expected
    assert [(o["way"], o["reason"]) for o in salus.good("access", "explain", home.rid, *RIVERSIDE)["why"]] == [
        ("policy", "unsatisfied"), ("delegation", "unsatisfied"),
    ]  # fmt: skip
    message = salus.bad(*RIVERSIDE, "share", "get", share["id"], reason="not-granted")
    assert "waits for its owner's consent; by policy: unsatisfied, missing role:doctor@2025" in message
    # grants for other years are remarked upon
    salus.good("attribute", "grant", "riverside/board", "dept:oncology", "--years", "2020-2021")
    told = salus("access", "explain", home.rid, *RIVERSIDE).out
    assert "Note: dept:oncology is granted for 2020-2021, not for 2025." in told
    # refused by the owner
    salus.good(*ALICE, "consent", "refuse", share["id"])
    (share,) = salus.good(*RIVERSIDE, "share", "list")["shares"]
    assert (share["status"], share["reason"], share["why"]) == ("denied", "refused-by-owner", [])
    assert "The owner has refused" in salus.bad(*RIVERSIDE, "share", "get", share["id"], reason="refused-by-owner")
    # a delegation that was revoked
    made = salus.good(*ALICE, "delegation", "create", "--to", "role:doctor", *VITALS)["delegations"][0]["id"]
    salus.good(*ALICE, "delegation", "revoke", made)
    done = salus(*HOSPITAL, *request, "--through", made, "--json")
    assert (done.status, done.json["error"]["reason"]) == (1, "delegation-revoked")
    assert salus(*HOSPITAL, "share", "list").out.count(f"by delegation {made[:16]}: delegation-revoked") == 1


def test_a_suspended_institution_is_refused_whatever_it_asks(salus: Terminal, home: Home, tmp_path: Path) -> None:
    request = (*HOSPITAL, "share", "request", home.rid, "--purpose", "treatment")
    share = salus.good(*request)["shares"][0]["id"]
    one = salus.good("party", "suspend", HOSPITAL_NAME, "--node", "st-anne/node-0")
    assert (one["suspended"], one["against"], one["seats"]) == (False, ["st-anne/node-0"], 4)
    assert salus.good("party", "suspend", HOSPITAL_NAME, "--node", "st-anne/node-0")["voted"] == []
    done = salus("party", "suspend", HOSPITAL_NAME)
    assert done.out.splitlines()[-1] == f"{HOSPITAL_NAME} is suspended: 4 of 4 seats have signed against it."
    try:
        for command in (request, (*HOSPITAL, "share", "get", share), (*HOSPITAL, "search", "word-never-asked")):
            assert "more than a third of the seats" in salus.bad(*command, reason="suspended")
        assert salus.good("access", "explain", home.rid, *HOSPITAL)["outcome"] == "suspended"
        (listed,) = [p for p in salus.good("party", "list")["parties"] if p["name"] == HOSPITAL_NAME]
        assert listed["suspended"]
    finally:
        assert salus.good("party", "reinstate", HOSPITAL_NAME)["against"] == []
    got = salus.good(*HOSPITAL, "share", "get", share, "--out", tmp_path)
    assert Path(got["path"]).read_bytes() == home.note.read_bytes()


def test_a_whole_category_is_put_and_delegated(salus: Terminal, home: Home, tmp_path: Path) -> None:
    put_ = (*ALICE, "record", "put", home.note, "--category", "lab", "--whole-category")
    rids = [salus.good(*put_, "--period", period)["records"][0]["rid"] for period in ("2024Q1", "2025Q4")]
    create = (*ALICE, "delegation", "create", "--to", "role:doctor", "--category", "lab", "--whole-category", "--year", "2026")
    (made,) = salus.good(*create)["delegations"]
    assert (made["period"], made["to"]) == ("all", "role:doctor@2026")
    shares = salus.good(*HOSPITAL, "share", "request", *rids, "--purpose", "research")["shares"]
    assert [(s["status"], s["via"], s["delegation"]) for s in shares] == [("granted", "delegation", made["id"])] * 2
    for number, share in enumerate(shares):
        got = salus.good(*HOSPITAL, "share", "get", share["id"], "--out", tmp_path / str(number))
        assert Path(got["path"]).read_bytes() == home.note.read_bytes()


def test_a_first_search_asks_for_the_key_it_needs(salus: Terminal, home: Home) -> None:
    found = salus.good(*HOSPITAL, "search", "troponin", "--thorough")
    assert (found["readable"], found["liars"], found["attributes_without_key"]) == ([home.rid], {}, [])
    assert len(found["answered_by"]) >= 2
    salus.good("attribute", "grant", HOSPITAL_NAME, "cert:icu", "--years", "2025")
    assert salus.good(*HOSPITAL, "search", "troponin")["attributes_without_key"] == ["cert:icu@2025"]
    assert "run: salus attribute request-key" in salus(*HOSPITAL, "search", "troponin").out


def test_what_takes_longer_tells_its_progress(
    salus: Terminal, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the display shows after a second, wherever stderr is a terminal: the stage, and bytes where there are many."""
    told: list[str] = []
    honest = ProgressDisplay._tell

    def tell(display: ProgressDisplay, what: str, done: int, total: int, in_bytes: bool) -> None:
        told.append(what)
        honest(display, what, done, total, in_bytes)

    monkeypatch.setattr(ProgressDisplay, "_tell", tell)
    for command, stages in (
        ((*ALICE, "record", "put", home.note, "--category", "other"), {"putting records", "encrypting"}),
        ((*ALICE, "record", "get", home.rid, "--out", tmp_path / "out"), {"fetching"}),
        ((*ALICE, "record", "rotate", home.rid), {"rotating", "fetching", "encrypting"}),
        ((*ALICE, "delegation", "create", "--to", "role:x", *VITALS), {"delegating"}),
        ((*HOSPITAL, "attribute", "request-key"), {"asking the nodes"}),
        ((*HOSPITAL, "search", "troponin"), {"searching"}),
        ((*HOSPITAL, "share", "request", home.rid, "--purpose", "research"), {"asking"}),
    ):
        told.clear()
        assert salus(*command).status == 0
        assert {"opening the network", *stages} <= set(told)


def test_what_is_erased_or_superseded_stays_so(salus: Terminal, home: Home) -> None:
    rids = [salus.good(*ALICE, "record", "put", home.note, "--category", "other")["records"][0]["rid"] for _ in range(2)]
    newer = salus.good(*ALICE, "record", "put", home.note, "--supersedes", rids[0])["records"][0]
    assert newer["supersedes"] == rids[0]
    assert "superseded" in salus.bad(*ALICE, "record", "put", home.note, "--supersedes", rids[0], reason="record-superseded")
    salus.good(*ALICE, "record", "erase", rids[1])
    for command in (("erase", rids[1]), ("rotate", rids[1]), ("get", rids[1]), ("policy", rids[1], "role:x")):
        assert "tombstone" in salus.bad(*ALICE, "record", *command, reason="record-erased")
    message = salus.bad(*ALICE, "record", "put", home.note, "--supersedes", rids[1], reason="record-erased")
    assert "nothing can take its place" in message
    salus.bad(*HOSPITAL, "share", "request", rids[1], "--purpose", "treatment", reason="record-erased")
    salus.bad("access", "explain", rids[1], *HOSPITAL, reason="record-erased")
