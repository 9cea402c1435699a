"""Determinism, storage and versions: the sharing half replays, restores, waits for its activation, and keeps its formats."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from msgspec.structs import replace

from salus.abpre.capsules import CapsuleMessage
from salus.codec import message_types
from salus.consensus.block import ValidatorSet
from salus.errors import Refused
from salus.ledger import queries as q
from salus.ledger.access_proofs import AccessLogProof, fetch_access_log, verify_access_proof
from salus.ledger.application import LedgerApplication
from salus.ledger.constants import Constants
from salus.ledger.export import write_export_stream
from salus.ledger.genesis import Genesis, GenesisCore, SharingGenesisCore
from salus.ledger.kinds.all import PROTOCOL_VERSION, REGISTRY
from salus.ledger.kinds.protocol import PROTOCOL, Activation, Protocol, approve_activation
from salus.ledger.kinds.sharing import overview
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.all import KINDS
from salus.ledger.kinds.sharing.committee_state import current_epoch
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, SharingConstants, sharing_constants
from salus.ledger.signatures import CapsuleClaim, Claim, LateClaim, PointClaim, VerifiedClaims, failing_claims
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.sqlite import SqliteStore
from salus.ledger.verify import verify_export
from salus.records.scope import CATEGORIES
from support.ledger_world import LedgerWorld
from support.sharing_world import CLINIC, FAST, HOSPITAL, POLICY, SharingChain, SharingWorld, granted_world
from support.smallest import smallest


def history(chain: SharingChain) -> bytes:
    """A bit of everything; returns the scope."""
    chain.set_up()
    granted_world(chain)
    owner = chain.owner()
    own_key = chain.key(owner)
    rid, delegation = chain.put(owner, POLICY), chain.delegate(owner, own_key)
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    chain.commit(chain.grant_of(share))
    chain.judged(CLINIC, {rid: None})
    chain.commit(chain.revocation(owner, delegation))
    chain.commit(chain.deletion_receipt(delegation))
    chain.later(1000)
    return owner.scope


def export(chain: SharingChain) -> bytes:
    file = io.BytesIO()
    write_export_stream(chain.world.network, chain.world.genesis.hash(), chain.records, file)
    return file.getvalue()


def test_an_export_replays_to_the_same_hash_from_genesis_alone() -> None:
    chain = SharingWorld().chain()
    history(chain)
    report = verify_export(Genesis.decode(chain.world.genesis.encode()), io.BytesIO(export(chain)))
    assert report.application_hash == chain.application.info().application_hash
    for kind in ("dkg.deal", "record.put", "delegation.create", "share.grant", "check.verdict", "scope.open"):
        assert report.transactions[kind] >= 1


def test_two_runs_write_the_same_bytes() -> None:
    one, two = SharingWorld().chain(), SharingWorld().chain()
    assert history(one) == history(two)
    assert one.records == two.records


def test_every_altered_byte_of_an_export_is_found() -> None:
    chain = SharingWorld().chain()
    history(chain)
    whole = export(chain)
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        with pytest.raises(Exception, match=r"\S"):
            verify_export(chain.world.genesis, io.BytesIO(bytes(altered)))


def test_a_snapshot_holds_the_sharing_state_and_goes_on() -> None:
    chain = SharingWorld().chain()
    scope = history(chain)
    info = chain.application.info()
    other = LedgerApplication(MemoryStore(), chain.world.genesis)
    other.restore(chain.application.snapshot(), info.application_hash, info.height, info.last_time_ms)
    assert other.info() == info
    assert overview.records_of(other.view(), scope) == overview.records_of(chain.view, scope)
    assert current_epoch(other.view()) == current_epoch(chain.view)
    block = chain.input([chain.share_request(HOSPITAL, {overview.records_of(chain.view, scope)[0].rid: None})[0].encode()])
    assert other.finalise_block(block) == chain.application.finalise_block(block)


def test_a_directory_opens_again(tmp_path: Path) -> None:
    chain = SharingWorld().chain(SqliteStore.open_or_create(tmp_path))
    scope = history(chain)
    info, records = chain.application.info(), overview.records_of(chain.view, scope)
    chain.application.close()
    again = LedgerApplication.open(tmp_path, chain.world.genesis)
    assert again.info() == info
    assert overview.records_of(again.view(), scope) == records
    again.close()


def test_the_kinds_of_sharing_wait_for_their_activation() -> None:
    """A network founded before there was sharing gets it by more than 2/3 of its institutions, with the default constants."""
    notice = 3
    world = LedgerWorld("older", constants=Constants(activation_notice_blocks=notice))
    assert type(world.genesis.core) is GenesisCore
    chain = world.chain()
    early = SharingWorld().grant(HOSPITAL, ["role:doctor"], 1)
    (result,) = chain.application.check_transactions([early.encode()], chain.time_ms + 1000)
    assert result.reason == "inactive-version"
    assert not chain.application.validate_proposal(chain.input([early.encode()]), secret_checks=True).valid
    assert chain.propose([early.encode()]) == []
    height = 1 + notice
    approvals = [approve_activation(world.network, m, SHARING_VERSION, height, world.random) for m in world.institutions[:3]]
    chain.decide([Activation(SHARING_VERSION, height, tuple(sorted(approvals, key=lambda a: a.institution))).encode()])
    while chain.application.info().height < height - 1:
        chain.decide([])
    (result,) = chain.application.check_transactions([early.encode()], chain.time_ms + 1000)
    assert result.reason == "bad-signature", "active, and of another network"
    chain.decide([])
    assert PROTOCOL.need(chain.application.view(), b"") == Protocol(SHARING_VERSION, 0, 0)
    assert sharing_constants(chain.application.view()) == SharingConstants()


def test_every_kind_of_sharing_is_of_the_second_version_or_later() -> None:
    assert PROTOCOL_VERSION == SHARING_VERSION
    assert all(spec.since == SHARING_VERSION for spec in KINDS)
    assert {spec.message.KIND for spec in KINDS} <= {spec.message.KIND for spec in REGISTRY.kinds()}


def test_a_genesis_names_its_constants_of_sharing() -> None:
    genesis = SharingWorld().genesis
    assert isinstance(genesis.core, SharingGenesisCore)
    assert genesis.core.sharing == FAST
    assert Genesis.decode(genesis.encode()) == genesis
    for name in SharingConstants.__struct_fields__:
        with pytest.raises(Refused, match="bad-encoding"):
            replace(FAST, **{name: 0}).check()
    with pytest.raises(Refused, match="longer than the grace"):
        replace(FAST, epoch_grace_ms=FAST.epoch_length_ms).check()
    with pytest.raises(Refused, match="bad-encoding"):
        SharingWorld(sharing=replace(FAST, demand_ms=0))


def test_capsules_and_late_claims_are_remembered_by_all_that_they_say() -> None:
    chain = SharingWorld().chain().set_up()
    owner = chain.owner()
    put = chain.record(owner)
    good = CapsuleClaim(put.content.capsule, ss.record_aad(chain.world.network, put.rid, owner.scope))
    calls: list[int] = []
    late = LateClaim("test", (b"x",), lambda: calls.append(1))
    verified = VerifiedClaims()
    assert failing_claims([good, late], verified) == []
    assert failing_claims([good, late], verified) == []
    assert calls == [1]
    others = [replace(good, aad=b""), LateClaim("test", (b"y",), lambda: calls.append(2)), PointClaim(b"capsule"), good]
    assert failing_claims(others, verified) == [0, 2]
    assert failing_claims([LateClaim("other", (b"x",), lambda: _refuse())], verified) == [0]
    assert LateClaim("other", (b"x",), lambda: _refuse()).refusal().reason == "bad-delegation"
    assert isinstance(good.capsule, CapsuleMessage)
    assert not isinstance(good, Claim)


def _refuse() -> None:
    raise Refused("bad-delegation")


def test_a_whole_access_log_in_one_file_proves_itself_offline() -> None:
    chain = SharingWorld().chain()
    scope = history(chain)
    world = chain.world
    proof = AccessLogProof.decode(fetch_access_log(chain.application.query, scope).encode())
    whole = verify_access_proof(proof, scope, world.network, world.validators)
    assert [e.act for e in whole.entries] == ["put", "delegated", "asked", "granted", "asked", "waiting", "revoked"]
    assert whole.as_of_ms == chain.time_ms

    def refused(lie: AccessLogProof, validators: ValidatorSet = world.validators, not_before_ms: int = 0) -> str:
        with pytest.raises(Refused) as refusal:
            verify_access_proof(lie, scope, world.network, validators, not_before_ms)
        return refusal.value.reason

    for place in range(len(proof.entries)):
        assert refused(replace(proof, entries=proof.entries[:place] + proof.entries[place + 1 :])) == "bad-proof"
    hidden = replace(proof.log, values=(q.StateValue(None, proof.log.values[0].proof),))
    assert refused(replace(proof, log=hidden, entries=())) == "bad-proof"
    assert refused(replace(proof, scope=bytes(32))) == "bad-proof"
    assert refused(proof, SharingWorld("others").validators) in ("bad-signature", "no-quorum", "unknown-party")
    assert refused(proof, not_before_ms=chain.time_ms + 1) == "bad-time"
    nothing = fetch_access_log(chain.application.query, bytes(32))
    assert verify_access_proof(nothing, bytes(32), world.network, world.validators).entries == ()


def test_what_is_asked_of_the_state() -> None:
    chain = SharingWorld().chain()
    scope = history(chain)
    values = overview.public_values(chain.view)
    assert (values.epoch, values.key_version, values.committee) == (1, 1, chain.committee())
    assert values.parameters.encode() == chain.parameters.encode()
    (record,), (delegation,) = overview.records_of(chain.view, scope), overview.delegations_of(chain.view, scope)
    assert delegation.receipt is not None
    (waiting,) = overview.waiting_of(chain.view, scope)
    assert waiting[1].institution == CLINIC
    assert overview.is_open(waiting[1])
    assert [share.institution for _, share in overview.inbox_of(chain.view, scope)] == [HOSPITAL, CLINIC]
    assert [raw for raw, _ in overview.shares_of(chain.view, CLINIC)] == [waiting[0]]
    assert overview.index_keys_of(chain.view, scope) == []
    mine = overview.explain_access(chain.view, record, HOSPITAL, chain.time_ms)
    theirs = overview.explain_access(chain.view, record, CLINIC, chain.time_ms)
    assert (mine.by_policy, theirs.by_policy) == (True, False)
    assert theirs.held == {"role:doctor@2025"}
    assert (mine.through, mine.others, mine.suspended) == ((), (), False)
    assert "lab" in CATEGORIES


def test_every_message_of_sharing_has_a_smallest_form_that_decodes() -> None:
    """The fuzzer tries every message type: those of this half are among them."""
    kinds = {m.KIND for m in message_types()}
    for spec in KINDS:
        assert spec.message.KIND in kinds
        message = smallest(spec.message)
        assert type(message).decode(message.encode()) == message
