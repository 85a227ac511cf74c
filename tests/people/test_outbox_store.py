"""The in-memory outbox keeps the contract that the worker relies on."""

import pytest

from tests.support.outbox_contract import OutboxContract
from tests.support.outbox_memory import MemoryOutbox


class TestMemoryOutbox(OutboxContract):
    @pytest.fixture
    def outbox(self) -> MemoryOutbox:
        return MemoryOutbox()
