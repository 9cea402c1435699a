"""The clouds of a home: each with its own directory, key and view of the ledger."""

from __future__ import annotations

from collections.abc import Callable

from salus.cloud.gateway import Gateway
from salus.cloud.key import KEY_FILE, load_cloud_key
from salus.cloud.party import CloudParty
from salus.cloud.settings import settings_for
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis
from salus.network.home import Home
from salus.symmetric import Random
from salus.transport import Transport


def start_cloud(
    home: Home,
    genesis: Genesis,
    index: int,
    transport: Transport,
    ledger: LedgerClient,
    now_ms: Callable[[], int],
    random: Random,
) -> CloudParty:
    """Open cloud ``index`` of a home.

    :param transport: reaches the other clouds, for what was lost here. :param ledger: this cloud's own client.
    """
    directory = home.cloud_of(index)
    key = load_cloud_key(directory / KEY_FILE, genesis.domain().Pub)
    settings = settings_for(genesis.core.constants.valid_until_max_ms)
    gateway = Gateway.open(directory, genesis.network(), key, now_ms=now_ms, random=random, settings=settings)
    return CloudParty(gateway, ledger, transport)


def start_clouds(
    home: Home,
    genesis: Genesis,
    transport: Transport,
    client: Callable[[], LedgerClient],
    now_ms: Callable[[], int],
    random: Random,
) -> list[CloudParty]:
    """Open every cloud that the genesis names, in its order; if one does not open, none stays open."""
    opened: list[CloudParty] = []
    try:
        for index in range(len(genesis.core.clouds)):
            opened.append(start_cloud(home, genesis, index, transport, client(), now_ms, random))
    except BaseException:
        for cloud in opened:
            cloud.close()
        raise
    return opened
