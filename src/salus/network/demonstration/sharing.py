"""The sharing half of the demonstration: records under policies, found by keyword, passed on by a threshold of nodes.

1. The centre grants attributes to two hospitals and a research institute. 2. Every owner puts the record under a policy.
3. A hospital reads every record by policy, the research institute some. 4. One of two clouds loses everything: the records are
read from the other, and then from the lost one alone, once it has fetched them back. 5. A delegation serves another hospital; who
lacks its attribute is denied; a node that lies is named, one that is down is not missed; revoked, it serves nobody.
6. An emergency.
7. Searches, beside a plain scan of the same files. 8. Every owner's access log is complete, and names what was read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from salus.errors import SalusError
from salus.ledger.kinds.sharing.messages.shares import ITEMS_MAX
from salus.network.actors import Result, file_sha256
from salus.network.demonstration.sharing_scan import choose, scan
from salus.network.demonstration.stage import DAY_MS, SharingStage
from salus.network.embedded import system_ms
from salus.network.home import slug
from salus.records.collection import RecordFile

HOSPITAL: Final = "st-anne/board"
"""Reads by policy."""
SECOND_HOSPITAL: Final = "riverside/board"
"""Reads through a delegation, and in an emergency."""
INSTITUTE: Final = "lakeside/board"
"""Reads, by policy, what is open to research."""
STRANGER: Final = "northfield/board"
"""Holds no attribute."""
GRANTS: Final = {
    HOSPITAL: ("dept:cardiology", "role:doctor"),
    SECOND_HOSPITAL: ("role:doctor", "role:emergency"),
    INSTITUTE: ("role:researcher",),
}
CLINICAL: Final = "role:doctor and dept:cardiology"
RESEARCH: Final = f"({CLINICAL}) or role:researcher"
"""Every other record is open to research too."""
READ_BY_INSTITUTE: Final = 2
DELEGATED_TO: Final = "role:doctor"
EMERGENCY: Final = "role:emergency"
EMERGENCY_REASON: Final = "found unconscious, medication unknown"
YEARS: Final = 100
"""Clinical dates lie in years that a grant covers: the last hundred."""
DAYS: Final = 30
LIAR_TRIES: Final = 12
"""Readings until the liar is among the quorum that transforms one: in processes, that is whoever was quick."""
Tell = Callable[[str, int, int], None]
Note = Callable[[str, float], None]


class _Put(msgspec.Struct, frozen=True):
    """A record that was put. :ivar owner: its owner's party. :ivar entry: what the owner's terminal says of it."""

    record: RecordFile
    owner: str
    entry: Result

    @property
    def rid(self) -> str:
        rid: str = self.entry["rid"]
        return rid


def show_sharing(
    stage: SharingStage, records: Sequence[RecordFile], owners: Sequence[str], node_names: Sequence[str], tell: Tell, note: Note
) -> Result:
    """Show it on the stage; returns what the report gains.

    :param owners: the party that owns each record. :param node_names: of the nodes with a seat.
    :param note: told (phase, milliseconds) of everything that is done.
    :raises SalusError: something that must succeed did not, or something succeeded that must not.
    """
    return _Sharing(stage, records, owners, node_names, tell, note).run()


class _Sharing:
    """One run."""

    def __init__(
        self, stage: SharingStage, records: Sequence[RecordFile], owners: Sequence[str], node_names: Sequence[str], tell: Tell,
        note: Note,
    ) -> None:  # fmt: skip
        self._stage = stage
        self._records = records
        self._owners = owners
        self._nodes = node_names
        self._tell = tell
        self._note = note
        self._read: list[Result] = []
        self._denied: list[Result] = []
        self._held: list[tuple[str, str]] = []
        """What the hospital may read by policy: share, and digest of the file."""

    def run(self) -> Result:
        self._grant()
        put = self._put_all()
        self._enter_readers(put)
        self._read_by_policy(put)
        destroyed = self._cloud_destroyed()
        through = self._delegation(put[0])
        emergency = self._emergency(put[-1])
        searches = self._searches(put)
        logs = self._logs(put)
        return {
            "attributes": {institution: list(atoms) for institution, atoms in GRANTS.items()},
            "put": [
                {"record": one.record.relative, "rid": one.rid, "owner": one.owner, "policy": one.entry["policy"]} for one in put
            ],
            "sharing": self._read,
            "searches": searches,
            "denied": self._denied,
            **destroyed,
            **through,
            "emergency": emergency,
            "access_log_complete": logs,
        }

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        self._note(phase, (time.perf_counter() - start_s) * 1000)

    # --- 1, 2: attributes, records ---

    def _grant(self) -> None:
        last = datetime.fromtimestamp(system_ms() / 1000, UTC).year
        for institution, atoms in GRANTS.items():
            self._stage.grant_attributes(institution, atoms, last - YEARS + 1, last, DAYS)

    def _put_all(self) -> list[_Put]:
        put = []
        for i, (record, owner) in enumerate(zip(self._records, self._owners, strict=True)):
            self._tell("owners put records under policies", i, len(self._records))
            self._stage.reenter(owner)
            policy = CLINICAL if i % 2 else RESEARCH
            with self._timed("put"):
                done = self._stage.do(owner, "put_records", paths=[str(record.path)], policy=policy, discoverable=not i)
            self._stage.leave(owner)
            put.append(_Put(record, owner, done["records"][0]))
        return put

    def _enter_readers(self, put: list[_Put]) -> None:
        """Each hospital and institute gets one key of its attributes, for the years of the records."""
        years = sorted({one.entry["quarter"][:4] for one in put})
        for institution in (*GRANTS, STRANGER):
            self._tell("readers get keys of their attributes", len(years), len(years))
            self._stage.reenter(_party(institution), cheating=True)
            wanted = [f"{atom}@{year}" for atom in GRANTS.get(institution, ()) for year in years]
            if wanted:
                with self._timed("attribute-key"):
                    self._stage.do(_party(institution), "request_key", attributes=wanted)

    # --- 3: by policy ---

    def _read_by_policy(self, put: list[_Put]) -> None:
        for reader, readable in ((HOSPITAL, put), (INSTITUTE, put[::2][:READ_BY_INSTITUTE])):
            for start in range(0, len(readable), ITEMS_MAX):
                part = readable[start : start + ITEMS_MAX]
                with self._timed("share-request"):
                    asked = self._stage.do(_party(reader), "share_request", rids=[one.rid for one in part], purpose="treatment")
                for i, (one, share) in enumerate(zip(part, asked["shares"], strict=True)):
                    self._tell(f"{reader} reads by policy", start + i, len(readable))
                    self._get(reader, one, share, "policy")
                    if reader == HOSPITAL:
                        self._held.append((share["id"], file_sha256(one.record.path)))

    def _get(self, reader: str, one: _Put, share: Result, via: str) -> Result:
        if (share["status"], share["via"]) != ("granted", via):
            raise SalusError(f"{reader} asked for {one.record.relative} and was not let through by {via}: {share}")
        with self._timed(f"open-by-{via}"):
            got = self._stage.do(_party(reader), "share_get", id=share["id"])
        if (digest := file_sha256(one.record.path)) != got["received_sha256"]:
            raise SalusError(f"{reader} received another {one.record.relative} than was put")
        self._read.append(
            {
                "record": one.record.relative,
                "sha256": digest,
                "rid": one.rid,
                "reader": reader,
                "via": got["via"],
                "received_sha256": got["received_sha256"],
                "transformed_by": got["transformed_by"],
            }
        )
        return got

    # --- 4: a cloud is destroyed ---

    def _cloud_destroyed(self) -> Result:
        """Everything that one cloud holds is removed; nothing of it is missed, and it is all there again afterwards."""
        before = {cloud["name"]: cloud["records"] for cloud in self._stage.cloud_status()}
        others, lost = list(before)[:-1], list(before)[-1]
        self._tell("a cloud is destroyed", 0, 3)
        files = self._stage.destroy_cloud(lost)
        without = self._read_again()
        self._tell("a cloud is destroyed", 1, 3)
        with self._timed("cloud-rebuilt"):
            self._stage.rebuild_cloud(lost)
        restored = {cloud["name"]: cloud["records"] for cloud in self._stage.cloud_status()}[lost]
        for other in others:
            self._stage.switch_off(other)
        self._tell("a cloud is destroyed", 2, 3)
        alone = self._read_again()
        for other in others:
            self._stage.switch_on(other)
        return {
            "cloud_destroyed": {
                "cloud": lost, "files_removed": files, "records_before": before[lost], "records_after": restored,
                "records": len(self._held), "read_without_it": without, "read_from_it_alone": alone,
            },
            "cloud_destroyed_nothing_lost": files > 0 and restored == before[lost] and without == alone == len(self._held) > 0,
        }  # fmt: skip

    def _read_again(self) -> int:
        """How many records reach the hospital, which reads all of them once more, with the digest that they must have."""
        reader = _party(HOSPITAL)
        got = [(self._stage.do(reader, "share_get", id=share)["received_sha256"], digest) for share, digest in self._held]
        return sum(received == digest for received, digest in got)

    # --- 5: a delegation ---

    def _delegate(self, one: _Put, to: str) -> str:
        period = one.entry["period"]
        self._stage.reenter(one.owner)
        with self._timed("delegate"):
            made = self._stage.do(
                one.owner, "create_delegations", to=to, category=one.entry["category"], first=period, last=period,
                expires_ms=system_ms() + DAYS * DAY_MS,
            )  # fmt: skip
        self._stage.leave(one.owner)
        delegation: str = made["delegations"][0]["id"]
        return delegation

    def _through(self, reader: str, one: _Put, via: str, emergency: str = "") -> Result:
        with self._timed("share-request"):
            asked = self._stage.do(
                _party(reader), "share_request", rids=[one.rid], purpose="treatment", emergency=emergency
            )  # fmt: skip
        return self._get(reader, one, asked["shares"][0], via)

    def _delegation(self, one: _Put) -> Result:
        self._tell("a delegation serves, and is revoked", 0, 1)
        delegation = self._delegate(one, DELEGATED_TO)
        self._through(SECOND_HOSPITAL, one, "delegation")
        self._refused(STRANGER, one, delegation, "unsatisfied")
        liar, down = self._nodes[0], self._nodes[-1]
        got: Result = {"liars": []}
        with self._stage.lying(liar):
            for _ in range(LIAR_TRIES):
                got = self._through(SECOND_HOSPITAL, one, "delegation")
                if got["liars"]:
                    break
        convicted = self._stage.do(_party(SECOND_HOSPITAL), "convictions", node=liar)["convictions"]
        if got["liars"] != [liar] or convicted < 1:
            raise SalusError(f"{liar} answered with a false partial and was not named: {got['liars']}, {convicted} convictions")
        self._stage.switch_off(down)
        without = self._through(SECOND_HOSPITAL, one, "delegation")
        self._stage.switch_on(down)
        if down in without["transformed_by"]:
            raise SalusError(f"{down} was down and is said to have transformed")
        self._stage.reenter(one.owner)
        with self._timed("revoke"):
            revoked = self._stage.do(one.owner, "revoke_delegation", id=delegation)
        self._stage.leave(one.owner)
        self._refused(SECOND_HOSPITAL, one, delegation, "delegation-revoked")
        return {"liar_named": liar, "node_down": down, "revocation_receipt_verified": revoked["receipt_verified"]}

    def _refused(self, reader: str, one: _Put, delegation: str, reason: str) -> None:
        asked = self._stage.do(_party(reader), "ask_through", rid=one.rid, delegation=delegation)
        if (asked["status"], asked["reason"]) != ("denied", reason):
            raise SalusError(f"{reader} must be denied for {reason!r}, and the share is {asked['status']} {asked['reason']}")
        self._denied.append({"reader": reader, "rid": one.rid, "reason": asked["reason"]})

    # --- 6: an emergency ---

    def _emergency(self, one: _Put) -> Result:
        self._tell("an emergency", 0, 1)
        self._delegate(one, EMERGENCY)
        self._through(SECOND_HOSPITAL, one, "emergency", EMERGENCY_REASON)
        self._stage.reenter(one.owner)
        seen = [r for r in self._stage.do(one.owner, "consent_list")["requests"] if r["emergency"]]
        self._stage.leave(one.owner)
        if [(r["reader"], r["emergency_reason"]) for r in seen] != [(SECOND_HOSPITAL, EMERGENCY_REASON)]:
            raise SalusError("the owner does not see the emergency with its reason")
        return {"reader": SECOND_HOSPITAL, "rid": one.rid, "seen_by_owner": True}

    # --- 7: searches ---

    def _searches(self, put: list[_Put]) -> list[Result]:
        """The hospital, which may read all records, asks for codes and words that a plain scan found in them."""
        scans = [scan(one.record.path) for one in put]
        found_in = {one.rid: one.record.relative for one in put}
        searches = []
        for i, word in enumerate(chosen := choose(scans)):
            self._tell("searches, beside a plain scan", i, len(chosen))
            with self._timed("search"):
                found = self._stage.do(_party(HOSPITAL), "search_records", words=[word])
            rids = [*found["readable"], *found["discoverable"]]
            expected = [one.record.relative for one, has in zip(put, scans, strict=True) if word in has]
            named = sorted(found_in.get(rid, rid) for rid in rids)
            searches.append({"word": word, "reader": HOSPITAL, "found": named, "expected": sorted(expected)})
        return searches

    # --- 8: access logs ---

    def _logs(self, put: list[_Put]) -> bool:
        """Whether the proven log of every owner names every reading, and every denial, of its records."""
        complete = True
        for i, one in enumerate(put):
            self._tell("owners check their access logs", i, len(put))
            self._stage.reenter(one.owner)
            log = self._stage.do(one.owner, "access_log")
            self._stage.leave(one.owner)
            acts: list[dict[str, Any]] = [e for e in log["entries"] if e["rid"] == one.rid]
            got = sorted((e["reader"], e["via"]) for e in acts if e["act"] == "granted")
            due = sorted((r["reader"], r["via"]) for r in self._read if r["rid"] == one.rid)
            denied = sorted((e["reader"], e["reason"]) for e in acts if e["act"] == "denied")
            refused = sorted((r["reader"], r["reason"]) for r in self._denied if r["rid"] == one.rid)
            complete = complete and log["complete"] and (got, denied) == (due, refused)
        return complete


def _party(institution: str) -> str:
    return f"institution-{slug(institution)}"
