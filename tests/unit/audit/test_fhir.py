"""Access logs as FHIR R4: every kind of entry validates, refers to what is there, says who, why and by what right, no more."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from salus.abpre.language import parse
from salus.errors import Refused, SalusError
from salus.ledger.access_export import AuditedAccess, verify_access_export
from salus.ledger.kinds.sharing.access_log import ACTS, OF_SHARES, AccessEntry
from salus.ledger.kinds.sharing.messages.shares import PURPOSES
from salus.terminal.audit.fhir import codes
from salus.terminal.audit.fhir.bundle import Made, make_bundle, validate
from salus.terminal.audit.fhir.resources import days_of, instant
from support.audit_world import EMERGENCY_POLICY, audit_file, eventful
from support.sharing_world import CLINIC, HOSPITAL, POLICY, SharingChain, SharingWorld, granted_world

Resource = dict[str, Any]
POLICY_TEXT = parse(POLICY).text
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


@pytest.fixture(scope="module")
def chain() -> SharingChain:
    chain = SharingWorld().chain().set_up()
    granted_world(chain)
    return chain


@pytest.fixture(scope="module")
def audited(chain: SharingChain) -> AuditedAccess:
    """Scopes of two owners: a patient's where everything happened, and an institution's with one record."""
    patient = eventful(chain)
    own = chain.world.scope_key("hospital", "imaging", "2025Q4")
    chain.commit(chain.world.open_by_institution(own, HOSPITAL))
    chain.put(own, POLICY)
    chain.later(1000)
    first, second = (
        audit_file(chain, x, category=c, period=p)
        for x, c, p in ((patient.scope, "lab", "2025Q3"), (own.scope, "imaging", "2025Q4"))
    )
    both = replace(first, scopes=first.scopes + second.scopes, transactions=first.transactions + second.transactions)
    return verify_access_export(both, chain.world.network)


@pytest.fixture(scope="module")
def made(audited: AuditedAccess) -> Made:
    return make_bundle(audited)


@pytest.fixture(scope="module")
def resources(made: Made) -> list[Resource]:
    return [entry["resource"] for entry in made.bundle["entry"]]


def named(resources: list[Resource], kind: str) -> list[Resource]:
    return [r for r in resources if r["resourceType"] == kind]


def coded(concept: Resource) -> set[str]:
    return {c["code"] for c in concept["coding"]}


def act_of(resource: Resource) -> str:
    """The project's word for what a resource records."""
    codings = resource["subtype"] if resource["resourceType"] == "AuditEvent" else resource["activity"]["coding"]
    return next(str(c["code"]) for c in codings if c["system"] == codes.ACT)


def events(resources: list[Resource], act: str) -> list[Resource]:
    return [r for r in named(resources, "AuditEvent") if act_of(r) == act]


def strings(value: Any, name: str) -> Iterator[str]:
    """Every text under a name, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name and isinstance(inner, str):
                yield inner
            yield from strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, name)


def test_every_entry_is_in_the_bundle_as_its_own_resource(audited: AuditedAccess, resources: list[Resource]) -> None:
    entries = [entry for scope in audited.scopes for entry in scope.entries]
    assert {entry.act for entry in entries} == set(ACTS)
    recorded = [*named(resources, "AuditEvent"), *named(resources, "Provenance")]
    found = sorted((act_of(r), r["recorded"]) for r in recorded)
    assert found == sorted((entry.act, instant(entry.time_ms)) for entry in entries)
    kinds = {act_of(r): r["resourceType"] for r in recorded}
    assert kinds == {act: "AuditEvent" if act in OF_SHARES else "Provenance" for act in ACTS}


@pytest.mark.parametrize(
    "kind", ["Device", "Patient", "Organization", "DocumentReference", "Consent", "AuditEvent", "Provenance"]
)
def test_each_resource_validates_by_itself(resources: list[Resource], kind: str) -> None:
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    chosen = named(resources, kind)
    assert chosen
    for resource in chosen:
        again = json.loads(model.model_validate(resource).model_dump_json())
        # nothing was taken for something else, or dropped; instants may be written another way
        assert again.keys() == resource.keys()


def test_the_bundle_validates_and_a_spoilt_one_does_not(made: Made) -> None:
    validate(made.bundle)
    spoilt = json.loads(made.to_json())
    del next(e["resource"] for e in spoilt["entry"] if e["resource"]["resourceType"] == "AuditEvent")["source"]
    with pytest.raises(SalusError, match="not valid FHIR"):
        validate(spoilt)


def test_every_reference_leads_to_a_resource_of_the_bundle(made: Made) -> None:
    urls = [entry["fullUrl"] for entry in made.bundle["entry"]]
    assert len(set(urls)) == len(urls)
    for entry in made.bundle["entry"]:
        assert entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}"
    references = set(strings(made.bundle, "reference"))
    assert references <= set(urls)
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in made.bundle["entry"]}
    assert {kinds[url] for url in references} >= {"Patient", "Organization", "Device", "DocumentReference", "Consent"}


def test_what_the_models_do_not_check_of_consents(resources: list[Resource]) -> None:
    """Invariants ppc-1 and ppc-2 of R4: a policy or a rule; a patient where the scope is privacy."""
    for consent in named(resources, "Consent"):
        assert coded(consent["scope"]) == {"patient-privacy"}
        assert "reference" in consent["patient"]
        assert consent["policyRule"]["coding"][0]["code"] == ("OPTIN" if consent["provision"]["type"] == "permit" else "OPTOUT")
        assert consent["status"] in ("active", "inactive")


def test_two_exports_are_the_same_bytes(chain: SharingChain, audited: AuditedAccess, made: Made) -> None:
    assert make_bundle(audited).to_json() == made.to_json()
    chain.later(60_000)  # another header, the same logs
    x = audited.scopes[0].scope
    later = verify_access_export(audit_file(chain, x), chain.world.network)
    alone = replace(audited, scopes=audited.scopes[:1])
    assert later.scopes[0].as_of_ms > audited.scopes[0].as_of_ms
    assert make_bundle(later).to_json() == make_bundle(alone).to_json()


def test_a_request_names_reader_purpose_and_record(resources: list[Resource]) -> None:
    asked = events(resources, "asked")
    names = {url: r["name"] for r in named(resources, "Organization") for url in [f"urn:uuid:{r['id']}"]}
    readers = [names[e["agent"][0]["who"]["reference"]] for e in asked]
    assert readers == [HOSPITAL, HOSPITAL, CLINIC, CLINIC, HOSPITAL, CLINIC]
    purposes = [[c["code"] for p in e["purposeOfEvent"] for c in p["coding"]] for e in asked]
    assert purposes == [["HRESCH"], ["TREAT"], ["HPAYMT"], ["ETREAT", "BTG"], ["TREAT"], ["PATRQT"]]
    for event in asked:
        assert (event["type"]["code"], event["action"], event["outcome"]) == ("110112", "E", "0")
        assert event["agent"][0]["purposeOfUse"] == event["purposeOfEvent"]
        assert {c["system"] for p in event["purposeOfEvent"] for c in p["coding"]} == {ACT_REASON}


def test_every_purpose_of_the_ledger_has_its_code() -> None:
    assert set(codes.PURPOSES) == set(PURPOSES)
    assert {c["system"] for found in codes.PURPOSES.values() for c in found} == {ACT_REASON}


def consented(resources: list[Resource], event: Resource) -> Resource:
    """The consent that an event says it was decided by."""
    by_url = {f"urn:uuid:{r['id']}": r for r in resources}
    found = [by_url[e["what"]["reference"]] for e in event["entity"] if "reference" in e["what"]]
    (consent,) = [r for r in found if r["resourceType"] == "Consent"]
    return consent


def test_grants_refer_to_the_policy_or_the_delegation_that_let_them_through(resources: list[Resource]) -> None:
    policy, delegation, emergency, consent = events(resources, "granted")
    rules = [consented(resources, e)["policyRule"]["text"] for e in (policy, delegation, emergency, consent)]
    assert rules == [POLICY_TEXT, POLICY_TEXT, EMERGENCY_POLICY, POLICY_TEXT]
    for event in (policy, delegation, emergency, consent):
        assert (event["type"]["code"], event["outcome"]) == ("110113", "0")
        assert "AuthZ-Consent" in coded({"coding": event["subtype"]})
    assert [e["entity"][-2]["detail"][0]["valueString"] for e in (policy, delegation, emergency)] == [
        "policy", "delegation", "emergency",
    ]  # fmt: skip


def test_denials_have_their_reason_and_refusals_their_consenter(resources: list[Resource]) -> None:
    (denied,) = events(resources, "denied")
    assert denied["outcome"] == "8"
    assert denied["outcomeDesc"].startswith("unsatisfied: ")
    (refused,) = events(resources, "refused")
    assert (refused["outcome"], refused["outcomeDesc"].partition(":")[0]) == ("8", "refused-by-owner")
    assert coded(refused["agent"][1]["type"]) == {"CONSENTER"}
    assert {e["outcome"] for e in events(resources, "waiting")} == {"4"}


def test_emergencies_are_marked(resources: list[Resource]) -> None:
    marked = [r for r in named(resources, "AuditEvent") if "110127" in coded({"coding": r["subtype"]})]
    assert [act_of(r) for r in marked] == ["asked", "granted"]
    (standing,) = [r for r in named(resources, "Consent") if any("emrgonly" in coded(c) for c in r["category"])]
    assert [c["code"] for c in standing["provision"]["purpose"]] == ["ETREAT", "BTG"]


def test_delegations_say_for_whom_what_and_how_long(resources: list[Resource]) -> None:
    found = [r for r in named(resources, "Consent") if r["identifier"][0]["system"] == codes.DELEGATION]
    revoked, standing = found
    assert (revoked["status"], standing["status"]) == ("inactive", "active")
    for consent in found:
        provision = consent["provision"]
        assert provision["actor"][0]["reference"]["identifier"]["value"] == consent["policyRule"]["text"]
        assert provision["dataPeriod"] == {"start": "2025-07-01", "end": "2025-09-30"}
        assert coded(provision["code"][0]) == {"lab", "laboratory"}
        assert provision["period"]["start"] < provision["period"]["end"]
    (revocation,) = [r for r in named(resources, "Provenance") if act_of(r) == "revoked"]
    assert revoked["provision"]["period"]["end"] == revocation["recorded"]
    assert revocation["target"] == [{"reference": f"urn:uuid:{revoked['id']}"}]
    assert "ABORT" in coded(revocation["activity"])


def test_an_owners_decisions_are_consents_of_their_own(resources: list[Resource]) -> None:
    yes, no = [r for r in named(resources, "Consent") if r["identifier"][0]["system"] == codes.SHARE]
    assert (yes["provision"]["type"], no["provision"]["type"]) == ("permit", "deny")
    delegated = {f"urn:uuid:{r['id']}" for r in named(resources, "Consent") if r["identifier"][0]["system"] == codes.DELEGATION}
    assert yes["sourceReference"]["reference"] in delegated
    assert yes["provision"]["data"][0]["meaning"] == no["provision"]["data"][0]["meaning"] == "instance"


def test_a_records_policies_follow_one_another(resources: list[Resource]) -> None:
    mine = [r for r in named(resources, "Consent") if r["identifier"][0]["system"] == codes.RECORD]
    first, second, newer, others = mine
    assert [r["policyRule"]["text"] for r in mine] == [POLICY_TEXT, "role:nurse@2025", POLICY_TEXT, POLICY_TEXT]
    assert [r["status"] for r in mine] == ["inactive", "active", "active", "active"]
    assert first["provision"]["period"]["end"] == second["provision"]["period"]["start"]
    assert "end" not in newer["provision"]["period"]
    assert "end" not in others["provision"]["period"]


def test_provenance_tells_what_took_whose_place(resources: list[Resource]) -> None:
    found = {act: [r for r in named(resources, "Provenance") if act_of(r) == act] for act in ACTS}
    documents = {f"urn:uuid:{r['id']}": r for r in named(resources, "DocumentReference")}
    superseding = found["put"][2]
    (revision, _source) = superseding["entity"]
    assert revision["role"] == "revision"
    (superseded,) = found["superseded"]
    assert revision["what"] == superseded["target"][0]
    newer = documents[superseding["target"][0]["reference"]]
    assert newer["relatesTo"] == [{"code": "replaces", "target": revision["what"]}]
    (erased,) = found["erased"]
    assert coded(erased["activity"]) == {"DELETE", "destroy", "erased"}
    assert erased["entity"][0] == {"role": "removal", "what": erased["target"][0]}
    assert documents[erased["target"][0]["reference"]]["description"].startswith("erased")
    assert coded(found["rotated"][0]["activity"]) == {"UPDATE", "encrypt", "rotated"}
    (repolicied,) = found["repolicied"]
    consents = {f"urn:uuid:{r['id']}": r for r in named(resources, "Consent")}
    assert consents[repolicied["entity"][0]["what"]["reference"]]["status"] == "inactive"
    assert consents[repolicied["target"][1]["reference"]]["policyRule"]["text"] == "role:nurse@2025"


def test_an_institution_signs_by_name_and_a_patient_by_a_pseudonym(audited: AuditedAccess, resources: list[Resource]) -> None:
    first, second = named(resources, "Patient")
    assert {c["code"] for r in (first, second) for c in r["meta"]["security"]} == {"PSEUDED"}
    assert audited.scopes[1].institution == HOSPITAL
    (organization,) = [r for r in named(resources, "Organization") if r["name"] == HOSPITAL]
    puts = [r for r in named(resources, "Provenance") if act_of(r) == "put"]
    signers = {r["agent"][0]["who"]["reference"] for r in puts}
    assert signers == {f"urn:uuid:{first['id']}", f"urn:uuid:{organization['id']}"}


def test_without_their_transactions_policies_are_left_out_and_counted(audited: AuditedAccess) -> None:
    pruned = make_bundle(replace(audited, transactions={}))
    assert pruned.unknown == 8  # three puts and a re-policy and a rotation, the other's put, two delegations
    resources = [entry["resource"] for entry in pruned.bundle["entry"]]
    assert [r for r in named(resources, "Consent") if r["identifier"][0]["system"] == codes.RECORD] == []
    delegations = [r for r in named(resources, "Consent") if r["identifier"][0]["system"] == codes.DELEGATION]
    assert [("actor" in r["provision"], "text" in r["policyRule"]) for r in delegations] == [(False, False)] * 2
    assert set(strings(pruned.bundle, "reference")) <= {entry["fullUrl"] for entry in pruned.bundle["entry"]}


def test_a_transaction_about_something_else_is_no_evidence(audited: AuditedAccess) -> None:
    def entry(act: str, place: int = 0) -> AccessEntry:
        return [e for e in audited.scopes[0].entries if e.act == act][place]

    for one, other in ((entry("put"), entry("put", 1)), (entry("delegated"), entry("put")), (entry("put"), entry("delegated"))):
        swapped = {**audited.transactions, one.tx_hash: audited.transactions[other.tx_hash]}
        with pytest.raises(Refused, match="bad-evidence"):
            make_bundle(replace(audited, transactions=swapped))


def test_nothing_sealed_is_in_it(audited: AuditedAccess, made: Made) -> None:
    """Reasons of emergencies are boxed; capsules, tags, keys and signatures stay on the ledger: only names are written."""
    written = made.to_json().decode()
    assert "unconscious" not in written
    entries = [entry for scope in audited.scopes for entry in scope.entries]
    ids = {audited.network, *(scope.scope for scope in audited.scopes)}
    ids |= {raw for e in entries for raw in (e.tx_hash, e.share, e.rid, e.delegation) if raw is not None}
    assert set(re.findall(r"[0-9a-f]{20,}", written)) == {raw.hex() for raw in ids}
    assert re.findall(r"[0-9A-Za-z+_]{65,}", written) == []


def test_days_of_quarters() -> None:
    assert days_of("2024Q1") == {"start": "2024-01-01", "end": "2024-03-31"}
    assert days_of("2024Q4") == {"start": "2024-10-01", "end": "2024-12-31"}
    assert days_of("2025Q2") == {"start": "2025-04-01", "end": "2025-06-30"}
    assert days_of("all") is None
    assert days_of("") is None
    assert instant(1_760_000_000_007) == "2025-10-09T08:53:20.007Z"


def test_an_empty_log_makes_a_bundle_too(chain: SharingChain) -> None:
    owner = chain.owner("nothing yet", "other", "all")
    chain.later(1000)
    file = audit_file(chain, owner.scope, category="", period="")
    made = make_bundle(verify_access_export(file, chain.world.network))
    assert made.counts == {"Device": 1, "Patient": 1}
