import pytest

from support.sharing_world import SharingChain, SharingWorld, granted_world


@pytest.fixture
def chain() -> SharingChain:
    """A committee that holds its keys, and attributes granted to two institutions."""
    made = SharingWorld("review").chain().set_up()
    granted_world(made)
    return made
