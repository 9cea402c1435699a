import pytest

from support.sharing_world import SharingChain, SharingWorld, granted_world


@pytest.fixture
def chain() -> SharingChain:
    """A committee that holds its keys; nothing else yet."""
    return SharingWorld().chain().set_up()


@pytest.fixture
def granted(chain: SharingChain) -> SharingChain:
    """The same, with attributes granted to two institutions."""
    granted_world(chain)
    return chain
