"""The clouds of a home: each with its own directory, key and view of the ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from salus.cloud.gateway import Gateway
from salus.cloud.key import KEY_FILE, load_cloud_key
from salus.cloud.party import CloudParty
from salus.cloud.settings import settings_for
from salus.errors import Refused
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis
from salus.network.home import Home
from salus.symmetric import Random
from salus.transport import Service, Transport


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


class CloudParties:
    """The clouds that run in one process, started with their network, stopped and started one by one.

    :param services: of the process, by name: a running cloud is reached there.
    :param transport: reaches the other clouds. :param client: makes a client of the ledger for one party.
    """

    def __init__(
        self, home: Home, genesis: Genesis, services: dict[str, Service], transport: Transport,
        client: Callable[[], LedgerClient], now_ms: Callable[[], int], random: Random,
    ) -> None:  # fmt: skip
        self._home = home
        self._genesis = genesis
        self._services = services
        self._transport = transport
        self._client = client
        self._now_ms = now_ms
        self._random = random
        self.running: list[CloudParty] = []
        self.names = [cloud.member.name for cloud in genesis.core.clouds]

    def start_all(self) -> None:
        """Open every cloud that the genesis names, in its order."""
        for name in self.names:
            self.start(name)

    def directory(self, name: str) -> Path:
        """Where a cloud lives.

        :raises Refused: ``unknown-party`` if the network has no such cloud.
        """
        if name not in self.names:
            raise Refused("unknown-party", f"{name} is no cloud of this network")
        return self._home.cloud_of(self.names.index(name))

    def stop(self, name: str) -> None:
        """Stop one, as if its machine were switched off.

        :raises Refused: ``unknown-party`` if no such cloud runs.
        """
        for cloud in self.running:
            if cloud.name == name:
                self.running.remove(cloud)
                del self._services[name]
                cloud.close()
                return
        raise Refused("unknown-party", f"no cloud {name} runs in {self._home.directory}")

    def start(self, name: str) -> CloudParty:
        """Start one that does not run.

        :raises Refused: ``unknown-party`` if it runs, or there is none of that name.
        """
        if name not in self.names or name in self._services:
            raise Refused("unknown-party", f"{name} is no stopped cloud of this network")
        index = self.names.index(name)
        cloud = start_cloud(
            self._home, self._genesis, index, self._transport, self._client(), self._now_ms, self._random
        )  # fmt: skip
        self.running.append(cloud)
        self.running.sort(key=lambda c: self.names.index(c.name))
        self._services[name] = cloud
        return cloud

    def maintain(self) -> None:
        """Let each follow the ledger, look after what it has, and fetch what it lacks."""
        for cloud in self.running:
            cloud.maintain()
            cloud.repair()

    def close(self) -> None:
        """Close the files of all."""
        with contextlib.ExitStack() as closing:
            for cloud in self.running:
                closing.callback(cloud.close)
